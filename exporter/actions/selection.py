"""What the status of a worker means for an action that depends on it."""

from __future__ import annotations

from exporter.actions.base import WorkerSelection
from exporter.core.acting import Cause, Health
from exporter.core.model import DOWN, UP, Reason, Row, Status, Transition


def selects(selection: WorkerSelection, group: str) -> bool:
    return selection.group in (None, group)


def health(selection: WorkerSelection, status: Status | None, reason: Reason) -> Health | None:
    """How a worker stands that got this status (None: forgotten) for this reason; None: it does not count.

    One that ended on purpose does not count until it is back, unless the selection says that it is down.
    """
    if status is None:
        return Health.DOWN if reason is Reason.LEAVE and selection.leave_is_down else None
    if status in DOWN and reason is Reason.SHUTDOWN and not selection.shutdown_is_down:
        return None
    if status in DOWN:
        return Health.DOWN
    return Health.UP if status in UP else Health.UNKNOWN


def cause_of_change(transition: Transition) -> Cause:
    detail = f"worker {transition.worker_id} of group {transition.group}"
    return Cause(transition.worker, transition.reason.value, detail, transition.at)


def cause_of_standing(row: Row) -> Cause:
    detail = f"worker {row.facts.worker_id} of group {row.facts.group}"
    return Cause(row.facts.name, row.reason.value, detail, row.since)
