"""Changes of status in the log: one line each, and none for a heartbeat."""

from __future__ import annotations

import logging

from exporter.core.effects import Changed, Conflict, Effect
from exporter.core.model import DOWN, UP, Transition

logger = logging.getLogger("exporter.workers")


def log_effect(effect: Effect) -> None:
    """Sink. Going down is a warning; a pending step on the way up is for debugging."""
    if isinstance(effect, Changed):
        transition = effect.transition
        logger.log(_level(transition), "%s", _sentence(transition), extra=_fields(transition))
    elif isinstance(effect, Conflict):
        logger.warning(
            "Two processes claim to be worker %s: the later registration has another boot_id while the"
            " earlier one still beats; give them different names or ports",
            effect.worker_id,
        )


def _level(transition: Transition) -> int:
    before, after = transition.before, transition.after
    if after in DOWN and before not in DOWN:
        return logging.WARNING
    return logging.INFO if before is None or after is None or after in DOWN | UP else logging.DEBUG


def _sentence(transition: Transition) -> str:
    return f"{transition.worker} is {transition.to_name} ({transition.reason})"


def _fields(transition: Transition) -> dict[str, str]:
    return {
        "worker_id": transition.worker_id,
        "group": transition.group,
        "from": transition.from_name,
        "to": transition.to_name,
        "reason": transition.reason.value,
    }
