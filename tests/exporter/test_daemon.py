"""Probing without a server, as far as it needs no processes; those are in tests/integration."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from exporter import daemon
from exporter.api.probes import describe
from exporter.configuration.model import Configuration
from exporter.configuration.model import Daemon as Wanted
from exporter.core.model import Wall
from exporter.core.probing import Failure, History, ProbeRow, Result
from exporter.errors import AlreadyRunning, StoreInUse, StoreUnusable, UsageError
from exporter.pidfile import PidFile
from exporter.privileges import Account
from exporter.settings import Settings
from exporter.store.base import this_process
from exporter.store.lockfile import LockFile

AT = Wall(1_700_000_000.5)

UP = ProbeRow("db", "tcp", "db:5432", True, AT, Result(AT, 0.0124), 1, (), History())
FAILED = Result(AT, 5.0, Failure.TIMEOUT, "no answer within 5 s (connect)")
DOWN = UP._replace(name="webapp", kind="http", target="http://web:8080/login", up=False, last=FAILED)
NEVER = UP._replace(name="chat", kind="websocket", target="ws://chat/", up=None, since=None, last=None)


# What is shown


def test_the_table() -> None:
    """A line for each probe: what it found, how long that took, and why it failed."""
    assert daemon.shown([UP, DOWN, NEVER], as_json=False) == (
        "probe   kind       target                 result   seconds  detail\n"
        "db      tcp        db:5432                ok       0.012\n"
        "webapp  http       http://web:8080/login  timeout  5.000    no answer within 5 s (connect)\n"
        "chat    websocket  ws://chat/             -        -\n"
    )


def test_no_probes() -> None:
    """A table without lines, and a list without elements."""
    assert daemon.shown([], as_json=False) == "probe  kind  target  result  seconds  detail\n"
    assert daemon.shown([], as_json=True) == "[]\n"


def test_json_is_what_the_api_shows() -> None:
    """GET /probes, indented, with the end of a line."""
    text = daemon.shown([UP, DOWN, NEVER], as_json=True)
    assert json.loads(text) == [describe(row) for row in (UP, DOWN, NEVER)]
    assert text.startswith('[\n  {\n    "name": "db",\n')
    assert text.endswith("\n]\n")


def test_looking_at_nothing() -> None:
    """A file without probes is looked at in no time, and all of them are fine."""
    assert daemon.look(Configuration()) == []


@pytest.mark.parametrize(("uid", "became"), [(0, [os.getuid()]), (1000, [])])
def test_looking_as_the_user(uid: int, became: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    """Root drops its privileges for a look as well; others may look though they cannot become the user."""
    found: list[int] = []
    monkeypatch.setattr(os, "geteuid", lambda: uid)
    monkeypatch.setattr(Account, "become", lambda account: found.append(account.uid))
    daemon.look(Configuration(daemon=Wanted(user=str(os.getuid()))))
    assert found == became


# Where the state is kept


@pytest.mark.parametrize(
    ("uid", "variables", "path"),
    [
        (0, {}, "/var/lib/heartbeat-exporter/probe.db"),
        (0, {"XDG_STATE_HOME": "/elsewhere"}, "/var/lib/heartbeat-exporter/probe.db"),
        (1000, {}, "/home/somebody/.local/state/heartbeat-exporter/probe.db"),
        (1000, {"XDG_STATE_HOME": "/elsewhere"}, "/elsewhere/heartbeat-exporter/probe.db"),
        (1000, {"XDG_STATE_HOME": ""}, "/home/somebody/.local/state/heartbeat-exporter/probe.db"),
    ],
)
def test_the_state_has_a_place(
    uid: int, variables: dict[str, str], path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Root's is the system's; that of others is where programs of theirs keep such things."""
    monkeypatch.setattr(os, "geteuid", lambda: uid)
    monkeypatch.delenv("XDG_STATE_HOME", raising=False)
    for name, value in {"HOME": "/home/somebody", **variables}.items():
        monkeypatch.setenv(name, value)
    assert daemon.default_state() == Path(path)


# What is prepared, and in which order


