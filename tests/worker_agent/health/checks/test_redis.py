"""RedisCheck and real servers that are not as they should be."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from redis import Redis
from redis.exceptions import AuthenticationError, ConnectionError

from tests.support.dependencies import RedisServer
from tests.support.processes import free_port, redis_server
from tests.worker_agent.health.checks.outcomes import told
from worker_agent.health.checks.redis import RedisCheck

servers = pytest.mark.servers("redis-server")


async def outcome(check: RedisCheck) -> tuple[str, dict[str, object], str | None]:
    try:
        return told(await check.run())
    finally:
        await check.close()


def version(port: int) -> str:
    with Redis(port=port) as client:
        found: str = client.info("server")["redis_version"]
        return found


@servers
async def test_a_key_is_written_and_read(redis_dependency: RedisServer) -> None:
    """A healthy check tells what it found, and leaves a key that goes by itself."""
    check = RedisCheck("written", url=redis_dependency.url)
    port = redis_dependency.port
    assert await outcome(check) == (
        "healthy",
        {
            "version": version(port),
            "role": "master",
            "used_memory_bytes": "bytes",
            "round_trip_seconds": "seconds",
        },
        None,
    )
    with Redis(port=port) as client:
        (key,) = client.keys("heartbeat:check:written:*")
        assert 0 < client.pttl(key) <= 5000


@servers
async def test_a_key_of_its_own(redis_dependency: RedisServer) -> None:
    """Checks of the same name in several processes do not read each other's values."""
    for _ in range(2):
        await outcome(RedisCheck("shared", url=redis_dependency.url))
    with Redis(port=redis_dependency.port) as client:
        assert len(client.keys("heartbeat:check:shared:*")) == 2


@servers
async def test_a_replica(tmp_path: Path) -> None:
    """A replica answers and is unhealthy: the application could not write to it."""
    options = ["--replicaof", "127.0.0.1", str(free_port())]
    with redis_server(tmp_path, options=options) as port:
        assert await outcome(RedisCheck("cache", url=f"redis://127.0.0.1:{port}")) == (
            "unhealthy",
            {
                "version": version(port),
                "role": "slave",
                "used_memory_bytes": "bytes",
                "round_trip_seconds": "seconds",
            },
            "cannot write: ReadOnlyError: You can't write against a read only replica.",
        )


@servers
async def test_a_full_server(tmp_path: Path) -> None:
    """A server without memory left answers and is unhealthy."""
    with redis_server(tmp_path, options=["--maxmemory", "1000"]) as port:
        assert await outcome(RedisCheck("cache", url=f"redis://127.0.0.1:{port}")) == (
            "unhealthy",
            {
                "version": version(port),
                "role": "master",
                "used_memory_bytes": "bytes",
                "maxmemory_bytes": "bytes",
                "round_trip_seconds": "seconds",
            },
            "cannot write: OutOfMemoryError: command not allowed when used memory > 'maxmemory'.",
        )


@servers
async def test_a_user_with_few_rights(redis_dependency: RedisServer) -> None:
    """A user needs SET and GET under a prefix, no more; without INFO there is less to tell."""
    with Redis(port=redis_dependency.port) as client:
        client.acl_setuser(
            "few", enabled=True, passwords=["+pa/ss"], keys=["app:*"], commands=["+set", "+get"]
        )
    url = f"redis://few:pa%2Fss@127.0.0.1:{redis_dependency.port}"
    assert await outcome(RedisCheck("cache", url=url, prefix="app:health")) == (
        "healthy",
        {"round_trip_seconds": "seconds"},
        None,
    )
    state, _, error = await outcome(RedisCheck("cache", url=url))
    assert (state, str(error).rpartition(": ")[0]) == ("unhealthy", "cannot write: NoPermissionError")


@servers
async def test_a_wrong_password(redis_dependency: RedisServer) -> None:
    """The error of a refused login does not name the password."""
    url = redis_dependency.url.replace("://", "://nobody:sesame@")
    with pytest.raises(AuthenticationError) as refused:
        await outcome(RedisCheck("cache", url=url))
    assert str(refused.value) == "invalid username-password pair or user is disabled."


@pytest.mark.parametrize(("answer", "found"), [(b"$-1", "nothing"), (b"$4\r\nelse", "something else")])
async def test_a_server_that_forgets(answer: bytes, found: str) -> None:
    """What takes a key and does not give it back is unhealthy."""

    async def forget(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"replication\r\n")
        writer.write(b"-ERR unknown command\r\n" * 3)
        await reader.readuntil(b"GET\r\n")
        writer.write(b"+OK\r\n" + answer + b"\r\n")
        await reader.read()
        writer.close()

    async with await asyncio.start_server(forget, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        assert await outcome(RedisCheck("cache", url=f"redis://127.0.0.1:{port}")) == (
            "unhealthy",
            {"round_trip_seconds": "seconds"},
            f"wrote a key and read {found} back",
        )


async def test_nobody_listens() -> None:
    """A refused connection is raised, and named with its address."""
    port = free_port()
    with pytest.raises(ConnectionError, match=f"'127.0.0.1', {port}"):
        await outcome(RedisCheck("cache", url=f"redis://127.0.0.1:{port}"))


URL = "the url of check cache must be a URL like redis://user:password@cache:6379/0"
OPTION = "the url of check cache has an option that redis-py does not take"


@pytest.mark.parametrize(
    ("given", "error", "text"),
    [
        ({"url": None}, TypeError, f"{URL}, not a NoneType"),
        (
            {"url": "cache:6379"},
            ValueError,
            f"{URL}: it does not begin with redis:// or rediss:// or unix://",
        ),
        ({"url": "redis://"}, ValueError, f"{URL}: it names no host"),
        (
            {"url": "redis://cache?colour=red"},
            ValueError,
            f"{OPTION}: AbstractConnection.__init__() got an unexpected keyword argument 'colour'",
        ),
        ({"url": "redis://cache?db=x"}, ValueError, f"{OPTION}: Invalid value for 'db' in connection URL."),
        (
            {"url": "rediss://cache?ssl_cert_reqs=x"},
            ValueError,
            f"{OPTION}: Invalid SSL Certificate Requirements Flag: x",
        ),
        ({"prefix": ""}, ValueError, "the prefix of check cache must be a text, not ''"),
        ({"timeout": 0}, ValueError, "the timeout of check cache must be above 0 and at most 3600 s, not 0"),
    ],
)
def test_what_cannot_be_meant(given: dict[str, Any], error: type[Exception], text: str) -> None:
    """Bad arguments are refused when the check is made."""
    with pytest.raises(error) as refused:
        RedisCheck("cache", **{"url": "redis://cache", **given})
    assert str(refused.value) == text


@pytest.mark.parametrize(
    "url", ["redis://cache", "rediss://:secret@cache:6380/3?ssl_ca_certs=/x", "unix:///run/redis.sock?db=1"]
)
def test_what_can_be_meant(url: str) -> None:
    """All that redis-py can connect to; making a check connects to nothing."""
    assert RedisCheck("cache", url=url).name == "cache"
