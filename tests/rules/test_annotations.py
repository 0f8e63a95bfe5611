"""What an alert says of itself, beyond what every alert says, which is in test_lint.py."""

from __future__ import annotations

import re

import pytest

from tests.support.rules import ROOT, shipped_alerts

ALERTS = shipped_alerts()
RUNBOOKS = ROOT / "docs" / "alerts.md"


def test_severities() -> None:
    """A worker is a warning; a service, and what takes many, our own eyes or hands, is critical."""
    assert {name: alert.labels for name, alert in ALERTS.items()} == {
        "HeartbeatWorkerDown": {"severity": "warning"},
        "HeartbeatWorkerStopped": {"severity": "warning"},
        "HeartbeatWorkerNeverConnected": {"severity": "warning"},
        "HeartbeatLatencyHigh": {"severity": "warning"},
        "HeartbeatIdentityConflict": {"severity": "warning"},
        "HeartbeatWorkerCheckFailing": {"severity": "warning"},
        "HeartbeatEventLoopStuck": {"severity": "warning"},
        "HeartbeatProbeFlapping": {"severity": "warning"},
        "HeartbeatCertificateExpiring": {"severity": "warning"},
        "HeartbeatWorkerFlapping": {"severity": "warning"},
        "HeartbeatWorkerRestarting": {"severity": "warning"},
        "HeartbeatHeartbeatsMissed": {"severity": "warning"},
        "HeartbeatClockOffset": {"severity": "warning"},
        "HeartbeatExporterOverloaded": {"severity": "warning"},
        "HeartbeatConnectionsRefused": {"severity": "warning"},
        "HeartbeatConfigurationStale": {"severity": "warning"},
        "HeartbeatPrometheusConfigurationStale": {"severity": "warning"},
        "HeartbeatGroupEmpty": {"severity": "info"},
        "HeartbeatAvailabilityBurning": {"severity": "critical"},
        "HeartbeatDependencyDown": {"severity": "critical"},
        "HeartbeatGroupDegraded": {"severity": "critical"},
        "HeartbeatFleetDown": {"severity": "critical"},
        "HeartbeatExporterDown": {"severity": "critical"},
        "HeartbeatExporterMissing": {"severity": "critical"},
        "HeartbeatExporterRestarting": {"severity": "critical"},
        "HeartbeatStoreDown": {"severity": "critical"},
        "HeartbeatPrometheusRuleFailures": {"severity": "critical"},
        "HeartbeatNotificationsFailing": {"severity": "critical"},
        "HeartbeatProbeDown": {"severity": "critical"},
        "HeartbeatActionFailing": {"severity": "critical"},
        "HeartbeatActionsHeld": {"severity": "critical"},
        "Watchdog": {"severity": "none"},
    }


OF_A_WORKER = ("$labels.worker ", "$labels.worker_id", "$labels.group")


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        *(
            (name, ("reason", "since", "$value | toTime"))
            for name in ("HeartbeatWorkerDown", "HeartbeatWorkerStopped", "HeartbeatWorkerNeverConnected")
        ),
        ("HeartbeatWorkerCheckFailing", ("$labels.check",)),
        ("HeartbeatEventLoopStuck", ("$value | humanizeDuration",)),
        ("HeartbeatWorkerFlapping", ("$value",)),
        ("HeartbeatWorkerRestarting", ("$value",)),
        ("HeartbeatHeartbeatsMissed", ("$value | humanizePercentage",)),
        ("HeartbeatClockOffset", ("$value | humanizeDuration",)),
    ],
)
def test_an_alert_about_a_worker_says_which_and_what(name: str, parts: tuple[str, ...]) -> None:
    """Worker and group are in its description, and why and since when, which check, how long or how often."""
    description = ALERTS[name].annotations["description"]
    assert [part for part in OF_A_WORKER + parts if part not in description] == []


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("HeartbeatProbeDown", ("$labels.probe ", "$labels.target", "reason")),
        ("HeartbeatProbeFlapping", ("$labels.probe ", "$labels.target", "$value")),
        ("HeartbeatCertificateExpiring", ("$labels.probe ", "$labels.target", "$value | toTime")),
        ("HeartbeatActionFailing", ("$labels.action", "$labels.kind", "$value | toTime")),
    ],
)
def test_an_alert_about_a_probe_or_action_says_which_and_what(name: str, parts: tuple[str, ...]) -> None:
    """Probe and target, or the action and its hook, are in its description; and why, how often or when."""
    description = ALERTS[name].annotations["description"]
    assert [part for part in parts if part not in description] == []


def test_an_alert_about_a_worker_asks_nothing() -> None:
    """There may be ten thousand of them, so no query is in the text of those that have a worker."""
    texts = {
        name: " ".join(alert.annotations.values())
        for name, alert in ALERTS.items()
        if "$labels.worker" in alert.annotations["description"]
    }
    assert len(texts) == 9
    assert [name for name, text in texts.items() if "query" in text] == []


def test_every_alert_has_a_runbook_and_every_runbook_an_alert() -> None:
    """The sections of docs/alerts.md are the alerts."""
    sections = re.findall(r"^## (\S+)$", RUNBOOKS.read_text("utf-8"), re.MULTILINE)
    assert sorted(sections) == sorted(ALERTS)
