"""The journal and a real Redis that comes and goes, on a clock that runs twenty times as fast."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator, Callable
from contextlib import ExitStack
from pathlib import Path

import pytest
from redis import Redis

from exporter.core.events import Delete
from exporter.core.model import SECOND, Mono, Now, Status, Wall, WorkerId
from exporter.store import redis as redis_module
from exporter.store.base import Batch, Owner
from exporter.store.redis import RedisStore
from tests.exporter.store.records import record
from tests.exporter.store.rig import Rig
from tests.support.fleets import beat, connect, register
from tests.support.processes import free_port, redis_server

pytestmark = pytest.mark.servers("redis-server")

SPEED = 20


class FastClock:
    """Real waiting, but not as long."""

    def now(self) -> Now:
        return Now(Mono(round(time.monotonic() * SPEED * SECOND)), Wall(time.time()))

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds / SPEED)


class Server:
    """A Redis on one port that is started and killed; with `keep` it keeps its data on disk."""

    def __init__(self, directory: Path, *, keep: bool) -> None:
        self.port = free_port()
        self._directory = directory
        self._options = ["--appendonly", "yes", "--appendfsync", "always"] if keep else []
        self._running = ExitStack()

    def start(self) -> None:
        self._running.enter_context(redis_server(self._directory, port=self.port, options=self._options))

    def kill(self) -> None:
        self.signal(signal.SIGKILL)
        self._running.close()

    def signal(self, number: int) -> None:
        with Redis(port=self.port) as redis:
            self._pid = int(redis.info("server")["process_id"])
        os.kill(self._pid, number)

    def wake(self) -> None:
        os.kill(self._pid, signal.SIGCONT)

    def stop(self) -> None:
        self._running.close()

    def workers(self) -> set[str]:
        with Redis(port=self.port) as redis:
            return {worker_id.decode() for worker_id in redis.hkeys("workers")}


async def soon(check: Callable[[], object]) -> None:
    """Within what are twenty seconds and more to the journal."""
    deadline = time.monotonic() + 10.0
    while not check():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.01)


@pytest.fixture(params=[True, False], ids=["persistent", "in memory"])
async def server(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Server]:
    server = Server(tmp_path, keep=request.param)
    server.start()
    yield server
    server.stop()


@pytest.fixture
async def rig(server: Server, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Rig]:
    """Two workers, of which only the second ever changes again; all of it saved."""
    monkeypatch.setattr(redis_module, "TIMEOUT", 0.2)
    rig = Rig(RedisStore(f"redis://127.0.0.1:{server.port}/0"), FastClock())
    await rig.journal.start()
    await soon(lambda: not rig.journal.loading)
    rig.receive(register("w1"), register("w2"))
    await soon(lambda: server.workers() == {"w1", "w2"})
    yield rig
    await rig.journal.stop()


async def test_a_killed_redis_is_whole_again_when_it_is_back(rig: Rig, server: Server) -> None:
    """With its data or without: it has everybody, and who left meanwhile is gone."""
    server.kill()
    rig.receive(connect("w2"), beat("w2"), register("w3"), Delete(WorkerId("w1")))
    await soon(lambda: rig.metric("up") == 0)
    assert rig.journal.problem is not None
    rig.receive(register("w4"))
    assert not await rig.journal.written_through(WorkerId("w4"))
    server.start()
    await soon(lambda: server.workers() == {"w2", "w3", "w4"})
    await soon(lambda: rig.metric("up") == 1 and rig.metric("pending_writes") == 0)


async def test_an_outage_without_any_change_is_mended_too(rig: Rig, server: Server) -> None:
    """Nobody beats, and yet an empty Redis learns of everybody."""
    server.kill()
    await soon(lambda: rig.metric("up") == 0)
    server.start()
    await soon(lambda: server.workers() == {"w1", "w2"})


async def test_a_flushed_redis_is_written_again(rig: Rig, server: Server) -> None:
    """It never was away, so only its marker can tell."""
    with Redis(port=server.port) as redis:
        redis.flushall()
    await soon(lambda: server.workers() == {"w1", "w2"})
    assert rig.metric("up") == 1


async def test_a_frozen_redis_catches_up(rig: Rig, server: Server) -> None:
    """It took the bytes and answered nobody; what it does with them later does no harm."""
    server.signal(signal.SIGSTOP)
    rig.receive(register("w3"))
    assert not await rig.journal.written_through(WorkerId("w3"), timeout=1.0)
    await soon(lambda: rig.metric("up") == 0)
    server.wake()
    await soon(lambda: rig.metric("up") == 1)
    assert server.workers() == {"w1", "w2", "w3"}


async def test_a_full_redis_catches_up(rig: Rig, server: Server) -> None:
    """It is down for us until there is room, and loses nothing."""
    with Redis(port=server.port) as redis:
        redis.config_set("maxmemory", "1")
        rig.receive(register("w3"))
        await soon(lambda: rig.metric("up") == 0)
        await rig.clock.sleep(10.0)
        assert rig.metric("up") == 0
        redis.config_set("maxmemory", "0")
    await soon(lambda: rig.metric("up") == 1)
    assert server.workers() == {"w1", "w2", "w3"}


async def test_a_key_of_another_type_is_not_taken_for_lost_data(rig: Rig, server: Server) -> None:
    """It is left alone and named, and when it is moved away everybody is there again."""
    with Redis(port=server.port) as redis:
        redis.delete("workers")
        redis.set("workers", "mine")
        await soon(lambda: rig.metric("up") == 0)
        assert "key `workers` holds a string, expected a hash" in (rig.journal.problem or "")
        assert redis.get("workers") == b"mine"
        redis.rename("workers", "kept")
    await soon(lambda: server.workers() == {"w1", "w2"})


async def test_another_exporter_that_took_over_is_reported(rig: Rig, server: Server) -> None:
    """Our lease had run out; what the other one wrote stands."""
    other = RedisStore(f"redis://127.0.0.1:{server.port}/0", Owner("db2", 9, "token"))
    with Redis(port=server.port) as redis:
        redis.delete("heartbeat:lease")
        assert await other.acquire() is None
    rig.receive(connect("w1"), beat("w1"))
    await soon(lambda: rig.lost)
    assert rig.lost[0].holder == Owner("db2", 9, "token")
    with Redis(port=server.port) as redis:
        assert b'"status":"registered"' in redis.hget("workers", "w1")
    await other.close()


async def test_a_redis_that_was_away_at_the_start_is_merged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Workers are let in without it; when it comes, both sides know everybody, and live state wins."""
    monkeypatch.setattr(redis_module, "TIMEOUT", 0.2)
    server = Server(tmp_path, keep=True)
    server.start()
    before = RedisStore(f"redis://127.0.0.1:{server.port}/0")
    await before.save(Batch([record("w1", heartbeats=7), record("w2")]))
    await before.release()
    await before.close()
    server.kill()
    rig = Rig(RedisStore(f"redis://127.0.0.1:{server.port}/0"), FastClock())
    await rig.journal.start()
    await soon(lambda: not rig.journal.loading)
    rig.receive(register("w1"), register("w3"))
    server.start()
    await soon(lambda: server.workers() == {"w1", "w2", "w3"})
    rows = {row.facts.worker_id: row for row in rig.fleet.rows(rig.fleet.ids(), rig.clock.now())}
    assert set(rows) == {"w1", "w2", "w3"}
    assert (rows[WorkerId("w1")].status, rows[WorkerId("w2")].status) == (Status.REGISTERED, Status.ALIVE)
    assert rows[WorkerId("w1")].carried.heartbeats == 7
    await rig.journal.stop()
    server.stop()
