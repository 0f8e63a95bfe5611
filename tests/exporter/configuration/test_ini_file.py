"""Configurations of the small daemon Heartbeat."""

from __future__ import annotations

from pathlib import Path

import pytest

from exporter.actions.base import Action, BrakeRules, Hook
from exporter.actions.command import CommandOptions
from exporter.configuration import ini_file
from exporter.configuration.model import Configuration, ConfigurationError, Daemon
from exporter.core.acting import Kind
from exporter.probes.base import Probe
from exporter.probes.http import HttpExpectations, HttpOptions, HttpsOptions
from exporter.probes.tcp import TcpOptions

TESTDATA = Path(__file__).parent / "testdata"

COMMANDS = """
[promotions]
a = up

[demotions]
a = down
"""
CHECK = "[check]\ntype = tcp\nhostname = localhost\nport = 22\naction = a\n"


def read(text: str) -> Configuration:
    return ini_file.read(TESTDATA / "text.conf", text)


def said(text: str) -> list[str]:
    return [str(warning) for warning in read(text).warnings]


def hooks(promote: tuple[str, ...], demote: tuple[str, ...]) -> dict[Kind, Hook]:
    return {
        Kind.PROMOTE: Hook(kind="command", options=CommandOptions(command=promote)),
        Kind.DEMOTE: Hook(kind="command", options=CommandOptions(command=demote)),
    }


def test_a_whole_file() -> None:
    """Unchanged, and with every result deciding at once, as that daemon had it."""
    path = TESTDATA / "heartbeat.conf"
    status = HttpExpectations(status=(200,))
    assert ini_file.read(path, path.read_text()) == Configuration(
        probes=(
            Probe(
                name="ssh",
                kind="tcp",
                options=TcpOptions(host="localhost", port=22),
                interval=30.0,
                timeout=5.0,
                failure_threshold=1,
                success_threshold=1,
            ),
            Probe(
                name="webapp",
                kind="http",
                options=HttpOptions(host="localhost", port=8080, path="/app/100%/login", expect=status),
                interval=30.0,
                timeout=5.0,
                failure_threshold=1,
                success_threshold=1,
            ),
            Probe(
                name="far away",
                kind="https",
                options=HttpsOptions(host="www.example.org", port=443, path="/", expect=status),
                interval=30.0,
                timeout=7.0,
                failure_threshold=1,
                success_threshold=1,
            ),
        ),
        actions=(
            Action(
                name="nginx",
                hooks=hooks(("service", "nginx", "start"), ("service", "nginx", "stop")),
                probes=("ssh", "webapp"),
            ),
            Action(
                name="report",
                hooks=hooks(
                    ("curl", "-s", "http://localhost/up?load=50%", "--retry", "3"),
                    ("sh", "-c", "date +%F >> '/var/log/my downs'"),
                ),
                probes=("far away",),
            ),
        ),
        brake=BrakeRules(share=1.0),
        concurrency=4,
        daemon=Daemon(
            user=None,
            group="www-data",
            logfile=Path("heartbeat.log"),
            loglevel="WARNING",
            pidfile=Path("/run/heartbeat.pid"),
            threads=4,
            daemonize=True,
        ),
    )


def test_the_smallest_file() -> None:
    """What it does not say: a minute from pass to pass, 5 seconds for a check, 10 at a time, no daemon."""
    configuration = read(COMMANDS + CHECK)
    assert configuration.daemon == Daemon()
    assert configuration.concurrency == 10
    assert [(probe.interval, probe.timeout) for probe in configuration.probes] == [(60.0, 5.0)]
    assert configuration.warnings == ()


@pytest.mark.parametrize(
    ("written", "value"),
    [("yes", True), ("True", True), ("ON", True), ("1", True), ("no", False), ("FALSE", False), ("0", False)],
)
def test_booleans(written: str, value: bool) -> None:
    """In all the words that INI files know, in any case."""
    assert read(f"[general]\ndaemonize = {written}\n").daemon.daemonize is value


def test_a_timeout_above_the_interval() -> None:
    """Makes the interval longer: there, it was the pause after a pass."""
    text = f"[general]\ninterval = 5\n{COMMANDS}{CHECK}timeout = 20\n"
    assert [(probe.interval, probe.timeout) for probe in read(text).probes] == [(20.0, 20.0)]
    assert said(text) == ["[check] timeout (line 14): is above the interval: checked every 20s"]


def test_what_that_daemon_passed_over() -> None:
    """Still has no effect, but is said."""
    text = """\
[general]
loglevel = loud
intervall = 5
interval = 10
interval = 20

[promotions]
a = echo %(hostname)s
unused = x

[demotions]
a = down

[check]
type = tcp
hostname = localhost
port = 22
action = a
descripton = secure shell

[check]
port = 23
"""
    assert said(text) == [
        "[general] loglevel (line 2): is none of DEBUG, INFO, WARNING, ERROR, CRITICAL: INFO is taken",
        "[general] intervall (line 3): is not known and has no effect (did you mean interval?)",
        "[general] interval (line 5): is given again, and counts as it is here",
        "[promotions] a (line 8): %(hostname)s is not replaced but taken as it is",
        "[promotions] unused (line 9): is never run: no check names it",
        "[check] descripton (line 19): is not known and has no effect",
        "[check] port (line 22): is given again, and counts as it is here",
    ]
    (probe,) = read(text).probes
    assert (probe.options.target, probe.interval) == ("localhost:23", 20.0)
    assert read(text).daemon.loglevel == "INFO"


def test_defaults_are_no_commands() -> None:
    """What `[DEFAULT]` says is for checks and `[general]`, not a promotion of that name."""
    configuration = read(f"[DEFAULT]\naction = a\ntimeout = 2\nthreads = 3\n{COMMANDS}{CHECK}")
    assert [action.name for action in configuration.actions] == ["a"]
    assert (configuration.concurrency, configuration.probes[0].timeout) == (3, 2.0)
    assert configuration.warnings == ()


def test_a_section_in_capitals() -> None:
    """Is a check to that daemon, too; what was meant is told."""
    with pytest.raises(ConfigurationError, match=r"^.*: \[GENERAL\] .*\(did you mean general\?\)$"):
        read("[GENERAL]\nthreads = 5\n")


def test_a_command_ends_before_a_comment() -> None:
    """As the daemon's parser has it, whoever meant the `;` for a shell."""
    (action,) = read(f"[promotions]\na = one ; two\n[demotions]\na = one;two\n{CHECK}").actions
    assert action.hooks == hooks(("one",), ("one;two",))


def test_a_comment_is_no_part_of_a_section() -> None:
    """Even if it looks like one."""
    with pytest.raises(ConfigurationError, match=r"\[web\] port \(line 7\): must be given"):
        read(COMMANDS + "[web] ; was [old]\npath = /\n")


def test_a_line_of_a_value_is_no_key() -> None:
    """However much it looks like one that is there already."""
    text = "[promotions]\na = one\n  a = two\n[demotions]\na = down\n" + CHECK
    assert said(text) == []
    (action,) = read(text).actions
    assert action.hooks[Kind.PROMOTE].options == CommandOptions(command=("one", "a", "=", "two"))
