"""What a Redis can be and do, and what is said then. The real one, wherever it matters."""

from __future__ import annotations

import os
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from redis import Redis

from exporter.store import redis as redis_module
from exporter.store.base import Batch, Memory, Owner, Quarantined, Saved, StoreError
from exporter.store.redis import TYPES, RedisStore
from tests.exporter.store.records import record
from tests.support.processes import free_port, redis_server

needs_redis = pytest.mark.servers("redis-server")


@pytest.fixture
def redis(redis_port: int) -> Iterator[Redis]:
    """The back door."""
    with Redis(port=redis_port) as redis:
        yield redis


@pytest.fixture
async def store(redis_port: int) -> AsyncIterator[RedisStore]:
    store = RedisStore(f"redis://127.0.0.1:{redis_port}/0")
    await store.open()
    assert await store.acquire() is None
    yield store
    await store.close()


async def ids(store: RedisStore) -> set[str]:
    return {one.facts.worker_id async for step in store.load() for one in step.records}


async def failure(store: RedisStore, batch: Batch | None = None) -> StoreError:
    with pytest.raises(StoreError) as caught:
        await store.save(batch or Batch([record()]))
    return caught.value


@contextmanager
def frozen(redis: Redis) -> Iterator[None]:
    """The server does nothing for a while, and answers nobody."""
    pid = int(redis.info("server")["process_id"])
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


# Addresses


@pytest.mark.parametrize(
    ("url", "where"),
    [
        ("redis://localhost:6379/0", "Redis at localhost:6379/0"),
        ("redis://", "Redis at localhost:6379/0"),
        ("redis://user:s3cret@db:7/3", "Redis at db:7/3"),
        ("rediss://:s3cret@db", "Redis at db:6379/0"),
        ("redis://[::1]:6380/1", "Redis at [::1]:6380/1"),
        ("unix:///run/redis.sock?db=2&password=s3cret", "Redis at unix:/run/redis.sock, database 2"),
    ],
)
async def test_messages_name_the_address_without_the_password(url: str, where: str) -> None:
    """Whoever reads a log may know where, and no more."""
    store = RedisStore(url)
    assert store.where == where
    await store.open()
    await store.close()


def test_an_address_that_is_none_is_refused() -> None:
    """At once, as a wrong value."""
    with pytest.raises(ValueError, match="must specify one of the following schemes"):
        RedisStore("localhost:6379")


async def test_an_option_that_nobody_knows_is_refused() -> None:
    """When the store is opened, with the option's name."""
    store = RedisStore("redis://localhost/0?colour=blue")
    with pytest.raises(StoreError, match=r"wrong address: .*'colour'") as caught:
        await store.open()
    assert caught.value.permanent
    await store.close()


async def test_options_of_the_address_do_not_break_what_is_needed() -> None:
    """Answers are bytes in the older protocol, whatever the address asks for."""
    store = RedisStore("redis://localhost/0?decode_responses=yes&protocol=3&max_connections=99")
    connection = store._pool.make_connection()
    assert (connection.encoder.decode_responses, connection.protocol) == (False, 2)
    assert store._pool.max_connections == 2
    await store.close()


# Away


async def test_a_redis_that_is_not_there_is_an_error_that_passes() -> None:
    """Every operation says so, and names the address."""
    port = free_port()
    store = RedisStore(f"redis://127.0.0.1:{port}/0")
    await store.open()
    error = await failure(store)
    assert str(error).startswith(f"Redis at 127.0.0.1:{port}/0 cannot take workers: Error 111 connecting to ")
    assert not error.permanent
    with pytest.raises(StoreError, match="cannot be opened or claimed"):
        await store.acquire()
    with pytest.raises(StoreError, match="cannot give back the workers"):
        await ids(store)
    with pytest.raises(StoreError, match="cannot be opened or claimed"):
        await store.release()
    await store.close()


@needs_redis
async def test_a_redis_that_comes_back_with_its_data_is_used_at_once(tmp_path: Path) -> None:
    """The first call after a restart succeeds: a connection that was idle is made anew."""
    port = free_port()
    options = ["--appendonly", "yes", "--appendfsync", "always"]
    store = RedisStore(f"redis://127.0.0.1:{port}/0")
    with redis_server(tmp_path, port=port, options=options):
        await store.save(Batch([record("w1")]))
    assert "127.0.0.1" in (await failure(store)).problem
    with redis_server(tmp_path, port=port, options=options):
        assert await store.save(Batch([record("w2")])) == Saved()
    with redis_server(tmp_path, port=port, options=options):
        assert await store.save(Batch([record("w3")])) == Saved()
        assert await ids(store) == {"w1", "w2", "w3"}
    await store.close()


