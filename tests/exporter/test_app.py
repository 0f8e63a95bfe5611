"""What the composition root sees to: which store, what comes and goes in which order, and how it ends."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from fastapi import FastAPI

from exporter.app import create_app, make_store
from exporter.core.model import Status
from exporter.errors import UsageError
from exporter.settings import Settings
from exporter.store.base import Owner, StoreError
from exporter.store.redis import RedisStore
from exporter.store.sqlite import SQLiteStore
from exporter.telemetry import Operation
from tests.exporter.store.records import record
from tests.support.application import running
from tests.support.clock import FakeClock
from tests.support.stores import MemoryStore

ROOT = Path(__file__).parents[2]
ANOTHER = Owner("elsewhere", 7, "another")


@pytest.fixture
def exit_codes(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The codes that the process would have ended with."""
    codes: list[int] = []
    monkeypatch.setattr(os, "_exit", codes.append)
    return codes


@pytest.fixture(autouse=True)
def handlers_as_found() -> Iterator[None]:
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    yield
    assert before == {number: signal.getsignal(number) for number in before}


def settings(**given: object) -> Settings:
    return Settings(_env_file=None, **given)  # type: ignore[arg-type]  # fields of many types


def test_redis_is_the_default_and_a_path_chooses_sqlite(bare_environment: None) -> None:
    """With both named the file wins: it can only have been set on purpose."""
    assert isinstance(make_store(settings()), RedisStore)
    chosen = make_store(settings(sqlite_path="registry.db", redis_url="redis://localhost"))
    assert isinstance(chosen, SQLiteStore)
    assert chosen.where == "SQLite file registry.db"


def test_an_option_that_redis_does_not_know_is_a_wrong_setting(bare_environment: None) -> None:
    """It is named without the rest of the URL."""
    with pytest.raises(UsageError, match=r"^REDIS_URL=\*\*\*\*: .*socket_timeout") as wrong:
        make_store(settings(redis_url="redis://:geheim@localhost?socket_timeout=soon"))
    assert "geheim" not in str(wrong.value)


