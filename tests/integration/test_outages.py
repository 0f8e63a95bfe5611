"""Redis away, emptied or misused under a real exporter: it serves and judges, says so, and mends."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from redis import Redis

from exporter.store.codec import Encoder
from tests.exporter.store.records import record
from tests.support.processes import eventually, free_port, http_get, redis_server
from tests.support.serving import Serving, exporter

pytestmark = [pytest.mark.slow, pytest.mark.servers("redis-server")]

BACK_WITHIN = 20.0
"""Seconds until the store is whole again: the longest pause between two attempts, and a busy machine."""

ON_DISK = ("--appendonly", "yes", "--appendfsync", "always")


@contextmanager
def exporter_with(directory: Path, port: int, *, wait: bool = True) -> Iterator[Serving]:
    """An exporter with this Redis, whose workers get a second."""
    variables = {"HEARTBEAT_INTERVAL": 0.5, "HEARTBEAT_TIMEOUT": 1, "LOG_LEVEL": "DEBUG"}
    with exporter(directory, wait=wait, REDIS_HOST="127.0.0.1", REDIS_PORT=port, **variables) as serving:
        yield serving


def stored(port: int) -> dict[str, str]:
    """The status of each worker, as `HGETALL workers` shows it."""
    with Redis(port=port) as redis:
        return {key.decode(): json.loads(text)["status"] for key, text in redis.hgetall("workers").items()}


def whole(serving: Serving, port: int) -> bool:
    shown = {worker["worker_id"]: worker["status"] for worker in serving.get("/workers")}
    return stored(port) == shown and serving.metric("heartbeat_store_up") == 1.0


def live_and_die(serving: Serving, worker_id: str) -> None:
    """A worker registers, beats, is cut off, and is judged for it."""
    serving.register(worker_id)
    with serving.connect(worker_id) as connection:
        connection.send('{"type":"heartbeat"}')
        eventually(lambda: serving.status(worker_id) == "alive", within=10)
    eventually(lambda: serving.status(worker_id) == "not_responding", within=10)


def assert_says_so(serving: Serving, port: int, problem: str) -> None:
    """On /metrics, on /health, which stays 200, and in the log."""
    assert serving.metric("heartbeat_store_up") == 0.0
    # For the moment of an attempt what is being written counts as written.
    eventually(lambda: serving.metric("heartbeat_store_pending_writes") > 0.0, within=10)
    health = serving.get("/health")
    assert health["status"] == "degraded"
    assert health["checks"]["store"]["status"] == "degraded"
    assert problem in health["checks"]["store"]["error"]
    assert serving.get("/health/ready")["status"] == "degraded"
    told = [*serving.said("warning"), *serving.said("error")]
    assert any(line.startswith(f"Redis at 127.0.0.1:{port}/0 ") and problem in line for line in told)


def assert_mends(serving: Serving, port: int) -> None:
    eventually(lambda: whole(serving, port), within=BACK_WITHIN, what="the store is whole again")
    health = serving.get("/health")
    assert (health["status"], health["checks"]["store"]["error"]) == ("healthy", None)
    assert any(" is back and up to date after " in line for line in serving.said("info"))


def test_redis_down_at_the_start(tmp_path: Path) -> None:
    """The exporter goes on without after a while, and takes in the earlier fleet when Redis comes."""
    port = free_port()
    with redis_server(tmp_path, port=port, options=ON_DISK), Redis(port=port) as redis:
        redis.hset("workers", "earlier", Encoder("before").encode(record("earlier")))
    with exporter_with(tmp_path, port, wait=False) as serving:
        assert serving.get("/health")["checks"]["registry"]["status"] == "degraded"
        with pytest.raises(OSError, match="503"):
            serving.register("w")
        eventually(lambda: http_get(f"{serving.url}/-/ready"), within=15)
        live_and_die(serving, "w")
        assert_says_so(serving, port, "Connection refused")
        with redis_server(tmp_path, port=port, options=ON_DISK):
            assert_mends(serving, port)
            assert set(stored(port)) == {"earlier", "w"}
            assert serving.complaints() == []


def test_redis_killed_and_replaced_by_an_empty_one(tmp_path: Path) -> None:
    """Workers come, live and die meanwhile; the empty one gets the whole fleet."""
    port = free_port()
    with ExitStack() as first:
        first.enter_context(redis_server(tmp_path, port=port))
        serving = first.enter_context(exporter_with(tmp_path, port))
        live_and_die(serving, "before")
        with Redis(port=port) as redis:
            os.kill(int(redis.info("server")["process_id"]), signal.SIGKILL)
        live_and_die(serving, "meanwhile")
        assert_says_so(serving, port, "Connection refused")
        with redis_server(tmp_path, port=port):
            assert_mends(serving, port)
            assert set(stored(port)) == {"before", "meanwhile"}
            assert serving.metric('heartbeat_store_failures_total{operation="save"}') >= 1.0
            assert serving.complaints() == []
            serving.end()


def test_redis_flushed(redis_port: int, tmp_path: Path) -> None:
    """Not an outage: it answers, so it is up all the time; what it lost is written again."""
    with exporter_with(tmp_path, redis_port) as serving, Redis(port=redis_port) as redis:
        for number in range(5):
            serving.register(f"w{number}")
        redis.flushall()
        eventually(lambda: whole(serving, redis_port), within=BACK_WITHIN)
        assert len(stored(redis_port)) == 5
        assert any("has lost what was saved" in line for line in serving.said("warning"))
        assert serving.complaints() == []


def test_another_type_under_workers(redis_port: int, tmp_path: Path) -> None:
    """Somebody's key is left alone and named; when it is gone, the fleet is written."""
    with exporter_with(tmp_path, redis_port) as serving, Redis(port=redis_port) as redis:
        serving.register("before")
        redis.delete("workers")
        redis.set("workers", "not ours")
        live_and_die(serving, "meanwhile")
        assert_says_so(serving, redis_port, "key `workers` holds a string, expected a hash")
        assert redis.get("workers") == b"not ours"
        redis.delete("workers")
        assert_mends(serving, redis_port)
        assert set(stored(redis_port)) == {"before", "meanwhile"}


