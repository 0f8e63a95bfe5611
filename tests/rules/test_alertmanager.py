"""Alertmanager's own tool over its configuration, and the promises of the routing tree."""

from __future__ import annotations

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
UNSTEADY = {"HeartbeatWorkerFlapping", "HeartbeatWorkerRestarting", "HeartbeatHeartbeatsMissed"}
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
    """A group's workers are one notification, so is each check, and so are all probes; the tree is small."""
    route = {name: value for name, value in CONFIG["route"].items() if name != "routes"}
    assert route == {
        "receiver": "default",
        "group_by": ["cluster", "alertname", "group", "check"],
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
    """The alerts that a rule's first matcher names, each with the severity that a second one asks for."""
    matcher, *others = matchers
    found = re.fullmatch(r'alertname=~?"([\w|]+)"', matcher)
    assert found, matcher
    return {" ".join((name, *others)) for name in found[1].split("|")}


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
            | UNSTEADY
            | {"HeartbeatGroupDegraded", "HeartbeatGroupEmpty", "HeartbeatFleetDown"}
            | {"HeartbeatAvailabilityBurning", "HeartbeatClockOffset"},
            ["cluster"],
        ),
        (
            {"HeartbeatFleetDown"},
            SINGLE | UNSTEADY | {"HeartbeatGroupDegraded", "HeartbeatAvailabilityBurning"},
            ["cluster"],
        ),
        (
            {"HeartbeatGroupDegraded"},
            SINGLE | UNSTEADY | {"HeartbeatAvailabilityBurning"},
            ["cluster", "group"],
        ),
        (
            {'HeartbeatAvailabilityBurning severity="critical"'},
            {'HeartbeatAvailabilityBurning severity="warning"'},
            ["cluster", "group"],
        ),
        (
            {"HeartbeatDependencyDown"},
            {"HeartbeatWorkerCheckFailing"},
            ["cluster", "group", "check"],
        ),
        (
            {"HeartbeatExporterOverloaded"},
            {"HeartbeatHeartbeatsMissed", "HeartbeatLatencyHigh"},
            ["cluster"],
        ),
    ]
    for sources, targets, _ in rules:
        assert {name.split()[0] for name in sources | targets} <= set(shipped_alerts())
        assert not sources & targets
