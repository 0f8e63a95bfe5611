"""The file of the small daemon Heartbeat, unchanged, with a real server and real commands."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.processes import eventually, kill_those_left
from tests.support.services import Ledger, Service
from tests.support.serving import environment, exporter

pytestmark = pytest.mark.slow

# As its users have it, only paths, ports and times are those of a test.
FILE = """\
[general]
user = None
group = None
logfile = {directory}/heartbeat.log
loglevel = INFO
pidfile = {directory}/heartbeat.pid
threads = 10
daemonize = {daemonize}
interval = 1

[promotions]
nginx = {command} "start nginx"

[demotions]
nginx = {command} "stop nginx"

[webapp]
type = http
hostname = localhost
port = {port}
path = /app/login
timeout = 1
action = nginx

[ssh]
type = tcp
hostname = 127.0.0.1
port = {port}
timeout = 1
action = nginx
"""

PROMOTED = "start nginx: nginx promote up"
DEMOTED = "stop nginx: nginx demote down"


class Installation:
    """The file in its directory, and what happens there."""

    def __init__(self, directory: Path, service: Service) -> None:
        self.directory = directory
        self.service = service
        self.ledger = Ledger(directory, "$1: $HEARTBEAT_ACTION $HEARTBEAT_KIND $HEARTBEAT_STATE")
        self.file = directory / "heartbeat.conf"
        self.pidfile = directory / "heartbeat.pid"

    def write(self, daemonize: bool) -> None:
        self.file.write_text(
            FILE.format(
                directory=self.directory,
                command=self.ledger.command,
                port=self.service.port,
                daemonize=daemonize,
            )
        )

    def run(self) -> None:
        """What a line in the crontab or in rc.local does."""
        done = subprocess.run(
            [sys.executable, "-m", "exporter", "probe", "-c", str(self.file)],
            capture_output=True,
            text=True,
            timeout=30.0,
            env=environment(SQLITE_PATH=self.directory / "probe.db"),
            cwd="/",
            check=False,
        )
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")

    def log(self) -> str:
        return (self.directory / "heartbeat.log").read_text()


@pytest.fixture
def installation(tmp_path: Path) -> Iterator[Installation]:
    with Service() as service:
        installation = Installation(tmp_path, service)
        yield installation
        kill_those_left(tmp_path)


def test_pass_by_pass(installation: Installation) -> None:
    """Started again and again: each change is acted on once, and nothing is done for its repetition."""
    installation.write(daemonize=False)
    happened = []
    for up in (False, False, True, True, False, False):
        (installation.service.up if up else installation.service.down)()
        installation.run()
        happened.append(installation.ledger.lines())
    assert happened == [
        [],
        [],
        [PROMOTED],
        [PROMOTED],
        [PROMOTED, DEMOTED],
        [PROMOTED, DEMOTED],
    ]
    assert not installation.pidfile.exists()


def test_as_a_daemon(installation: Installation) -> None:
    """From the start with nothing there to a promotion, a demotion, and an orderly end."""
    installation.write(daemonize=True)
    installation.run()
    eventually(lambda: installation.log().count("unknown -> down (refused: ") == 2, within=10)
    installation.service.up()
    eventually(lambda: installation.ledger.lines() == [PROMOTED], within=10)
    eventually(lambda: installation.service.asked >= 3, within=10)
    installation.service.down()
    eventually(lambda: installation.ledger.lines() == [PROMOTED, DEMOTED], within=10)
    os.kill(int(installation.pidfile.read_text()), signal.SIGTERM)
    eventually(lambda: not installation.pidfile.exists(), within=10)
    assert installation.ledger.lines() == [PROMOTED, DEMOTED]


def test_beside_the_heartbeats(installation: Installation, tmp_path: Path) -> None:
    """`serve` takes the same file; how the daemon ran, pidfile and all, is not its business."""
    installation.write(daemonize=True)
    installation.service.up()
    with exporter(tmp_path, arguments=["-c", str(installation.file)]) as serving:
        eventually(lambda: [probe["up"] for probe in serving.get("/probes")] == [True, True], within=10)
        eventually(lambda: serving.get("/actions")["actions"][0]["state"] == "promoted", within=5)
        installation.service.down()
        eventually(lambda: installation.ledger.lines() == [DEMOTED], within=10)
        eventually(lambda: serving.metric('heartbeat_action_state{action="nginx"}') == 0.0, within=5)
        assert serving.end() == 0
        assert serving.complaints() == []
    assert not installation.pidfile.exists()
