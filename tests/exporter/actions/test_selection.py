"""What the status of a worker means for an action."""

from __future__ import annotations

import pytest

from exporter.actions.base import WorkerSelection
from exporter.actions.selection import health, selects
from exporter.core.acting import Health
from exporter.core.lifecycle import POSSIBLE_CHANGES
from exporter.core.model import DOWN, Reason, Status

PLAIN = WorkerSelection()
STRICT = WorkerSelection(shutdown_is_down=True, leave_is_down=True)


def test_every_change_means_something() -> None:
    """Only alive is up; registered and connected are not known; who ends on purpose does not count."""
    meant = {(after, reason): health(PLAIN, after, reason) for _, after, reason in POSSIBLE_CHANGES}
    assert {key for key, value in meant.items() if value is Health.UP} == {(Status.ALIVE, Reason.HEARTBEAT)}
    assert {after for (after, _), value in meant.items() if value is Health.UNKNOWN} == {
        Status.REGISTERED,
        Status.CONNECTED,
    }
    assert {key for key, value in meant.items() if value is Health.DOWN} == {
        (after, reason) for after, reason in meant if after in DOWN and reason is not Reason.SHUTDOWN
    }
    assert {key for key, value in meant.items() if value is None} == {
        (after, reason) for after, reason in meant if after is None or reason is Reason.SHUTDOWN
    }


def test_what_a_strict_selection_takes_for_down_besides() -> None:
    """A clean stop and leaving; being deleted, expired or evicted means nothing to anybody."""
    differing = {
        (after, reason)
        for _, after, reason in POSSIBLE_CHANGES
        if health(STRICT, after, reason) is not health(PLAIN, after, reason)
    }
    assert differing == {
        (Status.DISCONNECTED, Reason.SHUTDOWN),
        (Status.NOT_RESPONDING, Reason.SHUTDOWN),
        (None, Reason.LEAVE),
    }
    assert {health(STRICT, after, reason) for after, reason in differing} == {Health.DOWN}


@pytest.mark.parametrize(("group", "expected"), [(None, True), ("web", True), ("db", False)])
def test_a_selection_is_of_one_group_or_of_all(group: str | None, expected: bool) -> None:
    """None is every group."""
    assert selects(WorkerSelection(group=group), "web") is expected
