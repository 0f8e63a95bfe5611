"""Changes of status in the log: one line each, and none for a heartbeat."""

from __future__ import annotations

import logging

from exporter.core.effects import Changed, Conflict, Effect
from exporter.core.model import DOWN, Reason, Transition

logger = logging.getLogger(__name__)


def log_effect(effect: Effect) -> None:
    """Sink. A loss is a warning, any other change information."""
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
            "two processes claim to be worker %s: the later registration has another boot_id while the"
            " earlier one still beats; give them different names or ports",
            effect.worker_id,
            extra={"worker_id": effect.worker_id},
        )


def _level(transition: Transition) -> int:
    lost = transition.after in DOWN and transition.before not in DOWN
    return logging.WARNING if lost and transition.reason is not Reason.SHUTDOWN else logging.INFO


def _fields(transition: Transition) -> dict[str, str]:
    return {
        "worker_id": transition.worker_id,
        "worker": transition.worker,
        "group": transition.group,
        "from": transition.from_name,
        "to": transition.to_name,
        "reason": transition.reason.value,
    }