class Files:
    """The files of a run that becomes another user, and what was there when it did."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.pidfile = directory / "probe.pid"
        self.logfile = directory / "probe.log"
        self.state = directory / "state" / "probe.db"
        self.there: list[str] = []

    def run(self, **wanted: object) -> None:
        settings = Settings(_env_file=None)
        given = {"pidfile": self.pidfile, "logfile": self.logfile, **wanted}
        configuration = Configuration(daemon=Wanted(**given))  # type: ignore[arg-type]  # fields of many types
        run = daemon.stay if configuration.daemon.daemonize else daemon.act_once
        run(settings, configuration, self.state)

    def look(self) -> list[str]:
        return sorted(str(path.relative_to(self.directory)) for path in self.directory.rglob("*"))


@pytest.fixture
def files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bare_environment: None, logging_as_found: None
) -> Files:
    files = Files(tmp_path)
    monkeypatch.setattr(Account, "become", lambda account: files.there.extend(files.look()))
    return files


def test_files_come_before_the_change_of_user(files: Files) -> None:
    """The user may not be allowed to write where they are; what only the user needs comes after."""
    files.run(user=str(os.getuid()))
    assert files.there == ["probe.log", "probe.pid", "state"]
    assert files.look() == ["probe.log", "state", "state/probe.db", "state/probe.db.lock"]


def test_without_a_user_nobody_changes(files: Files) -> None:
    """Then the run is whoever started it."""
    files.run()
    assert files.there == []


def test_an_unknown_user_leaves_nothing_behind(files: Files) -> None:
    """It is the first that is looked at."""
    with pytest.raises(UsageError, match=r"^user no-such-user is not known to this system$"):
        files.run(user="no-such-user")
    assert files.look() == []


def test_a_logfile_that_cannot_be_written(files: Files) -> None:
    """A sentence that names it; the pidfile is taken back."""
    logfile = files.directory / "missing" / "probe.log"
    with pytest.raises(UsageError) as refused:
        files.run(logfile=logfile)
    assert str(refused.value) == f"logfile {logfile} cannot be written: No such file or directory"
    assert files.look() == []


def test_a_state_that_cannot_be_kept(files: Files) -> None:
    """Its directory would be made, but not in place of a file; the flag is named."""
    files.state.parent.write_text("")
    with pytest.raises(UsageError) as refused:
        files.run()
    assert str(refused.value) == f"{files.state.parent} cannot be made: File exists; --state names a file"


@pytest.mark.parametrize("daemonize", [False, True])
def test_a_state_that_is_no_database(files: Files, daemonize: bool) -> None:
    """Is told before anything is probed, and before the terminal is let go; the pidfile is taken back."""
    files.state.mkdir(parents=True)
    with pytest.raises(StoreUnusable, match=f"^SQLite file {files.state} cannot be opened or claimed: "):
        files.run(daemonize=daemonize)
    assert not files.pidfile.exists()


@pytest.mark.parametrize("daemonize", [False, True])
def test_a_state_that_another_has(files: Files, daemonize: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """A second one without a pidfile, or with another; it waits a moment for the first to end."""
    monkeypatch.setattr("exporter.store.lease.LEASE_SECONDS", 0)
    files.state.parent.mkdir()
    lock = LockFile(files.state.with_name("probe.db.lock"), this_process())
    assert lock.acquire() is None
    with pytest.raises(StoreInUse, match=f"is in use by another exporter \\(pid {os.getpid()} on "):
        files.run(daemonize=daemonize)
    lock.release()
    assert not files.pidfile.exists()


def test_two_passes_at_once(files: Files) -> None:
    """The second says who holds the pidfile, and leaves it to them."""
    first = PidFile(files.pidfile)
    first.write()
    with pytest.raises(AlreadyRunning, match=f"^process {os.getpid()} is running already: it has "):
        files.run()
    assert files.look() == ["probe.pid"]
    first.remove()


@pytest.mark.parametrize(("loglevel", "lines"), [(None, 1), ("INFO", 1), ("WARNING", 0)])
def test_a_pass_speaks_as_the_file_says(files: Files, loglevel: str | None, lines: int) -> None:
    """`loglevel` wins over the settings; what the log had before stays."""
    files.logfile.write_text("before\n")
    files.run(loglevel=loglevel)
    before, *said = files.logfile.read_text().splitlines()
    assert (before, len(said)) == ("before", lines)