def test_a_corrupt_record_costs_nobody_else(redis_port: int, tmp_path: Path) -> None:
    """It is put aside as it is, told and counted; the rest loads."""
    with Redis(port=redis_port) as redis:
        redis.hset("workers", "good", Encoder("before").encode(record("good")))
        redis.hset("workers", "bad", '{"v": 1, "status": ')
        with exporter_with(tmp_path, redis_port) as serving:
            eventually(lambda: whole(serving, redis_port), within=BACK_WITHIN)
            assert [worker["worker_id"] for worker in serving.get("/workers")] == ["good"]
            assert redis.hgetall("heartbeat:quarantine") == {b"bad": b'{"v": 1, "status": '}
            assert serving.metric("heartbeat_store_quarantined_total") == 1.0
            (line,) = [line for line in serving.said("warning") if "put aside" in line]
            assert "the record of worker 'bad' was put aside: " in line


def test_redis_frozen(redis_port: int, tmp_path: Path) -> None:
    """A registration is answered all the same, after the time that Redis is given to answer."""
    with exporter_with(tmp_path, redis_port) as serving, Redis(port=redis_port) as redis:
        serving.register("before")
        frozen = int(redis.info("server")["process_id"])
        os.kill(frozen, signal.SIGSTOP)
        try:
            live_and_die(serving, "meanwhile")
            eventually(lambda: serving.metric("heartbeat_store_up") == 0.0, within=15)
            assert_says_so(serving, redis_port, "no answer within 2 s")
        finally:
            os.kill(frozen, signal.SIGCONT)
        assert_mends(serving, redis_port)
