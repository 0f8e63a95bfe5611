"""The exporter away or frozen: its silence is not the workers'."""

from __future__ import annotations

import signal
import time

import pytest

from tests.support.processes import eventually
from tests.support.stack import RECONNECT, TIMEOUT, Stack

pytestmark = [
    pytest.mark.slow,
    pytest.mark.servers("redis-server", "prometheus", "alertmanager"),
]

WORKERS = [f"Worker {number}" for number in range(1, 7)]
DOWN_BEFORE, DIES_MEANWHILE = WORKERS[:2]


@pytest.mark.parametrize("away", [5, 60])
@pytest.mark.parametrize("ending", [signal.SIGTERM, signal.SIGKILL], ids=["gracefully", "killed"])
def test_a_restart_declares_nobody_down_but_who_died_meanwhile(
    stack: Stack, ending: signal.Signals, away: int
) -> None:
    """No loss is invented, the real one is found, and no alert that stood is resolved for it."""
    stack.start_redis()
    stack.start_exporter()
    for name in WORKERS:
        stack.start_worker(name, group="payments")
    stack.wait_until_alive(*WORKERS)
    stack.start_alerting()
    stack.workers[DOWN_BEFORE].kill()
    eventually(
        lambda: stack.receiver.about("HeartbeatWorkerDown"), within=90, what="the loss before is notified"
    )
    time.sleep(2)  # a killed exporter may lose what it has not written yet, which is a second's worth

    stack.stop_exporter(ending)
    stack.workers[DIES_MEANWHILE].kill()
    time.sleep(away)
    stack.start_exporter()

    found = {DIES_MEANWHILE: ("not_responding", "connection_lost")}
    stack.wait_for(found, within=TIMEOUT + RECONNECT + 5)
    stack.wait_until_alive(*WORKERS[2:], within=5)
    assert {worker for worker, _, _ in stack.went_down()} == {DOWN_BEFORE, DIES_MEANWHILE}
    assert stack.statuses()[DOWN_BEFORE] == ("not_responding", "connection_lost")

    def fired() -> bool:
        return any(
            ("firing", "HeartbeatWorkerDown", DIES_MEANWHILE) in notification.alerts
            for notification in stack.receiver.notifications
        )

    eventually(fired, within=75, what="the loss meanwhile is notified")
    resolved = [
        alert
        for notification in stack.receiver.notifications
        for alert in notification.alerts
        if alert[0] == "resolved" and alert[1].startswith("HeartbeatWorker")
    ]
    assert resolved == []


def test_a_frozen_exporter_declares_nobody_down(stack: Stack) -> None:
    """Twenty seconds without a turn of its loop, five times the workers' timeout."""
    stack.start_redis()
    stack.start_exporter()
    for name in WORKERS:
        stack.start_worker(name)
    stack.wait_until_alive(*WORKERS)
    assert stack.exporter_process is not None
    stack.exporter_process.send_signal(signal.SIGSTOP)
    time.sleep(20)
    stack.exporter_process.send_signal(signal.SIGCONT)
    time.sleep(TIMEOUT + RECONNECT + 2)
    assert stack.statuses() == dict.fromkeys(WORKERS, ("alive", "heartbeat"))
    assert stack.went_down() == set()
