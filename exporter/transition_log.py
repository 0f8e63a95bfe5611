"""Changes of status in the log: one line each, and none for a heartbeat."""

from __future__ import annotations

import logging

from exporter.core.effects import Changed, Conflict, Effect
from exporter.core.model import DOWN, UP, Reason, Transition

logger = logging.getLogger("exporter.workers")


def log_effect(effect: Effect) -> None:
    """Sink. A loss is a warning; a pending step on the way up is for debugging."""
    if isinstance(effect, Changed):
        transition = effect.transition
        logger.log(
            _level(transition),
            "%s: %s -> %s (%s)",
            transition.worker,
            transition.from_name,
            transition.to_name,
            transition.reason,
            extra=_fields(transition),
        )
    elif isinstance(effect, Conflict):
        logger.warning(
            "Two processes claim to be worker %s: the later registration has another boot_id while the"
            " earlier one still beats; give them different names or ports",
            effect.worker_id,
        )


def _level(transition: Transition) -> int:
    before, after = transition.before, transition.after
    if after in DOWN and before not in DOWN and transition.reason is not Reason.SHUTDOWN:
        return logging.WARNING
    pending = before is not None and after is not None and after not in DOWN | UP
    return logging.DEBUG if pending and transition.reason is not Reason.RESTART else logging.INFO


def _fields(transition: Transition) -> dict[str, str]:
    return {
        "worker_id": transition.worker_id,
        "group": transition.group,
        "from": transition.from_name,
        "to": transition.to_name,
        "reason": transition.reason.value,
    }
