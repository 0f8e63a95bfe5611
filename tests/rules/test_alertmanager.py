"""Alertmanager's own tool over its configuration, and the promises of the routing tree."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.processes import program
from tests.support.rules import ROOT, shipped_alerts

DIRECTORY = ROOT / "alertmanager"
MAIN = DIRECTORY / "alertmanager.yml"
RECEIVERS = sorted((DIRECTORY / "receivers").glob("*.yml"))
CONFIG: dict[str, Any] = yaml.safe_load(MAIN.read_text("utf-8"))

SINGLE = {"HeartbeatWorkerDown", "HeartbeatWorkerStopped", "HeartbeatWorkerNeverConnected"}
REPORTED = {"HeartbeatWorkerCheckFailing", "HeartbeatDependencyDown", "HeartbeatEventLoopStuck"}
PROBED = {"HeartbeatProbeDown", "HeartbeatProbeFlapping", "HeartbeatCertificateExpiring"}
ACTING = {"HeartbeatActionFailing", "HeartbeatActionsHeld"}

WATCHDOG = {"alertname": "Watchdog", "severity": "none"}
OF_A_GROUP = {"alertname": "HeartbeatWorkerDown", "group": "web", "worker": "w1", "severity": "warning"}
OF_A_CHECK = {
    "alertname": "HeartbeatDependencyDown",
    "group": "web",
    "check": "cache",
    "severity": "critical",
}
OF_A_PROBE = {"alertname": "HeartbeatProbeDown", "probe": "db", "target": "db:5432", "severity": "critical"}
OF_THE_FLEET = {"alertname": "HeartbeatFleetDown", "severity": "critical"}


def amtool(*arguments: str | Path) -> str:
    result = subprocess.run([program("amtool"), *arguments], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


def with_receiver(directory: Path, receiver: Path) -> Path:
    """A copy of the configuration with this file appended, as its users make it."""
    (directory / "templates").symlink_to(DIRECTORY / "templates")
    main = directory / "alertmanager.yml"
    main.write_text(MAIN.read_text("utf-8") + receiver.read_text("utf-8"), "utf-8")
    return main


@pytest.mark.servers("amtool")
def test_the_configuration_is_valid() -> None:
    """amtool accepts the shipped file and its templates."""
    assert "1 templates" in amtool("check-config", MAIN)


@pytest.mark.servers("amtool")
@pytest.mark.parametrize("receiver", RECEIVERS, ids=lambda path: path.stem)
def test_every_receiver_completes_the_configuration(receiver: Path, tmp_path: Path) -> None:
    """Appended to the shipped file it fills the receiver `default`, and amtool accepts the whole."""
    main = with_receiver(tmp_path, receiver)
    amtool("check-config", main)
    completed = yaml.safe_load(main.read_text("utf-8"))
    added = yaml.safe_load(receiver.read_text("utf-8"))
    assert completed == {**CONFIG, "receivers": [*CONFIG["receivers"][:-1], {"name": "default", **added}]}


@pytest.mark.parametrize("receiver", RECEIVERS, ids=lambda path: path.stem)
def test_every_receiver_tells_the_end_and_keeps_its_secrets_in_files(receiver: Path) -> None:
    """`send_resolved` is written out, and nothing that is secret has a value here."""
    for integrations in yaml.safe_load(receiver.read_text("utf-8")).values():
        for integration in integrations:
            assert integration["send_resolved"] is True
            secret = {key for key in integration if re.search(r"password|key|api_url|token|secret", key)}
            assert all(key.endswith("_file") for key in secret)


def test_nothing_is_delivered_until_a_receiver_is_filled() -> None:
    """Both shipped receivers are names only, `default` the last, so that it can be continued."""
    assert CONFIG["receivers"] == [{"name": "dead-mans-switch"}, {"name": "default"}]
    assert MAIN.read_text("utf-8").endswith("\n  - name: default\n")


@pytest.mark.servers("amtool")
@pytest.mark.parametrize(
    ("labels", "receiver"),
    [
        (WATCHDOG, "dead-mans-switch"),
        (OF_A_GROUP, "default"),
        (OF_A_CHECK, "default"),
        (OF_A_PROBE, "default"),
        (OF_THE_FLEET, "default"),
    ],
    ids=["watchdog", "group", "check", "probe", "fleet"],
)
def test_routes_lead_to_their_receivers(labels: dict[str, str], receiver: str) -> None:
    """The watchdog to the dead man's switch and to nobody else, all others to the default."""
    pairs = [f"{name}={value}" for name, value in labels.items()]
    amtool("config", "routes", "test", f"--config.file={MAIN}", f"--verify.receivers={receiver}", *pairs)


