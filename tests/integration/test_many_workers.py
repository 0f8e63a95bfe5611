"""A whole group lost at once."""

from __future__ import annotations

import time

import pytest

from tests.support.processes import eventually
from tests.support.stack import Stack

pytestmark = [
    pytest.mark.slow,
    pytest.mark.servers("redis-server", "prometheus", "alertmanager"),
]

LOST = [f"Lost {number}" for number in range(1, 5)]
OTHERS = [f"Other {number}" for number in range(1, 3)]


def test_a_group_killed_at_once_is_one_notification(stack: Stack) -> None:
    """One message about the group, none about its workers; and one when all are back."""
    stack.start_redis()
    stack.start_exporter()
    for name in LOST:
        stack.start_worker(name, group="payments")
    for name in OTHERS:
        stack.start_worker(name, group="search")
    stack.wait_until_alive(*LOST, *OTHERS)
    stack.start_alerting()
    eventually(lambda: stack.query("sum(heartbeat_worker_up)") == {"": 6.0}, within=30)
    time.sleep(10)  # two evaluations of the rules over a healthy fleet

    for name in LOST:
        stack.workers[name].kill()
    eventually(lambda: stack.receiver.about("HeartbeatGroupDegraded"), within=60)
    time.sleep(45)  # more than a group_interval: whatever else there is to say would have been said
    about_workers = [
        notification.alerts
        for notification in stack.receiver.notifications
        if notification.alerts and not any(name == "Watchdog" for _, name, _ in notification.alerts)
    ]
    assert about_workers == [{("firing", "HeartbeatGroupDegraded", "payments")}]

    for name in LOST:
        stack.start_worker(name, group="payments")
    stack.wait_until_alive(*LOST, within=30)

    def resolved() -> bool:
        return any(
            ("resolved", "HeartbeatGroupDegraded", "payments") in notification.alerts
            for notification in stack.receiver.notifications
        )

    eventually(resolved, within=120, what=f"the return is notified, not only {stack.receiver.notifications}")
    assert not stack.receiver.about("HeartbeatWorkerDown")