@needs_redis
async def test_a_redis_that_comes_back_empty_says_so(tmp_path: Path) -> None:
    """Without persistence a restart is a flush."""
    port = free_port()
    store = RedisStore(f"redis://127.0.0.1:{port}/0")
    with redis_server(tmp_path, port=port):
        await store.save(Batch([record("w1")]))
    with redis_server(tmp_path, port=port):
        assert await store.save(Batch([record("w2")])) == Saved(memory=Memory.NOTHING)
    await store.close()


@needs_redis
async def test_a_frozen_redis_is_given_up_in_time(
    redis: Redis, redis_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After the timeout and not later; what it does when it wakes up spoils nothing."""
    monkeypatch.setattr(redis_module, "TIMEOUT", 0.2)
    store = RedisStore(f"redis://127.0.0.1:{redis_port}/0")
    await store.save(Batch([record("w1")]))
    with frozen(redis):
        errors = [await failure(store, Batch([record("w2")])) for _ in range(2)]
    assert [(error.problem, error.permanent) for error in errors] == [("no answer within 0.2 s", False)] * 2
    assert await store.save(Batch([record("w3")])) == Saved()
    assert await ids(store) >= {"w1", "w3"}
    await store.close()


# Damaged


@needs_redis
@pytest.mark.parametrize("key", ["workers", "heartbeat:transitions", "heartbeat:marker"])
async def test_a_key_of_another_type_is_named(store: RedisStore, redis: Redis, key: str) -> None:
    """Saving says which key and what it holds; nothing of it is touched, and renaming it mends all."""
    redis.delete(key)
    redis.lpush(key, "mine")
    error = await failure(store, Batch([record()], (), record().history))
    assert error.problem == (
        f"key `{key}` holds a list, expected a {TYPES[key]}: something else uses this database;"
        " rename that key, or choose another REDIS_DB"
    )
    assert error.permanent
    assert redis.lrange(key, 0, -1) == [b"mine"]
    redis.rename(key, "kept")
    await store.save(Batch([record()]))
    assert await ids(store) == {"w1"}


@needs_redis
async def test_workers_of_another_type_cannot_be_loaded(store: RedisStore, redis: Redis) -> None:
    """That is an error that says so, and not an empty registry."""
    redis.set("workers", "mine")
    with pytest.raises(StoreError, match="key `workers` holds a string, expected a hash") as caught:
        await ids(store)
    assert caught.value.permanent
    assert redis.get("workers") == b"mine"


@needs_redis
async def test_a_lease_of_another_type_is_named(store: RedisStore, redis: Redis) -> None:
    """Like any other key."""
    redis.delete("heartbeat:lease")
    redis.lpush("heartbeat:lease", "mine")
    with pytest.raises(StoreError, match="key `heartbeat:lease` holds a list, expected a string"):
        await store.acquire()


@needs_redis
async def test_where_nothing_can_be_put_aside_the_rest_still_loads(store: RedisStore, redis: Redis) -> None:
    """A corrupt record stays where it is then, and says why."""
    await store.save(Batch([record("w1")]))
    redis.hset("workers", "w2", "garbage")
    redis.set("heartbeat:quarantine", "mine")
    loaded = [step async for step in store.load()]
    assert [one.facts.worker_id for step in loaded for one in step.records] == ["w1"]
    assert [one for step in loaded for one in step.quarantined] == [
        Quarantined(
            "w2",
            "not JSON: Expecting value: line 1 column 1 (char 0) (not put aside:"
            " key `heartbeat:quarantine` holds a string, expected a hash: something else uses this database;"
            " rename that key, or choose another REDIS_DB)",
        )
    ]
    assert redis.hget("workers", "w2") == b"garbage"


@needs_redis
async def test_a_full_redis_refuses_without_doing_half_of_it(store: RedisStore, redis: Redis) -> None:
    """The lease can still be extended, workers still be loaded, and with room again all is well."""
    await store.save(Batch([record("w1")]))
    redis.config_set("maxmemory-policy", "noeviction")
    redis.config_set("maxmemory", "1")
    error = await failure(store, Batch([record("w2")], ["w1"]))
    assert error.problem == "Redis is full (maxmemory is reached and nothing may be evicted)"
    assert not error.permanent
    redis.pexpire("heartbeat:lease", 5000)
    assert await store.acquire() is None
    assert redis.pttl("heartbeat:lease") > 5000
    assert await ids(store) == {"w1"}
    redis.config_set("maxmemory", "0")
    assert await store.save(Batch([record("w2")], ["w1"])) == Saved()
    assert await ids(store) == {"w2"}


@needs_redis
@pytest.mark.parametrize("damage", ["DEL workers", "HDEL workers w1", "HSET workers w3 {}"])
async def test_a_hash_that_somebody_else_changed_is_noticed(
    store: RedisStore, redis: Redis, damage: str
) -> None:
    """An eviction or a hand leaves the marker and takes the workers: the next save tells."""
    await store.save(Batch([record("w1"), record("w2")]))
    redis.execute_command(*damage.split())
    assert await store.save(Batch([record("w2")])) == Saved(memory=Memory.BEHIND)
    assert await store.save(Batch([record("w2")])) == Saved()


@needs_redis
async def test_a_wrong_password_is_for_a_person_to_mend(redis: Redis, redis_port: int) -> None:
    """The error says what Redis said, and not the password."""
    redis.config_set("requirepass", "right")
    store = RedisStore(f"redis://:wr0ng@127.0.0.1:{redis_port}/0")
    error = await failure(store)
    assert error.permanent
    assert "password" in error.problem
    assert "wr0ng" not in str(error)
    await store.close()
    store = RedisStore(f"redis://:right@127.0.0.1:{redis_port}/0")
    assert await store.save(Batch([record()])) == Saved()
    await store.close()


@needs_redis
async def test_a_replica_that_may_not_be_written_is_an_error_that_passes(
    store: RedisStore, redis: Redis
) -> None:
    """A failover ends it."""
    redis.execute_command("REPLICAOF", "127.0.0.1", str(free_port()))
    error = await failure(store)
    assert (
        error.problem == "it is a replica and takes no writes; name the primary, or wait for it to become one"
    )
    assert not error.permanent
    redis.execute_command("REPLICAOF", "NO", "ONE")
    assert await store.save(Batch([record()])) == Saved()


# Two of them


@needs_redis
async def test_an_exporter_that_slept_too_long_finds_its_lease_gone(
    store: RedisStore, redis: Redis, redis_port: int
) -> None:
    """It writes nothing over what its successor wrote."""
    await store.save(Batch([record("w1", heartbeats=1)]))
    redis.pexpire("heartbeat:lease", 1)
    while redis.exists("heartbeat:lease"):
        pass
    successor = RedisStore(f"redis://127.0.0.1:{redis_port}/0", Owner("db2", 9, "token"))
    assert await successor.acquire() is None
    await successor.save(Batch([record("w1", heartbeats=2)]))
    saved = await store.save(Batch([record("w1", heartbeats=1)]))
    assert (saved.refused, saved.holder) == (("w1",), Owner("db2", 9, "token"))
    assert b'"heartbeats":2,' in redis.hget("workers", "w1")
    await successor.close()


@needs_redis
async def test_the_lease_runs_out_by_itself(store: RedisStore, redis: Redis) -> None:
    """Ten seconds after it was last extended, which every save does."""
    redis.pexpire("heartbeat:lease", 5000)
    await store.save(Batch())
    assert 9000 < redis.pttl("heartbeat:lease") <= 10_000


@needs_redis
async def test_nothing_newer_than_redis_7_is_sent(redis: Redis, redis_port: int) -> None:
    """Every command this program ever sends, and every one its scripts run."""
    redis.ping()
    redis.config_resetstat()
    store = RedisStore(f"redis://127.0.0.1:{redis_port}/1")
    await store.acquire()
    await store.save(Batch([record()], ["w2"], record().history))
    redis.execute_command("SELECT", 1)
    redis.hset("workers", "w2", "garbage")
    await ids(store)
    await store.acquire()
    await store.release()
    sent = {name.removeprefix("cmdstat_") for name in redis.info("commandstats")}
    assert sent - {"config|resetstat"} == {
        *("client|setname", "select", "eval", "get", "set", "pexpire", "del", "hscan"),
        *("hget", "hmget", "hset", "hlen", "hdel", "xadd"),
    }
    await store.close()
