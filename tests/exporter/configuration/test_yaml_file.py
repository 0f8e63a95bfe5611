"""Configurations in YAML."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import pytest

from exporter.actions.base import Action, BrakeRules, Hook, WorkerSelection
from exporter.actions.command import CommandOptions
from exporter.actions.webhook import WebhookOptions
from exporter.configuration import yaml_file
from exporter.configuration.model import Configuration
from exporter.core.acting import Kind
from exporter.probes.base import Probe
from exporter.probes.http import HttpExpectations, HttpOptions, HttpsOptions
from exporter.probes.tcp import TcpOptions
from exporter.probes.tls import TlsOptions
from exporter.probes.websocket import WebSocketOptions

TESTDATA = Path(__file__).parent / "testdata"


def read(text: str) -> Configuration:
    return yaml_file.read(TESTDATA / "text.yml", text)


def command(*words: str) -> Hook:
    return Hook(kind="command", options=CommandOptions(command=words))


def warnings(text: str) -> list[str]:
    return [str(warning) for warning in read(text).warnings]


def test_everything_at_once() -> None:
    """All that a file can say about probes and actions, and what holds where it says nothing."""
    path = TESTDATA / "good.yml"
    assert yaml_file.read(path, path.read_text()) == Configuration(
        probes=(
            Probe(
                name="webapp",
                kind="http",
                options=HttpOptions(host="localhost", port=8080, path="/app/login"),
                interval=60.0,
                timeout=5.0,
                failure_threshold=3,
                success_threshold=2,
            ),
            Probe(
                name="api",
                kind="https",
                options=HttpsOptions(
                    url="https://api.example.org/health?deep=1",
                    bearer_token_file=TESTDATA / "token",
                    expect=HttpExpectations(status=(200, "300-399"), body="ok"),
                    tls=TlsOptions(ca_file=TESTDATA / "ca.pem"),
                ),
                interval=5400.0,
                timeout=0.5,
                failure_threshold=1,
                success_threshold=5,
            ),
            Probe(
                name="db",
                kind="tcp",
                options=TcpOptions(host="db", port=5432),
                interval=60.0,
                timeout=5.0,
                failure_threshold=3,
                success_threshold=2,
            ),
            Probe(
                name="chat",
                kind="websocket",
                options=WebSocketOptions(url="wss://chat.example.org/ws"),
                interval=1.5,
                timeout=1.0,
                failure_threshold=3,
                success_threshold=2,
            ),
        ),
        actions=(
            Action(
                name="nginx",
                hooks={
                    Kind.PROMOTE: command("service", "nginx", "start"),
                    Kind.DEMOTE: command("service", "nginx", "stop"),
                },
                probes=("webapp", "db"),
                timeout=30.0,
                cooldown=60.0,
            ),
            Action(
                name="pager",
                hooks={Kind.DEMOTE: command("/usr/local/bin/page", "it is down")},
                workers=WorkerSelection(group="payments", shutdown_is_down=True, leave_is_down=True),
                run_on_start=True,
                dry_run=True,
            ),
            Action(
                name="hook",
                hooks={
                    Kind.PROMOTE: Hook(
                        kind="webhook",
                        options=WebhookOptions(
                            url="https://hooks.example.org/T0/secret", method="PUT", body="up"
                        ),
                    )
                },
                probes=("db", "chat"),
                workers=WorkerSelection(),
                retries=3,
                backoff=2.0,
            ),
        ),
        brake=BrakeRules(share=0.3, at_least=5, window=60.0, hold=600.0, then="drop"),
        concurrency=20,
    )


@pytest.mark.parametrize(
    "text", ["", "# nothing\n", "---\n", "probes:\nactions:\ndefaults:\nbrake:\nconcurrency:\n", "{}"]
)
def test_nothing(text: str) -> None:
    """A file may say nothing; a section whose lines are commented out is no section."""
    assert read(text) == Configuration()


def test_the_smallest_probe() -> None:
    """Every minute, 5 seconds at most, down after three failures and up again after two successes."""
    (probe,) = read("probes: {db: {type: tcp, host: db, port: 1}}").probes
    assert {**asdict(probe), "options": None} == {
        "name": "db",
        "kind": "tcp",
        "options": None,
        "interval": 60.0,
        "timeout": 5.0,
        "failure_threshold": 3,
        "success_threshold": 2,
    }


def test_a_short_interval_shortens_the_timeout() -> None:
    """Unless the file says a timeout, it is no mistake to say an interval below 5 seconds."""
    configuration = read("probes: {db: {type: tcp, host: db, port: 1, interval: 2s}}")
    assert [(probe.interval, probe.timeout) for probe in configuration.probes] == [(2.0, 2.0)]


def test_defaults_are_for_what_a_probe_does_not_say() -> None:
    """Each of the four by itself."""
    configuration = read(
        """
        defaults: {interval: 10s, timeout: 2s, failure_threshold: 5, success_threshold: 4}
        probes:
          all: {type: tcp, host: db, port: 1}
          one: {type: tcp, host: db, port: 1, timeout: 1s, success_threshold: 1}
        """
    )
    assert [
        (probe.interval, probe.timeout, probe.failure_threshold, probe.success_threshold)
        for probe in configuration.probes
    ] == [(10.0, 2.0, 5, 4), (10.0, 1.0, 5, 1)]


def test_names_are_texts_whatever_they_look_like() -> None:
    """A probe may be called 8080, and an action `on`."""
    configuration = read(
        """
        probes: {8080: {type: tcp, host: db, port: 8080, action: on}}
        actions: {on: {demote: stop, on: {probes: ["8080"]}}}
        """
    )
    assert [(action.name, action.probes) for action in configuration.actions] == [("on", ("8080",))]


def test_anchors_and_merges() -> None:
    """What many probes have in common may be written once."""
    configuration = read(
        """
        probes:
          a: &usual {type: tcp, host: a, port: 1, interval: 5s, timeout: 1s}
          b: {<<: *usual, host: b}
        """
    )
    assert [(probe.options.target, probe.interval) for probe in configuration.probes] == [
        ("a:1", 5.0),
        ("b:1", 5.0),
    ]


def test_an_action_that_nobody_refers_to() -> None:
    """Is no error, for a file may be half written; but it is said."""
    text = """
    probes:
      db: {type: tcp, host: db, port: 1, action: used}
    actions:
      used: {demote: a}
      workers: {demote: a, on: {workers: {}}}
      probes: {demote: a, on: {probes: [db]}}
      idle: {demote: a}
    """
    assert warnings(text) == ["actions.idle (line 8): is never run: no probe names it, and it has no `on`"]
