"""What the demo says, and the ports that it takes; tests/integration/test_demo.py runs it."""

from __future__ import annotations

import json
import re
import socket
import urllib.request

import pytest

from exporter.demo import Notifications, describe_notification, describe_transition, pick_port
from exporter.programs import ProgramFailed

NOTIFICATION = {
    "status": "firing",
    "alerts": [
        {
            "status": "firing",
            "labels": {"alertname": "HeartbeatWorkerDown", "worker": "Worker 1"},
            "annotations": {"summary": "A worker is gone.", "description": "Worker 1 has been\n  down."},
        },
        {
            "status": "resolved",
            "labels": {"alertname": "HeartbeatGroupEmpty"},
            "annotations": {"summary": "Nobody is left."},
        },
        {"status": "firing", "labels": {"alertname": "Bare"}, "annotations": {}},
    ],
}
DESCRIBED = [
    "NOTIFICATION firing   HeartbeatWorkerDown: Worker 1 has been down.",
    "NOTIFICATION resolved HeartbeatGroupEmpty: Nobody is left.",
    "NOTIFICATION firing   Bare: ",
]


def test_a_notification_is_a_line_an_alert() -> None:
    """Its description, else its summary, without the line breaks of a mail."""
    assert list(describe_notification(NOTIFICATION)) == DESCRIBED


def test_what_alertmanager_delivers_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    """With the time at which it came."""
    notifications = Notifications()
    try:
        urllib.request.urlopen(notifications.url, json.dumps(NOTIFICATION).encode(), timeout=5.0).close()
    finally:
        notifications.close()
    lines = capsys.readouterr().out.splitlines()
    assert all(re.match(r"\d\d:\d\d:\d\d  NOTIFICATION ", line) for line in lines)
    assert [line[10:] for line in lines] == DESCRIBED


def test_a_transition_names_from_where_to_where_and_why() -> None:
    """As the log does."""
    transition = {"worker": "Worker 1", "from": "alive", "to": "disconnected", "reason": "shutdown"}
    assert describe_transition(transition) == "Worker 1: alive -> disconnected (shutdown)"


def test_the_port_that_people_expect_or_any_other() -> None:
    """Not one that somebody else has, nor one that was given away before but is not in use yet."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
        taken: set[int] = set()
        other = pick_port(port, taken)
        assert other != port
    assert pick_port(port, taken) == port
    third = pick_port(port, taken)
    assert third not in (port, other)
    assert taken == {port, other, third}


def test_no_port_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    """Said as a failure of the demo."""

    def no_port(*_: object) -> None:
        raise OSError("address already in use")

    monkeypatch.setattr(socket, "create_server", no_port)
    with pytest.raises(ProgramFailed, match=r"^no free TCP port on 127\.0\.0\.1$"):
        pick_port(8000, set())