def test_waits_and_grouping() -> None:
    """A group's workers are one notification, so is each check, and all probes; the tree is small."""
    route = {name: value for name, value in CONFIG["route"].items() if name != "routes"}
    assert route == {
        "receiver": "default",
        "group_by": ["alertname", "group", "check"],
        "group_wait": "6s",
        "group_interval": "30s",
        "repeat_interval": "4h",
    }
    assert CONFIG["route"]["routes"] == [
        {"matchers": ['alertname="HeartbeatGroupDegraded"'], "group_wait": "10s"},
        {
            "receiver": "dead-mans-switch",
            "matchers": ['alertname="Watchdog"'],
            "group_wait": "0s",
            "group_interval": "1m",
            "repeat_interval": "30s",
        },
    ]


def named(matchers: list[str]) -> set[str]:
    """The alerts that a rule's only matcher names."""
    (matcher,) = matchers
    found = re.fullmatch(r'alertname=~?"([\w|]+)"', matcher)
    assert found, matcher
    return set(found[1].split("|"))


def test_muting_is_as_written_and_no_wider() -> None:
    """Each rule names source and targets; no alert mutes itself, and none is misspelt."""
    rules = [
        (named(rule["source_matchers"]), named(rule["target_matchers"]), rule["equal"])
        for rule in CONFIG["inhibit_rules"]
    ]
    assert rules == [
        (
            {"HeartbeatExporterDown"},
            SINGLE
            | REPORTED
            | PROBED
            | ACTING
            | {"HeartbeatGroupDegraded", "HeartbeatGroupEmpty", "HeartbeatFleetDown"},
            ["cluster"],
        ),
        ({"HeartbeatFleetDown"}, SINGLE | {"HeartbeatGroupDegraded"}, ["cluster"]),
        ({"HeartbeatGroupDegraded"}, SINGLE, ["cluster", "group"]),
        (
            {"HeartbeatDependencyDown"},
            {"HeartbeatWorkerCheckFailing"},
            ["cluster", "group", "check"],
        ),
    ]
    for sources, targets, _ in rules:
        assert sources | targets <= set(shipped_alerts())
        assert not sources & targets


FIRING = {
    "status": "firing",
    "labels": {"alertname": "HeartbeatGroupDegraded", "group": "web", "severity": "critical"},
    "annotations": {
        "summary": "Many workers of a group were lost at the same time.",
        "description": 'Group <web> & "co".',
        "runbook_url": "https://runbooks.example/#heartbeatgroupdegraded",
    },
    "startsAt": "2026-11-20T10:00:00+01:00",
    "endsAt": "0001-01-01T00:00:00Z",
}
RESOLVED = {
    "status": "resolved",
    "labels": {"alertname": "HeartbeatWorkerDown", "worker": "w1", "group": "web", "severity": "warning"},
    "annotations": {
        "summary": "A worker is gone without a goodbye.",
        "description": "Worker w1 has been down.",
    },
    "startsAt": "2026-11-20T08:00:00Z",
    "endsAt": "2026-11-20T09:01:00Z",
}
DEPENDENCY = {
    "status": "firing",
    "labels": OF_A_CHECK,
    "annotations": {
        "summary": "The same check fails on many workers of a group.",
        "description": "Check cache fails on 75% of the workers of group web.",
        "runbook_url": "https://runbooks.example/#heartbeatdependencydown",
    },
    "startsAt": "2026-11-20T09:00:00Z",
    "endsAt": "0001-01-01T00:00:00Z",
}
CHECK_RESOLVED = {
    "status": "resolved",
    "labels": {
        "alertname": "HeartbeatWorkerCheckFailing",
        "check": "cache",
        "worker": "w1",
        "group": "web",
        "severity": "warning",
    },
    "annotations": {"summary": "A health check of a worker fails.", "description": "Check cache of w1."},
    "startsAt": "2026-11-20T08:00:00Z",
    "endsAt": "2026-11-20T09:01:00Z",
}
PROBES = {
    "status": "firing",
    "labels": {
        "alertname": "HeartbeatProbeDown",
        "probe": "webapp",
        "target": "http://web:8080/login",
        "severity": "critical",
    },
    "annotations": {
        "summary": "What is probed is down.",
        "description": "webapp (http://web:8080/login) is down.",
        "runbook_url": "https://runbooks.example/#heartbeatprobedown",
    },
    "startsAt": "2026-11-20T09:00:00Z",
    "endsAt": "0001-01-01T00:00:00Z",
}
PROBE_RESOLVED = {
    "status": "resolved",
    "labels": {
        "alertname": "HeartbeatProbeDown",
        "probe": "db",
        "target": "db:5432",
        "severity": "critical",
    },
    "annotations": {"summary": "What is probed is down.", "description": "db (db:5432) is down."},
    "startsAt": "2026-11-20T08:00:00Z",
    "endsAt": "2026-11-20T09:01:00Z",
}
ACTION_RESOLVED = {
    "status": "resolved",
    "labels": {
        "alertname": "HeartbeatActionFailing",
        "action": "nginx",
        "kind": "demote",
        "severity": "critical",
    },
    "annotations": {"summary": "An action was to run and has failed.", "description": "demote of nginx."},
    "startsAt": "2026-11-20T08:00:00Z",
    "endsAt": "2026-11-20T09:01:00Z",
}
FIRING_TEXT = """\
HeartbeatGroupDegraded (critical)
Many workers of a group were lost at the same time.
Group <web> & "co".
Firing since 2026-11-20 09:00:00 UTC. What to do: https://runbooks.example/#heartbeatgroupdegraded

"""
RESOLVED_TEXT = """\
HeartbeatWorkerDown, worker w1, group web: ended
Firing from 2026-11-20 08:00:00 UTC to 2026-11-20 09:01:00 UTC.

"""
DEPENDENCY_TEXT = """\
HeartbeatDependencyDown (critical)
The same check fails on many workers of a group.
Check cache fails on 75% of the workers of group web.
Firing since 2026-11-20 09:00:00 UTC. What to do: https://runbooks.example/#heartbeatdependencydown

"""
CHECK_RESOLVED_TEXT = """\
HeartbeatWorkerCheckFailing, check cache, worker w1, group web: ended
Firing from 2026-11-20 08:00:00 UTC to 2026-11-20 09:01:00 UTC.

"""
PROBES_TEXT = """\
HeartbeatProbeDown (critical)
What is probed is down.
webapp (http://web:8080/login) is down.
Firing since 2026-11-20 09:00:00 UTC. What to do: https://runbooks.example/#heartbeatprobedown

HeartbeatProbeDown, probe db: ended
Firing from 2026-11-20 08:00:00 UTC to 2026-11-20 09:01:00 UTC.

"""
ACTION_RESOLVED_TEXT = """\
HeartbeatActionFailing, action nginx: ended
Firing from 2026-11-20 08:00:00 UTC to 2026-11-20 09:01:00 UTC.

"""
END = "Alertmanager: http://alertmanager:9093"