def test_a_store_that_is_not_used_is_not_imported() -> None:
    """An exporter with a file needs no memory for a client of Redis."""
    code = (
        "import sys; from exporter.app import create_app; from exporter.settings import Settings;"
        "create_app(Settings(sqlite_path='registry.db')); print('redis' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True)
    assert done.stdout == "False\n"


async def test_what_a_store_remembers_is_shown_everywhere() -> None:
    """Its workers with their status, and their changes among the latest of all."""
    async with running(MemoryStore([record("w1")])) as exporter:
        assert (await exporter.worker("w1"))["status"] == "alive"
        changes = (await exporter.http.get("/transitions")).json()
        assert [change["to"] for change in changes] == ["alive", "connected", "registered"]


async def test_without_workers_those_of_the_store_are_left_alone() -> None:
    """They are neither judged nor shown, and whoever takes heartbeats next finds them as they were."""
    store = MemoryStore([record("w1")])
    app = create_app(settings(), clock=FakeClock(), store=store, workers=False)
    exporter = app.state.exporter
    async with exporter.lifespan(app):
        while exporter.loading:
            await asyncio.sleep(0.01)
        assert "w1" not in exporter.fleet
    assert list(store.records.values()) == [record("w1")]


def test_what_only_a_daemon_heeds_is_told(
    bare_environment: None, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Whoever serves the daemon's file must not believe that the commands run as its user."""
    file = tmp_path / "heartbeat.conf"
    file.write_text("[general]\nuser = nobody\nthreads = 5\ninterval = 9\npidfile = x.pid\ndaemonize = no\n")
    create_app(settings(config_file=file, sqlite_path=tmp_path / "registry.db"))
    assert caplog.messages == [f"[general] user, pidfile of {file}: heeded by heartbeat-exporter probe only"]


async def test_its_own_end_writes_what_is_left_and_closes_the_store() -> None:
    """The last heartbeat and the last change are in the store; the status is the one before the end."""
    store = MemoryStore()
    async with running(store) as exporter:
        await exporter.register(worker_id="w")
        socket = await exporter.connect("w")
        await socket.send({"type": "heartbeat"})
        exporter.stop_judging()
        await socket.drop(1012)
    assert store.closed
    assert [kept.status for kept in store.records.values()] == [Status.ALIVE]
    assert [change.to_name for change in store.transitions] == ["registered", "connected", "alive"]


async def test_a_signal_stops_the_judging_before_the_server_closes_sockets() -> None:
    """The handler that was there is called as ever, and is put back at the end."""
    heard: list[int] = []
    before = signal.signal(signal.SIGTERM, lambda number, frame: heard.append(number))
    try:
        async with running() as exporter:
            await exporter.register(worker_id="w")
            socket = await exporter.connect("w")
            await socket.send({"type": "heartbeat"})
            signal.raise_signal(signal.SIGTERM)
            await socket.drop(1012)
            assert (await exporter.worker("w"))["status"] == "alive"
            assert (await exporter.http.get("/health/ready")).status_code == 503
        signal.raise_signal(signal.SIGTERM)
        assert heard == [signal.SIGTERM, signal.SIGTERM]
    finally:
        signal.signal(signal.SIGTERM, before)


async def test_a_store_in_use_ends_the_process(
    exit_codes: list[int], caplog: pytest.LogCaptureFixture
) -> None:
    """After the time in which a dead holder's lease would have run out; code 4, and it is named."""
    store = MemoryStore()
    store.holder = ANOTHER
    async with running(store, wait=False):
        assert exit_codes == [4]
    (critical,) = [line.getMessage() for line in caplog.records if line.levelname == "CRITICAL"]
    assert critical.startswith("memory is in use by another exporter (pid 7 on elsewhere), and ")


async def test_a_start_that_waits_for_a_store_can_be_given_up(exit_codes: list[int]) -> None:
    """A signal to end is heeded at once, and is no failure; the store is let go."""
    store, clock = MemoryStore(), FakeClock()
    store.holder = ANOTHER
    app = create_app(settings(), clock=clock, store=store)
    async with AsyncExitStack() as stack:
        start = asyncio.create_task(stack.enter_async_context(app.router.lifespan_context(app)))
        await clock.jump(1)
        assert not start.done()
        app.state.exporter.stop_judging()
        await asyncio.wait_for(start, 5)
    assert (exit_codes, store.closed) == ([], True)


async def test_a_lease_that_is_lost_ends_the_process(
    exit_codes: list[int], caplog: pytest.LogCaptureFixture
) -> None:
    """What it would have written belongs to another now; code 4."""
    store = MemoryStore()
    async with running(store) as exporter:
        store.holder = ANOTHER
        await exporter.register(worker_id="w")
        await exporter.clock.jump(5)
        assert exit_codes == [4]
    assert store.records == {}
    assert "pid 7 on elsewhere" in caplog.text


class Unusable(MemoryStore):
    async def open(self) -> None:
        raise StoreError(self.where, Operation.LEASE, "it is not a database", permanent=True)


async def test_a_store_that_cannot_be_opened_ends_the_process(
    exit_codes: list[int], caplog: pytest.LogCaptureFixture
) -> None:
    """Waiting would not mend it; code 6, and the sentence of the store."""
    async with running(Unusable(), wait=False):
        assert exit_codes == [6]
    (critical,) = [line.getMessage() for line in caplog.records if line.levelname == "CRITICAL"]
    assert critical == "memory cannot be opened or claimed: it is not a database"


async def test_two_exporters_in_one_process_share_nothing() -> None:
    """Fleet, store and counters belong to the application."""
    async with running() as one, running() as other:
        await one.register(worker_id="w")
        socket = await one.connect("w")
        assert (await other.http.get("/workers")).json() == []
        assert await other.metric("heartbeat_connections_opened_total") == [
            "heartbeat_connections_opened_total 0.0"
        ]
        assert await one.metric("heartbeat_connections_opened_total") == [
            "heartbeat_connections_opened_total 1.0"
        ]
        await socket.drop()


def test_making_an_application_starts_nothing(bare_environment: None, tmp_path: Path) -> None:
    """Files and connections are opened when it is served."""
    app = create_app(settings(sqlite_path=tmp_path / "registry.db"))
    assert isinstance(app, FastAPI)
    assert list(tmp_path.iterdir()) == []
