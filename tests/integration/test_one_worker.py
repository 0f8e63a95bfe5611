"""The main job: a worker killed, one stopped and one frozen, from the socket to the notification."""

from __future__ import annotations

import signal

import pytest

from tests.support.processes import eventually, http_get
from tests.support.stack import TIMEOUT, Stack

pytestmark = [
    pytest.mark.slow,
    pytest.mark.servers("redis-server", "prometheus", "alertmanager"),
]

WORKERS = [f"Worker {number}" for number in range(1, 7)]
KILLED, STOPPED, FROZEN = WORKERS[:3]


def test_a_death_ends_in_a_notification_and_a_return_in_a_resolved(stack: Stack) -> None:
    """Three ways to be gone, told apart everywhere: statuses, PromQL, notifications; and back again."""
    stack.start_redis()
    stack.start_exporter()
    for name in WORKERS:
        stack.start_worker(name, group="payments", wait=False)
    stack.wait_until_alive(*WORKERS, within=60)
    stack.start_alerting()
    eventually(lambda: stack.query("heartbeat_worker_up") == dict.fromkeys(WORKERS, 1.0), within=30)
    # The rules hold what was true before, so let them see a healthy fleet first.
    eventually(lambda: stack.query('count(up{job="heartbeat-workers"} == 1)') == {"": 6.0}, within=60)

    stack.workers[KILLED].kill()
    stack.workers[STOPPED].send_signal(signal.SIGTERM)
    stack.workers[FROZEN].send_signal(signal.SIGSTOP)

    stack.wait_for(
        {KILLED: ("disconnected", "connection_lost"), STOPPED: ("disconnected", "shutdown")}, within=3
    )
    stack.wait_for(
        {
            KILLED: ("not_responding", "connection_lost"),
            STOPPED: ("not_responding", "shutdown"),
            FROZEN: ("not_responding", "timeout"),
        },
        within=TIMEOUT + 3,
    )
    assert dict.fromkeys(WORKERS[3:], ("alive", "heartbeat")).items() <= stack.statuses().items()

    gone = (KILLED, STOPPED, FROZEN)
    expected = {name: 0.0 if name in gone else 1.0 for name in WORKERS}
    eventually(lambda: stack.query("heartbeat_worker_up") == expected, within=15)
    eventually(
        lambda: stack.query('heartbeat_worker_down_reason{reason="connection_lost"}') == {KILLED: 1.0},
        within=15,
    )
    assert stack.query('heartbeat_worker_down_reason{reason="shutdown"}') == {STOPPED: 1.0}
    assert stack.query('heartbeat_worker_down_reason{reason="timeout"}') == {FROZEN: 1.0}
    assert stack.query('sum by (group) (heartbeat_workers{status="alive"})') == {"payments": 3.0}

    def fired() -> set[str]:
        return {
            worker
            for notification in stack.receiver.about("HeartbeatWorkerDown")
            for status, name, worker in notification.alerts
            if (status, name) == ("firing", "HeartbeatWorkerDown")
        }

    eventually(lambda: fired() == {KILLED, FROZEN}, within=90, what="both losses are notified")
    assert_readable(stack, KILLED, "connection_lost")
    assert_readable(stack, FROZEN, "timeout")

    stack.start_worker(KILLED, group="payments")
    stack.workers[FROZEN].send_signal(signal.SIGCONT)
    stack.wait_until_alive(KILLED, FROZEN, within=30)

    def resolved() -> set[str]:
        return {
            worker
            for notification in stack.receiver.about("HeartbeatWorkerDown")
            for status, name, worker in notification.alerts
            if (status, name) == ("resolved", "HeartbeatWorkerDown")
        }

    eventually(lambda: resolved() == {KILLED, FROZEN}, within=90, what="both returns are notified")
    assert not stack.receiver.about("HeartbeatGroupDegraded")
    assert not any(
        worker == STOPPED
        for notification in stack.receiver.notifications
        for _, _, worker in notification.alerts
    )
    assert "error" not in {
        line.split("level=")[1].split()[0] for line in stack.exporter_log().splitlines() if "level=" in line
    }
    for name in WORKERS[3:]:
        url = next(
            f"http://{worker['host']}:{worker['port']}/metrics"
            for worker in stack.get("/workers")
            if worker["name"] == name
        )
        assert "starlette_requests_total" in http_get(url)


def assert_readable(stack: Stack, worker: str, reason: str) -> None:
    """The text names worker, group, reason and since when; the labels route it."""
    (alert,) = {
        alert["fingerprint"]: alert
        for notification in stack.receiver.about("HeartbeatWorkerDown")
        for alert in notification.content["alerts"]
        if alert["labels"].get("worker") == worker
    }.values()
    assert {key: alert["labels"][key] for key in ("severity", "group", "worker")} == {
        "severity": "warning",
        "group": "payments",
        "worker": worker,
    }
    assert not {"instance", "job", "pod"} & set(alert["labels"])
    text = alert["annotations"]["description"]
    assert worker in text
    assert "payments" in text
    assert reason in text
    assert "since 20" in " ".join(text.split())
    assert alert["annotations"]["summary"]
    assert alert["annotations"]["runbook_url"].endswith("alerts.md#heartbeatworkerdown")