@pytest.mark.servers("amtool")
@pytest.mark.parametrize(
    ("alerts", "common", "title", "text", "severity"),
    [
        (
            [FIRING],
            FIRING["labels"],
            "[FIRING:1] HeartbeatGroupDegraded, group web",
            FIRING_TEXT + END,
            "critical",
        ),
        (
            [FIRING, RESOLVED],
            {"group": "web"},
            "[FIRING:1] Several alerts, group web",
            FIRING_TEXT + RESOLVED_TEXT + END,
            "critical",
        ),
        (
            [RESOLVED],
            RESOLVED["labels"],
            "[RESOLVED] HeartbeatWorkerDown, worker w1, group web",
            RESOLVED_TEXT + END,
            "warning",
        ),
        (
            [DEPENDENCY],
            OF_A_CHECK,
            "[FIRING:1] HeartbeatDependencyDown, check cache, group web",
            DEPENDENCY_TEXT + END,
            "critical",
        ),
        (
            [CHECK_RESOLVED],
            CHECK_RESOLVED["labels"],
            "[RESOLVED] HeartbeatWorkerCheckFailing, check cache, worker w1, group web",
            CHECK_RESOLVED_TEXT + END,
            "warning",
        ),
        (
            [PROBES, PROBE_RESOLVED],
            {"alertname": "HeartbeatProbeDown", "severity": "critical"},
            "[FIRING:1] HeartbeatProbeDown",
            PROBES_TEXT + END,
            "critical",
        ),
        (
            [ACTION_RESOLVED],
            ACTION_RESOLVED["labels"],
            "[RESOLVED] HeartbeatActionFailing, action nginx",
            ACTION_RESOLVED_TEXT + END,
            "warning",
        ),
    ],
    ids=["firing", "both", "resolved", "dependency", "check resolved", "probes", "action resolved"],
)
def test_a_notification_reads_well(
    alerts: list[dict[str, Any]], common: dict[str, str], title: str, text: str, severity: str, tmp_path: Path
) -> None:
    """Subject, text and severity as a receiver renders them, whole and not escaped as HTML."""
    data = tmp_path / "data.json"
    data.write_text(
        json.dumps(
            {
                "status": alerts[0]["status"],
                "alerts": alerts,
                "groupLabels": {"group": "web"},
                "commonLabels": common,
                "commonAnnotations": {},
                "externalURL": "http://alertmanager:9093",
            }
        )
    )
    for template, expected in (("title", title), ("text", text), ("severity", severity)):
        rendered = amtool(
            *("template", "render", f"--template.glob={DIRECTORY / 'templates' / '*.tmpl'}"),
            *(f"--template.data={data}", f'--template.text={{{{ template "heartbeat.{template}" . }}}}'),
        )
        assert rendered == expected
