"""How long a loss takes until it is notified: the sum of what is configured, in the worst alignment."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from exporter.settings import Settings
from tests.support.rules import ROOT, RULES

UNITS = {"s": 1, "m": 60, "h": 3600}


def seconds(duration: str) -> int:
    return int(duration[:-1]) * UNITS[duration[-1]]


PROMETHEUS: dict[str, Any] = yaml.safe_load((ROOT / "prometheus" / "prometheus.yml").read_text("utf-8"))
ROUTE: dict[str, Any] = yaml.safe_load((ROOT / "alertmanager" / "alertmanager.yml").read_text("utf-8"))[
    "route"
]
WORKERS: dict[str, Any] = yaml.safe_load((RULES / "workers.yml").read_text("utf-8"))["groups"][0]

SCRAPE = seconds(PROMETHEUS["global"]["scrape_interval"])
EVALUATION = seconds(PROMETHEUS["global"]["evaluation_interval"])

WORK = 3
"""Seconds for what is no waiting: a large scrape, the rules over many workers, the delivery."""


def pending(alert: str) -> int:
    """Its `for`."""
    (rule,) = (rule for rule in WORKERS["rules"] if rule.get("alert") == alert)
    return seconds(rule["for"])


def group_wait(alert: str) -> int:
    """Of the route that takes it."""
    own = [route for route in ROUTE["routes"] if route["matchers"] == [f'alertname="{alert}"']]
    return seconds(next((route["group_wait"] for route in own), ROUTE["group_wait"]))


@pytest.mark.parametrize(
    ("known_after", "limit"), [(0, 30), (int(Settings.model_fields["heartbeat_timeout"].default), 45)]
)
def test_a_loss_is_notified_in_time(known_after: int, limit: int) -> None:
    """A killed worker within 30 s, a frozen one within 45 s, even just after a scrape and an evaluation."""
    waits = SCRAPE + EVALUATION + pending("HeartbeatWorkerDown") + group_wait("HeartbeatWorkerDown")
    assert known_after + waits + WORK <= limit


@pytest.mark.parametrize(
    ("general", "particular"),
    [
        ("HeartbeatFleetDown", "HeartbeatGroupDegraded"),
        ("HeartbeatFleetDown", "HeartbeatWorkerDown"),
        ("HeartbeatGroupDegraded", "HeartbeatWorkerDown"),
    ],
)
def test_the_more_general_alert_is_there_before_the_particular_is_notified(
    general: str, particular: str
) -> None:
    """Even if it comes true one evaluation later, as where losses are spread over a heartbeat interval."""
    assert EVALUATION + pending(general) < pending(particular) + group_wait(particular)


def test_a_particular_alert_is_not_at_alertmanager_before_a_general_one() -> None:
    """A group of alerts that was notified before may be notified again at any moment, without a wait."""
    assert EVALUATION + pending("HeartbeatGroupDegraded") <= pending("HeartbeatWorkerDown")
    assert EVALUATION + pending("HeartbeatFleetDown") <= pending("HeartbeatWorkerDown")


def test_what_is_seen_one_evaluation_apart_is_one_notification() -> None:
    """Two workers that die at one moment may be, wherever the scrape falls between them."""
    assert group_wait("HeartbeatWorkerDown") > EVALUATION
    assert "interval" not in WORKERS
