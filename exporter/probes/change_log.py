"""Changes of probes in the log: one line each, and none for a run that changed nothing."""

from __future__ import annotations

import logging

from exporter.core.probing import ProbeChange

logger = logging.getLogger(__name__)


def log_change(change: ProbeChange) -> None:
    """Sink. Going down is a warning, coming up information; being up at the start is what one expects."""
    result = change.result
    if result.failure is not None:
        logger.warning(
            "probe %s: %s -> down (%s: %s)",
            change.probe,
            _before(change),
            result.failure,
            result.detail,
            extra={**_fields(change), "reason": result.failure.value},
        )
    else:
        level = logging.DEBUG if change.first else logging.INFO
        logger.log(level, "probe %s: %s -> up", change.probe, _before(change), extra=_fields(change))


def _before(change: ProbeChange) -> str:
    if change.first:
        return "unknown"
    return "down" if change.up else "up"


def _fields(change: ProbeChange) -> dict[str, str]:
    return {"probe": change.probe, "from": _before(change), "to": "up" if change.up else "down"}
