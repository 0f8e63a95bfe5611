"""RedisStreamCheck and streams of a real server."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from redis import Redis
from redis.exceptions import ResponseError

from tests.support.dependencies import RedisServer
from tests.worker_agent.health.checks.outcomes import told
from worker_agent.health.checks.redis_stream import RedisStreamCheck
from worker_agent.health.result import judged

servers = pytest.mark.servers("redis-server")


@pytest.fixture
def redis(redis_dependency: RedisServer) -> Iterator[Redis]:
    """A client of a server without keys."""
    with Redis(port=redis_dependency.port, decode_responses=True) as client:
        client.flushall()
        yield client


async def outcome(server: RedisServer, **given: Any) -> tuple[str, dict[str, object], str | None]:
    check = RedisStreamCheck("orders", url=server.url, stream="orders", **given)
    try:
        return told(await check.run())
    finally:
        await check.close()


def fill(redis: Redis, count: int) -> list[str]:
    """The ids of so many new entries."""
    return [redis.xadd("orders", {"number": number}) for number in range(count)]


@servers
async def test_a_length(redis: Redis, redis_dependency: RedisServer) -> None:
    """Without a group there is a length to tell, and to limit."""
    fill(redis, 3)
    assert await outcome(redis_dependency) == ("healthy", {"length": 3}, None)
    assert await outcome(redis_dependency, max_length=3) == ("healthy", {"length": 3}, None)
    assert await outcome(redis_dependency, max_length=2) == (
        "degraded",
        {"length": 3},
        "length is 3, above 2",
    )


@servers
async def test_a_group_with_nothing_to_do(redis: Redis, redis_dependency: RedisServer) -> None:
    """A group that is done passes the strictest limits."""
    redis.xgroup_create("orders", "billing", mkstream=True)
    assert await outcome(redis_dependency, group="billing", max_length=0, max_pending=0, max_lag=0) == (
        "healthy",
        {"length": 0, "pending": 0, "oldest_idle_seconds": None, "lag": 0, "consumers": 0},
        None,
    )


@servers
async def test_a_busy_group(redis: Redis, redis_dependency: RedisServer) -> None:
    """What a group was given and has not acknowledged is told from what it was not given yet."""
    redis.xgroup_create("orders", "accounting", mkstream=True)
    redis.xgroup_create("orders", "billing")
    first, second, *_ = fill(redis, 5)
    redis.xreadgroup("billing", "worker", {"orders": ">"}, count=3)
    redis.xack("orders", "billing", first)
    redis.xclaim("orders", "billing", "worker", 0, [second], idle=60_000)
    assert await outcome(redis_dependency, group="billing") == (
        "healthy",
        {"length": 5, "pending": 2, "oldest_idle_seconds": "seconds", "lag": 2, "consumers": 1},
        None,
    )
    limits = {"max_length": 4, "max_pending": 1, "max_lag": 1, "beyond": "unhealthy"}
    state, _, error = await outcome(redis_dependency, group="billing", **limits)
    assert (state, error) == ("unhealthy", "length is 5, above 4; pending is 2, above 1; lag is 2, above 1")


@servers
async def test_how_long_the_oldest_waits(redis: Redis, redis_dependency: RedisServer) -> None:
    """Idle is how long ago the oldest entry was delivered that is not acknowledged."""
    redis.xgroup_create("orders", "billing", mkstream=True)
    (only,) = fill(redis, 1)
    redis.xreadgroup("billing", "worker", {"orders": ">"})
    redis.xclaim("orders", "billing", "worker", 0, [only], idle=60_000)
    check = RedisStreamCheck("orders", url=redis_dependency.url, stream="orders", group="billing")
    details = judged(await check.run()).details
    await check.close()
    assert details["oldest_idle_seconds"] == pytest.approx(60.0, abs=10.0)


@servers
async def test_what_is_missing(redis: Redis, redis_dependency: RedisServer) -> None:
    """A stream without entries may not be there yet, which is degraded; a group that works on it expects
    both to be there."""
    assert await outcome(redis_dependency) == ("degraded", {"length": 0}, "there is no stream orders")
    assert await outcome(redis_dependency, group="billing") == (
        "unhealthy",
        {"length": 0},
        "there is no stream orders",
    )
    fill(redis, 1)
    assert await outcome(redis_dependency, group="billing") == (
        "unhealthy",
        {"length": 1},
        "stream orders has no group billing",
    )


@servers
async def test_no_stream(redis: Redis, redis_dependency: RedisServer) -> None:
    """A key of another type is an error."""
    redis.set("orders", "5")
    with pytest.raises(ResponseError, match="WRONGTYPE"):
        await outcome(redis_dependency)


@pytest.mark.parametrize(
    ("given", "error", "text"),
    [
        (
            {"url": "http://cache"},
            ValueError,
            "the url of check orders must be a URL like redis://user:password@cache:6379/0: it does not begin"
            " with redis:// or rediss:// or unix://",
        ),
        ({"stream": ""}, ValueError, "check orders needs the name of a stream, not ''"),
        ({"group": ""}, ValueError, "the group of check orders must be a name or None, not ''"),
        ({"max_length": -1}, ValueError, "max_length of check orders must be 0 or more, not -1"),
        (
            {"group": "billing", "max_lag": 0.5},
            TypeError,
            "max_lag of check orders must be a whole number or None, not 0.5",
        ),
        (
            {"max_pending": 5},
            ValueError,
            "check orders has a limit for what a group has to do, and no group",
        ),
        (
            {"beyond": "bad"},
            ValueError,
            "beyond of check orders must be 'degraded' or 'unhealthy', not 'bad'",
        ),
    ],
)
def test_what_cannot_be_meant(given: dict[str, Any], error: type[Exception], text: str) -> None:
    """Bad arguments are refused when the check is made."""
    with pytest.raises(error) as refused:
        RedisStreamCheck("orders", **{"url": "redis://cache", "stream": "orders", **given})
    assert str(refused.value) == text
