"""Whether PostgreSQL answers queries."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

from worker_agent.health.check import BREAKER, CACHE, TIMEOUT, Breaker, Check
from worker_agent.health.checks.address import checked_url
from worker_agent.health.checks.library import need
from worker_agent.health.result import Outcome

if TYPE_CHECKING:
    import asyncpg  # type: ignore[import-untyped]

_CLOSE_TIMEOUT = 0.25
_SCHEMES = ("postgresql", "postgres")


class PostgresCheck(Check):
    """Runs a query, through a pool of one connection of its own.

    Details: `version`, `in_recovery` (a standby, which cannot be written to), and the `pool`: `size`,
    `idle` and `max` connections.

    Args:
        dsn: postgresql:// or postgres://; what it leaves out is taken from PGHOST, PGPASSWORD and so on.
        query: any statement; what it returns does not matter.

    Raises:
        ModuleNotFoundError: asyncpg is not installed.
        TypeError, ValueError: an argument that cannot be meant.
    """

    def __init__(
        self,
        name: str,
        *,
        dsn: str,
        query: str = "SELECT 1",
        timeout: float = TIMEOUT,
        cache: float = CACHE,
        critical: bool = True,
        breaker: Breaker | None = BREAKER,
    ) -> None:
        need("PostgresCheck", "asyncpg", "postgres")
        super().__init__(name, timeout=timeout, cache=cache, critical=critical, breaker=breaker)
        self._dsn = checked_url(
            f"the dsn of check {name}",
            dsn,
            _SCHEMES,
            example="postgresql://user:password@db:5432/orders",
            hostless=_SCHEMES,
        )
        if not isinstance(query, str) or not query.strip():
            raise ValueError(f"the query of check {name} must be an SQL statement, not {query!r}")
        self._query = query
        self._pool: asyncpg.Pool | None = None

    async def run(self) -> Outcome:
        import asyncpg

        pool = self._pool = self._pool or await self._open()
        connection = await pool.acquire(timeout=self.timeout)
        try:
            await connection.fetchval(self._query)
            details: dict[str, object] = {
                "version": connection.get_settings().server_version,
                "in_recovery": await connection.fetchval("SELECT pg_is_in_recovery()"),
            }
        except BaseException:
            # Giving it back would wait for the server, which may be what went wrong. One that was lost
            # went back by itself.
            with contextlib.suppress(asyncpg.InterfaceError):
                connection.terminate()
            raise
        finally:
            await pool.release(connection)
        sizes = {"size": pool.get_size(), "idle": pool.get_idle_size(), "max": pool.get_max_size()}
        return {**details, "pool": sizes}

    async def close(self) -> None:
        pool, self._pool = self._pool, None
        if pool is not None:
            # What is not closed within that time is cut.
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(pool.close(), _CLOSE_TIMEOUT)

    async def _open(self) -> asyncpg.Pool:
        """A pool without a connection yet."""
        import asyncpg

        return await asyncpg.create_pool(
            self._dsn,
            min_size=0,
            max_size=1,
            timeout=self.timeout,
            command_timeout=self.timeout,
            statement_cache_size=0,  # a prepared statement is lost behind PgBouncer
        )
