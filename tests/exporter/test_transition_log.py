"""Changes of status in the log."""

from __future__ import annotations

import logging

import pytest

from exporter.core.effects import Changed, Conflict, Discarded, Unusable
from exporter.core.model import Reason, Status, Transition, Wall, WorkerId
from exporter.transition_log import log_effect

REGISTERED, CONNECTED, ALIVE = Status.REGISTERED, Status.CONNECTED, Status.ALIVE
DISCONNECTED, NOT_RESPONDING = Status.DISCONNECTED, Status.NOT_RESPONDING


@pytest.mark.parametrize(
    ("before", "after", "reason", "level"),
    [
        (None, REGISTERED, Reason.REGISTERED, "INFO"),
        (REGISTERED, CONNECTED, Reason.CONNECTED, "INFO"),
        (CONNECTED, ALIVE, Reason.HEARTBEAT, "INFO"),
        (NOT_RESPONDING, ALIVE, Reason.HEARTBEAT, "INFO"),
        (ALIVE, REGISTERED, Reason.RESTART, "INFO"),
        (ALIVE, DISCONNECTED, Reason.SHUTDOWN, "INFO"),
        (ALIVE, DISCONNECTED, Reason.CONNECTION_LOST, "WARNING"),
        (ALIVE, NOT_RESPONDING, Reason.TIMEOUT, "WARNING"),
        (REGISTERED, NOT_RESPONDING, Reason.NEVER_CONNECTED, "WARNING"),
        (DISCONNECTED, NOT_RESPONDING, Reason.CONNECTION_LOST, "INFO"),
        (NOT_RESPONDING, None, Reason.EXPIRED, "INFO"),
        (ALIVE, None, Reason.LEAVE, "INFO"),
    ],
)
def test_a_loss_is_a_warning_once(
    before: Status | None,
    after: Status | None,
    reason: Reason,
    level: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Whatever else changes, what was asked for or said already included, is information."""
    with caplog.at_level(logging.DEBUG):
        log_effect(
            Changed(Transition(WorkerId("w-1"), "Worker 1", "payments", before, after, reason, Wall(1.0)))
        )
    (line,) = caplog.records
    assert line.levelname == level


def test_a_line_reads_as_a_sentence_and_filters_by_its_fields(caplog: pytest.LogCaptureFixture) -> None:
    """The text is for people; who it is about, from where to where and why, for machines."""
    with caplog.at_level(logging.INFO):
        log_effect(
            Changed(
                Transition(
                    WorkerId("w-1"), "Worker 1", "payments", ALIVE, NOT_RESPONDING, Reason.TIMEOUT, Wall(1.0)
                )
            )
        )
    (line,) = caplog.records
    assert line.getMessage() == "Worker 1: alive -> not_responding (timeout)"
    assert {
        name: line.__dict__[name] for name in ("worker_id", "worker", "group", "from", "to", "reason")
    } == {
        "worker_id": "w-1",
        "worker": "Worker 1",
        "group": "payments",
        "from": "alive",
        "to": "not_responding",
        "reason": "timeout",
    }


def test_a_conflict_says_what_to_do(caplog: pytest.LogCaptureFixture) -> None:
    """Two processes under one name are a mistake that somebody has to mend."""
    log_effect(Conflict(WorkerId("w-1")))
    (line,) = caplog.records
    assert line.levelname == "WARNING"
    assert line.getMessage() == (
        "two processes claim to be worker w-1: the later registration has another boot_id while the"
        " earlier one still beats; give them different names or ports"
    )
    assert vars(line)["worker_id"] == "w-1"


def test_other_effects_are_not_logged(caplog: pytest.LogCaptureFixture) -> None:
    """What happens with messages is counted, and would fill any log."""
    with caplog.at_level(logging.DEBUG):
        log_effect(Discarded(Unusable.LATENCY))
    assert caplog.records == []
