"""`heartbeat-exporter probe`: probes and actions without a server, as the small daemon Heartbeat had them.

look        one pass, shown and not acted upon
act_once    one pass, compared with what an earlier one has left, acted upon
stay        pass after pass in the background
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import signal
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import TextIO

import daemon
from prometheus_client import CollectorRegistry

from exporter import logs
from exporter.api.probes import describe
from exporter.app import Exporter
from exporter.clock import SystemClock
from exporter.configuration.model import Configuration
from exporter.configuration.summary import table
from exporter.core.probing import ProbeRow
from exporter.errors import StoreInUse, StoreUnusable, UsageError
from exporter.pidfile import PidFile
from exporter.privileges import Account
from exporter.probes.probing import Probing
from exporter.settings import Settings
from exporter.store.base import LeaseHeld, StoreError
from exporter.store.lease import Lease
from exporter.store.sqlite import SQLiteStore
from exporter.telemetry import Telemetry

_COLUMNS = ("probe", "kind", "target", "result", "seconds", "detail")

logger = logging.getLogger(__name__)


def look(configuration: Configuration) -> list[ProbeRow]:
    """Probe everything once; nothing is remembered and no action runs.

    Raises:
        UsageError: user or group cannot be had. Who could not become them anyway looks as who they are.
    """
    if os.geteuid() == 0 and (account := _account(configuration)) is not None:
        account.become()

    async def once() -> list[ProbeRow]:
        probing = Probing(
            configuration.probes,
            concurrency=configuration.concurrency,
            clock=SystemClock(),
            telemetry=Telemetry(CollectorRegistry()),
        )
        return await probing.once()

    return asyncio.run(once())


def shown(rows: Sequence[ProbeRow], *, as_json: bool) -> str:
    """The last results for people, or for programs: the same as GET /probes."""
    if as_json:
        return json.dumps([describe(row) for row in rows], indent=2) + "\n"
    return "\n".join(table(_COLUMNS, [_cells(row) for row in rows])) + "\n"


def act_once(settings: Settings, configuration: Configuration, state: Path) -> None:
    """Probe everything once, run the actions whose state has changed since the last time, and end.

    Raises:
        UsageError: user or group cannot be had, or a file cannot be written.
        AlreadyRunning: another process has the pidfile.
        StoreInUse, StoreUnusable: likewise of the state.
        SystemExit: a signal ended it; so are the commands that were under way.
    """
    # All that fails is known before anything is acted upon: there is nothing to wait for.
    at_once = replace(configuration, brake=replace(configuration.brake, patience=0.0))
    with ExitStack() as held:
        _prepare(settings, configuration, state, held)
        exporter = _exporter(settings, at_once, state)
        asyncio.run(_unless_told(exporter))


def stay(settings: Settings, configuration: Configuration, state: Path) -> None:
    """Go into the background and probe until SIGTERM; SIGHUP reads the configuration again.

    What is wrong is told before the terminal is let go. Raises as `act_once`.
    """
    with ExitStack() as held:
        kept = _prepare(settings, configuration, state, held)
        exporter_log = kept.log
        with daemon.DaemonContext(
            # Relative paths in the configuration go on meaning what they meant.
            working_directory=os.getcwd(),
            umask=0o022,
            detach_process=True,
            files_preserve=[file for file in (kept.pidfile, exporter_log) if file is not None],
            stdout=exporter_log,
            stderr=exporter_log,
            # Until the loop hears it: a file that was just read need not be read again.
            signal_map={signal.SIGHUP: None},
        ):
            kept.say_who()
            asyncio.run(_until_told(_exporter(settings, configuration, state)))


class _Kept:
    """What a process holds while it probes."""

    def __init__(self, log: TextIO | None, pidfile: PidFile | None) -> None:
        self.log = log
        self._pidfile = pidfile

    @property
    def pidfile(self) -> int | None:
        return None if self._pidfile is None else self._pidfile.file

    def say_who(self) -> None:
        if self._pidfile is not None:
            self._pidfile.write()


def _prepare(settings: Settings, configuration: Configuration, state: Path, held: ExitStack) -> _Kept:
    """Files first, as whoever started us may write where the user that we become may not."""
    wanted = configuration.daemon
    account = _account(configuration)
    pidfile = None
    if wanted.pidfile is not None:
        pidfile = PidFile(wanted.pidfile)
        held.callback(pidfile.remove)
        pidfile.write()
    log = None
    if wanted.logfile is not None:
        log = held.enter_context(_appended(wanted.logfile))
    logs.configure(wanted.loglevel or settings.log_level, settings.log_format, stream=log)
    _make_directory(state.parent, account)
    if account is not None:
        account.become()
    asyncio.run(_try_out(SQLiteStore(state)))
    return _Kept(log, pidfile)


def _account(configuration: Configuration) -> Account | None:
    return Account.of(configuration.daemon.user, configuration.daemon.group)


def _appended(path: Path) -> TextIO:
    try:
        return path.open("a", buffering=1)
    except OSError as error:
        raise UsageError(f"logfile {path} cannot be written: {error.strerror}") from None


def _make_directory(path: Path, account: Account | None) -> None:
    """The state's database has files beside it, so whoever we become gets the directory."""
    if path.is_dir():
        return
    try:
        path.mkdir(parents=True)
        if account is not None:
            os.chown(path, account.uid, account.gid)
    except OSError as error:
        raise UsageError(f"{path} cannot be made: {error.strerror}; --state names a file") from None


async def _try_out(store: SQLiteStore) -> None:
    """Once we are in the background nobody hears that the state cannot be had."""
    try:
        await store.open()
        await Lease(store, SystemClock()).take(asyncio.Event())
        await store.release()
    except LeaseHeld as held:
        raise StoreInUse(str(held)) from None
    except StoreError as error:
        if error.permanent:  # else it may be over by then
            raise StoreUnusable(str(error)) from None
    finally:
        await store.close()


def _exporter(settings: Settings, configuration: Configuration, state: Path) -> Exporter:
    return Exporter(settings, configuration, SystemClock(), SQLiteStore(state), workers=False)


async def _unless_told(exporter: Exporter) -> None:
    """One pass; or less, for commands have process groups of their own, and would go on without us."""
    loop, task = asyncio.get_running_loop(), asyncio.current_task()
    assert task is not None, "a coroutine runs in a task"
    told: list[int] = []

    def end(number: int) -> None:
        told.append(number)
        task.cancel()

    for number in (signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, end, number)
    try:
        await exporter.pass_once()
    except asyncio.CancelledError:
        if told:
            sys.exit(128 + told[0])
        raise


async def _until_told(exporter: Exporter) -> None:
    told = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, told.set)
    async with exporter.running():
        logger.info("probing; SIGTERM ends it")
        await told.wait()


def _cells(row: ProbeRow) -> Sequence[str]:
    last = row.last
    if last is None:
        return (row.name, row.kind, row.target, "-", "-", "")
    result = "ok" if last.failure is None else last.failure.value
    return (row.name, row.kind, row.target, result, f"{last.duration:.3f}", last.detail)


def default_state() -> Path:
    """Where the state is kept when nobody says otherwise."""
    if os.geteuid() == 0:
        return Path("/var/lib/heartbeat-exporter/probe.db")
    home = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(home) / "heartbeat-exporter" / "probe.db"
