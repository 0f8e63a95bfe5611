"""`heartbeat-exporter probe` as a process: what it shows and runs, and how it lives in the background."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import pty
import re
import signal
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.support.processes import eventually, free_port, kill_those_left
from tests.support.services import Ledger, Service
from tests.support.serving import environment

pytestmark = pytest.mark.slow

ALREADY_RUNNING = 7
HUNG_UP = os.strerror(errno.EIO)

YAML = """\
defaults: {{interval: 300ms, timeout: 250ms, failure_threshold: 1, success_threshold: 1}}
probes:
  web: {{type: http, host: 127.0.0.1, port: {port}, action: nginx}}
  shop: {{type: http, host: 127.0.0.1, port: {port}}}
actions:
  nginx: {{promote: {command}, demote: {command}}}
brake: {{share: 1}}
"""

GENERAL = """\
[general]
pidfile = probe.pid
logfile = probe.log
interval = 0.3
"""

INI = """\
{general}
[promotions]
nginx = {command}
[demotions]
nginx = {command}
[web]
type = http
hostname = 127.0.0.1
port = {port}
timeout = 0.25
action = nginx
"""


class Probing:
    """A directory with a configuration, the service that it is about, and the command that it runs."""

    def __init__(self, directory: Path, service: Service) -> None:
        self.directory = directory
        self.service = service
        self.ledger = Ledger(directory)
        self.pidfile = directory / "probe.pid"

    def write(self, template: str, **values: object) -> str:
        """Returns the name of the file."""
        name = "probes.yml" if template is YAML else "probes.conf"
        given = {"port": self.service.port, "command": self.ledger.command, **values}
        (self.directory / name).write_text(template.format(**given))
        return name

    def command(self, *arguments: str) -> list[str]:
        return [sys.executable, "-m", "exporter", "probe", *arguments]

    def run(self, *arguments: str, code: int = 0) -> subprocess.CompletedProcess[str]:
        """The command in the directory, its state there too. A daemon that kept the output would hang us."""
        done = subprocess.run(
            self.command(*arguments),
            capture_output=True,
            text=True,
            timeout=30.0,
            env=self.environment,
            cwd=self.directory,
            check=False,
        )
        assert done.returncode == code, done.stderr
        return done

    @property
    def environment(self) -> dict[str, str]:
        return environment(SQLITE_PATH="probe.db", LOG_FORMAT="json")

    def daemon(self) -> psutil.Process:
        """The one that is in the pidfile, once it has begun to probe."""
        eventually(lambda: self.said("probing; SIGTERM ends it"), within=30.0, what="a daemon")
        return psutil.Process(int(self.pidfile.read_text()))

    def said(self, event: str) -> int:
        """How many lines of the log say so."""
        return self.log().count(f'"event": "{event}')

    def log(self) -> str:
        return (self.directory / "probe.log").read_text()


def alive(process: psutil.Process) -> bool:
    """Nobody may collect an orphan where init is no init."""
    with contextlib.suppress(psutil.NoSuchProcess):
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    return False


@pytest.fixture
def probing(tmp_path: Path) -> Iterator[Probing]:
    with Service() as service:
        probing = Probing(tmp_path, service)
        yield probing
        kill_those_left(probing.directory)


# --once


def test_once_shows_a_table(probing: Probing) -> None:
    """All probes as they are now, exit code 1 if one failed; nothing is run and nothing kept."""
    file = probing.write(YAML)
    port = probing.service.port
    refused = probing.run("-c", file, "--once", code=1)
    assert refused.stderr == ""
    header, web, shop = refused.stdout.splitlines()
    target = f"http://127.0.0.1:{port}/"
    assert header.split() == ["probe", "kind", "target", "result", "seconds", "detail"]
    assert re.fullmatch(rf"web    http  {target}  refused  0\.\d{{3}}    \S.*", web)
    assert re.fullmatch(rf"shop   http  {target}  refused  0\.\d{{3}}    \S.*", shop)

    probing.service.up()
    fine = probing.run("-c", file, "--once", code=0)
    assert fine.stderr == ""
    assert re.fullmatch(rf"web    http  {target}  ok      0\.\d{{3}}", fine.stdout.splitlines()[1])
    assert probing.ledger.lines() == []
    assert not (probing.directory / "probe.db").exists()


def test_once_shows_json(probing: Probing) -> None:
    """As GET /probes does, and with the same exit codes."""
    file = probing.write(YAML)
    probing.service.up()
    fine = json.loads(probing.run("-c", file, "--once", "--json").stdout)
    assert [(probe["name"], probe["up"], probe["last_result"]["success"]) for probe in fine] == [
        ("web", True, True),
        ("shop", True, True),
    ]
    probing.service.down()
    failed = json.loads(probing.run("-c", file, "--once", "--json", code=1).stdout)
    assert [probe["last_result"]["reason"] for probe in failed] == ["refused", "refused"]


def test_threads_bound_the_checks_in_flight(probing: Probing) -> None:
    """So many at once, the rest after them, and in the end all."""
    port = probing.service.port
    options = f"type = http\nhostname = 127.0.0.1\nport = {port}\naction = nginx\n"
    checks = "".join(f"[check {number}]\n{options}" for number in range(8))
    file = probing.write(INI + checks, general="[general]\nthreads = 3\n")
    probing.service.delay = 0.1
    probing.service.up()
    probing.run("-c", file, "--once")
    assert (probing.service.asked, probing.service.most_in_flight) == (9, 3)


# One pass


def test_one_pass_acts_on_what_changed(probing: Probing) -> None:
    """The first learns; each later one acts on what is not as the one before found it, once."""
    file = probing.write(YAML)
    happened = []
    for up in (True, False, False, True):
        (probing.service.up if up else probing.service.down)()
        probing.run("-c", file)
        happened.append(probing.ledger.lines()[-1:])
    demoted, promoted = ["nginx demote web"], ["nginx promote web"]
    assert happened == [[], demoted, demoted, promoted]
    assert probing.ledger.lines() == demoted + promoted


def test_one_pass_needs_no_patience(probing: Probing) -> None:
    """With a brake too it acts at once: what else fails is known by then."""
    file = probing.write(YAML.replace("share: 1", "at_least: 100, patience: 1h"))
    probing.service.up()
    probing.run("-c", file)
    probing.service.down()
    probing.run("-c", file)
    assert probing.ledger.lines() == ["nginx demote web"]


def test_one_pass_waits_for_its_commands(probing: Probing) -> None:
    """It ends when they have; one that fails is told in the log, and is not repeated by the next."""
    probing.ledger.command.write_text(
        f"#!/bin/sh\nsleep 0.3\necho $HEARTBEAT_KIND >> {probing.ledger.path}\nexit 3\n"
    )
    file = probing.write(YAML)
    probing.service.up()
    probing.run("-c", file)
    probing.service.down()
    failed = probing.run("-c", file)
    assert probing.ledger.lines() == ["demote"]
    assert "exit code 3" in failed.stderr
    probing.run("-c", file)
    assert probing.ledger.lines() == ["demote"]


# In the background


def test_a_daemon_lets_go_of_its_terminal(probing: Probing) -> None:
    """The command is over with code 0, and what goes on has neither its terminal nor its session."""
    file = probing.write(INI, general=GENERAL)
    master, slave = pty.openpty()
    started = subprocess.Popen(
        probing.command("-c", file, "-d"),
        stdin=slave,
        stdout=slave,
        stderr=slave,
        env=probing.environment,
        cwd=probing.directory,
        start_new_session=True,
    )
    os.close(slave)
    assert started.wait(10.0) == 0
    daemon = probing.daemon()
    with os.fdopen(master, "rb", buffering=0) as terminal, pytest.raises(OSError, match=HUNG_UP):
        terminal.read(1)  # if anybody had the other end, we would wait for what they write
    assert daemon.terminal() is None
    assert os.getsid(daemon.pid) not in (os.getsid(0), started.pid)
    assert daemon.cwd() == str(probing.directory)
    assert {open_.path for open_ in daemon.open_files()} >= {str(probing.pidfile)}


def test_a_daemon_from_start_to_end(probing: Probing) -> None:
    """It probes and acts, reads its file again on SIGHUP, keeps a second out, and ends on SIGTERM."""
    file = probing.write(INI, general=GENERAL + "daemonize = yes\n")
    probing.service.up()
    begun = probing.run("-c", file)
    assert (begun.stdout, begun.stderr) == ("", "")
    daemon = probing.daemon()
    eventually(lambda: probing.service.asked >= 2, within=30.0)

    second = probing.run("-c", file, code=ALREADY_RUNNING)
    assert second.stderr == (
        f"heartbeat-exporter: process {daemon.pid} is running already: it has probe.pid\n"
    )

    probing.service.down()
    eventually(lambda: probing.ledger.lines() == ["nginx demote web"], within=30.0)

    third = free_port()
    (probing.directory / file).write_text((probing.directory / file).read_text().replace("= http", "= htp"))
    daemon.send_signal(signal.SIGHUP)
    eventually(
        lambda: probing.said("configuration not reloaded: probes.conf: [web] type (line "), within=30.0
    )
    added = f"[added]\ntype = tcp\nhostname = 127.0.0.1\nport = {third}\ntimeout = 0.25\naction = nginx\n"
    probing.write(INI + added, general=GENERAL)
    daemon.send_signal(signal.SIGHUP)
    eventually(lambda: probing.said("configuration reloaded from probes.conf"), within=30.0)
    eventually(lambda: probing.said("probe added: unknown -> down (refused: "), within=30.0)

    daemon.send_signal(signal.SIGTERM)
    eventually(lambda: not alive(daemon), within=30.0)
    assert not probing.pidfile.exists()
    assert probing.ledger.lines() == ["nginx demote web"]
    assert (probing.directory / "probe.log").read_text().count('"level": "critical"') == 0


def test_a_daemon_that_was_killed_keeps_nobody_out(probing: Probing) -> None:
    """The next start takes its pidfile, knows its state, and acts on what changed meanwhile."""
    file = probing.write(INI, general=GENERAL)
    probing.service.up()
    probing.run("-c", file, "-d")
    daemon = probing.daemon()
    eventually(lambda: _stored(probing.directory / "probe.db") == ["promoted"], within=30.0)
    daemon.kill()
    eventually(lambda: not alive(daemon), within=30.0)
    assert probing.pidfile.read_text() == f"{daemon.pid}\n"
    probing.service.down()
    probing.run("-c", file)
    assert probing.ledger.lines() == ["nginx demote web"]
    assert not probing.pidfile.exists()


def _stored(path: Path) -> list[str]:
    with contextlib.closing(sqlite3.connect(path)) as database:
        with contextlib.suppress(sqlite3.OperationalError):
            return [json.loads(text)["state"] for (text,) in database.execute("SELECT state FROM actions")]
        return []


# Another user

only_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
NOBODY = "65534"


@pytest.fixture
def reachable() -> Iterator[Probing]:
    """In a directory that others can get at, which pytest's are not, and cannot write to."""
    with tempfile.TemporaryDirectory() as name, Service() as service:
        Path(name).chmod(0o755)
        probing = Probing(Path(name), service)
        probing.ledger = Ledger(Path(name), "$(id -u) $(id -g) $(id -G)")
        yield probing
        kill_those_left(probing.directory)


