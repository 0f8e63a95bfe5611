"""One connection to a Redis, for the checks that talk to one."""

from __future__ import annotations

from typing import Any

from redis import exceptions
from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.connection import parse_url
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from worker_agent.health.checks.address import checked_url


class RedisPool:
    """A pool of one, opened on the event loop that first asks for it.

    Args:
        what: how errors call the URL.
        url: redis://, rediss:// or unix://; its query may hold redis-py's options.
        timeout: seconds, for connecting and for every answer.

    Raises:
        TypeError, ValueError: the URL or one of its options cannot be meant.
    """

    def __init__(self, what: str, url: str, timeout: float) -> None:
        checked_url(
            what,
            url,
            ("redis", "rediss", "unix"),
            example="redis://user:password@cache:6379/0",
            hostless=("unix",),
        )
        self._pool: BlockingConnectionPool | None = None
        try:
            self._options = {**parse_url(url), **_own_options(timeout)}
            # redis-py annotates only part of itself.
            self._new_pool().make_connection()  # type: ignore[no-untyped-call]
        except (TypeError, ValueError, exceptions.RedisError) as error:
            raise ValueError(f"{what} has an option that redis-py does not take: {error}") from None

    def client(self) -> Redis:
        """A client of this pool. It needs no closing."""
        if self._pool is None:
            self._pool = self._new_pool()
        return Redis(connection_pool=self._pool)

    async def close(self) -> None:
        """Close the connection, also one in use. The next client opens another."""
        pool, self._pool = self._pool, None
        if pool is not None:
            await pool.disconnect(inuse_connections=True)

    def _new_pool(self) -> BlockingConnectionPool:
        return BlockingConnectionPool(**self._options)


def _own_options(timeout: float) -> dict[str, Any]:
    return {
        "max_connections": 1,
        "timeout": timeout,
        "socket_timeout": timeout,
        "socket_connect_timeout": timeout,
        "health_check_interval": 0,  # whoever uses this is a health check
        # Redis may have closed the idle connection meanwhile; all else is what the check is for.
        "retry": Retry(NoBackoff(), 1, (exceptions.ConnectionError,)),
        "protocol": 2,  # needs no HELLO, which Redis 5 does not have
        "decode_responses": True,
        "driver_info": None,  # or redis-py sends CLIENT SETINFO, which is of Redis 7.2
    }
