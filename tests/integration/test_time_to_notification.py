"""How long it takes from a loss to its notification, with nothing but shipped settings."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable

import pytest

from exporter.settings import Settings
from tests.support.processes import eventually
from tests.support.stack import Stack

pytestmark = [
    pytest.mark.slow,
    pytest.mark.servers("redis-server", "prometheus", "alertmanager"),
]

SHIPPED = {
    name: str(Settings.model_fields[name.lower()].default)
    for name in ("HEARTBEAT_INTERVAL", "HEARTBEAT_TIMEOUT")
}
KILLED_WITHIN, FROZEN_WITHIN = 30.0, 45.0
"""Seconds."""


def test_a_loss_is_notified_in_time(stack: Stack, record_property: Callable[[str, object], None]) -> None:
    """From kill -9 within 30 s and from SIGSTOP within 45 s, though a scrape has just gone by."""
    stack.start_redis()
    stack.start_exporter()
    groups = {"Killed": "payments", "Frozen": "search", "Other": "web"}
    for name, group in groups.items():
        stack.start_worker(name, group=group, wait=False, **SHIPPED)
    stack.wait_until_alive(*groups, within=60)
    stack.start_alerting()
    eventually(lambda: stack.query("heartbeat_worker_up") == dict.fromkeys(groups, 1.0), within=30)
    # The rules hold what was true before, so let them see a healthy fleet first.
    eventually(lambda: stack.query("sum(group:heartbeat_up_recently:count)") == {"": 3.0}, within=30)

    # The worst moment: the next scrape is a whole interval away.
    scraped = stack.query('timestamp(up{job="heartbeat-exporter"})')
    eventually(lambda: stack.query('timestamp(up{job="heartbeat-exporter"})') != scraped, within=10)
    lost_at = time.monotonic()
    stack.workers["Killed"].kill()
    stack.workers["Frozen"].send_signal(signal.SIGSTOP)

    def seconds_to_notification(worker: str) -> float | None:
        return next(
            (
                notification.at - lost_at
                for notification in stack.receiver.about("HeartbeatWorkerDown")
                if ("firing", "HeartbeatWorkerDown", worker) in notification.alerts
            ),
            None,
        )

    eventually(lambda: seconds_to_notification("Frozen"), within=90, what="the frozen worker is notified")
    for what, worker, limit in (
        ("kill -9", "Killed", KILLED_WITHIN),
        ("SIGSTOP", "Frozen", FROZEN_WITHIN),
    ):
        taken = seconds_to_notification(worker)
        assert taken is not None
        figure = f"{taken:.1f} s, at most {limit:.0f} s"
        print(f"\nfrom {what} to the notification: {figure}")
        record_property(f"from {what} to the notification", figure)
        assert taken <= limit
    # What the rules in pipeline.yml look at is there, by these names.
    for metric in (
        'prometheus_rule_evaluation_failures_total{rule_group=~".+;heartbeat-.+"}',
        'prometheus_rule_group_iterations_missed_total{rule_group=~".+;heartbeat-.+"}',
        'prometheus_rule_group_iterations_total{rule_group=~".+;heartbeat-.+"}',
        'prometheus_notifications_dropped_total{job="prometheus"}',
        'prometheus_config_last_reload_successful{job="prometheus"}',
        'alertmanager_notifications_failed_total{job="alertmanager", integration="webhook"}',
        'alertmanager_config_last_reload_successful{job="alertmanager"}',
    ):
        assert stack.query(f"count({metric}) > bool 0") == {"": 1.0}, metric