@only_root
def test_privileges_are_dropped_for_one_pass(reachable: Probing) -> None:
    """Commands run as the user and group of the file, who can use the files that root prepared."""
    file = reachable.write(INI, general=GENERAL + "user = nobody\ngroup = nogroup\n")
    reachable.service.up()
    reachable.run("-c", file, "--state", "state/deep/probe.db")
    reachable.service.down()
    reachable.run("-c", file, "--state", "state/deep/probe.db")
    assert reachable.ledger.lines() == [f"{NOBODY} {NOBODY} {NOBODY}"]
    state = reachable.directory / "state" / "deep"
    assert {str(path.stat().st_uid) for path in (state, *state.iterdir())} == {NOBODY}
    assert reachable.said("probe web: unknown -> down (refused: ") == 1


@only_root
def test_privileges_are_dropped_for_a_daemon(reachable: Probing) -> None:
    """The daemon itself is that user; its log goes on, and its pidfile keeps nobody out afterwards."""
    file = reachable.write(INI, general=GENERAL + "user = nobody\ngroup = daemon\n")
    reachable.service.up()
    reachable.run("-c", file, "-d", "--state", "state/probe.db")
    daemon = reachable.daemon()
    daemon_group = 1
    assert (set(daemon.uids()), set(daemon.gids())) == ({int(NOBODY)}, {daemon_group})
    assert reachable.run("-c", file, "-d", code=ALREADY_RUNNING).stderr.startswith(
        f"heartbeat-exporter: process {daemon.pid} is running already: "
    )
    eventually(lambda: _stored(reachable.directory / "state" / "probe.db") == ["promoted"], within=30.0)
    reachable.service.down()
    eventually(lambda: len(reachable.ledger.lines()) == 1, within=30.0)
    assert reachable.ledger.lines()[0].startswith(f"{NOBODY} {daemon_group} ")
    daemon.send_signal(signal.SIGHUP)
    eventually(lambda: reachable.said("configuration reloaded from probes.conf"), within=30.0)
    daemon.terminate()
    eventually(lambda: not alive(daemon), within=30.0)
    reachable.run("-c", file, "--state", "state/probe.db")
    assert len(reachable.ledger.lines()) == 1
