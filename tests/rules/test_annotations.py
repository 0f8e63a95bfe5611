"""What an alert says of itself."""

from __future__ import annotations

import re

import pytest

from tests.support.rules import ROOT, Rule, shipped_alerts

ALERTS = shipped_alerts()
RUNBOOKS = ROOT / "docs" / "alerts.md"
RUNBOOK_URL = "https://github.com/heartbeat-exporter/heartbeat-exporter/blob/main/docs/alerts.md#"


def test_severities() -> None:
    """A worker is a warning; what takes many, or our own eyes, is critical."""
    assert {name: alert.labels for name, alert in ALERTS.items()} == {
        "HeartbeatWorkerDown": {"severity": "warning"},
        "HeartbeatWorkerStopped": {"severity": "warning"},
        "HeartbeatWorkerNeverConnected": {"severity": "warning"},
        "HeartbeatLatencyHigh": {"severity": "warning"},
        "HeartbeatIdentityConflict": {"severity": "warning"},
        "HeartbeatGroupEmpty": {"severity": "info"},
        "HeartbeatGroupDegraded": {"severity": "critical"},
        "HeartbeatFleetDown": {"severity": "critical"},
        "HeartbeatExporterDown": {"severity": "critical"},
        "HeartbeatExporterRestarting": {"severity": "critical"},
        "HeartbeatStoreDown": {"severity": "critical"},
        "Watchdog": {"severity": "none"},
    }


@pytest.mark.parametrize("alert", ALERTS.values(), ids=lambda alert: alert.name)
def test_every_alert_explains_itself(alert: Rule) -> None:
    """A summary that grouped alerts share, a description, and the address of its runbook."""
    assert set(alert.annotations) == {"summary", "description", "runbook_url"}
    assert re.fullmatch(r"[A-Z][^{]*\.", alert.annotations["summary"])
    assert alert.annotations["runbook_url"] == RUNBOOK_URL + alert.name.lower()


@pytest.mark.parametrize("name", [name for name in ALERTS if name.startswith("HeartbeatWorker")])
def test_an_alert_about_a_worker_says_which_why_and_since_when(name: str) -> None:
    """Worker, group, reason and time are in its description."""
    description = ALERTS[name].annotations["description"]
    for part in (
        "$labels.worker ",
        "$labels.worker_id",
        "$labels.group",
        "reason",
        "since",
        "$value | toTime",
    ):
        assert part in description


def test_every_alert_has_a_runbook_and_every_runbook_an_alert() -> None:
    """The sections of docs/alerts.md are the alerts."""
    sections = re.findall(r"^## (\S+)$", RUNBOOKS.read_text("utf-8"), re.MULTILINE)
    assert sorted(sections) == sorted(ALERTS)
