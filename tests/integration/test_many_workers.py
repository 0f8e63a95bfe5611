"""Whole groups lost, at one moment and over an interval."""

from __future__ import annotations

import time

import pytest

from tests.support.processes import eventually
from tests.support.stack import Stack

pytestmark = [
    pytest.mark.slow,
    pytest.mark.servers("redis-server", "prometheus", "alertmanager"),
]

AT_ONCE = [f"Payments {number}" for number in range(1, 4)]
ONE_BY_ONE = [f"Search {number}" for number in range(1, 5)]
OTHER = "Other"

SPREAD = 5.0 / len(ONE_BY_ONE)
"""Seconds from one to the next: all within the interval at which heartbeats come and scrapes are made."""

DOWN, UP = (
    [{(status, "HeartbeatGroupDegraded", group)} for group in ("payments", "search")]
    for status in ("firing", "resolved")
)


def delivered(stack: Stack) -> list[set[tuple[str, str, str]]]:
    """Of each notification what it tells, sorted; the watchdog's left out."""
    told = [notification.alerts for notification in stack.receiver.notifications]
    return sorted(
        (alerts for alerts in told if "Watchdog" not in {name for _, name, _ in alerts}), key=sorted
    )


def test_a_lost_group_is_one_notification_and_so_is_its_return(stack: Stack) -> None:
    """One message about the group, none about its workers, wherever scrapes fall between their losses."""
    stack.start_redis()
    stack.start_exporter()
    for name in AT_ONCE:
        stack.start_worker(name, group="payments", wait=False)
    for name in ONE_BY_ONE:
        stack.start_worker(name, group="search", wait=False)
    stack.start_worker(OTHER, group="other", wait=False)
    stack.wait_until_alive(*AT_ONCE, *ONE_BY_ONE, OTHER, within=60)
    stack.start_alerting()
    eventually(lambda: stack.query("sum(heartbeat_worker_up)") == {"": 8.0}, within=60)
    # The rules hold what was true before, so let them see a healthy fleet first.
    eventually(lambda: stack.query("sum(group:heartbeat_up_recently:count)") == {"": 8.0}, within=30)

    for name in AT_ONCE:
        stack.workers[name].kill()
    for name in ONE_BY_ONE:
        stack.workers[name].kill()
        time.sleep(SPREAD)
    eventually(lambda: len(delivered(stack)) >= 2, within=60, what="both groups are notified")
    # The alerts of single workers fire, too, and would be on their way after a group_wait.
    eventually(
        lambda: (
            stack.query('count(ALERTS{alertname="HeartbeatWorkerDown", alertstate="firing"})') == {"": 7.0}
        ),
        within=20,
    )
    time.sleep(7)
    assert delivered(stack) == DOWN

    for name in AT_ONCE:
        stack.start_worker(name, group="payments", wait=False)
    for name in ONE_BY_ONE:
        stack.start_worker(name, group="search", wait=False)
        time.sleep(SPREAD)
    stack.wait_until_alive(*AT_ONCE, *ONE_BY_ONE, within=60)
    eventually(lambda: len(delivered(stack)) >= 4, within=120, what="both returns are notified")
    assert delivered(stack) == DOWN + UP
