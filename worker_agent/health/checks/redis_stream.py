"""Whether somebody works on what is in a Redis stream."""

from __future__ import annotations

from typing import Any

from redis.asyncio import Redis

from worker_agent.health.check import BREAKER, CACHE, TIMEOUT, Breaker, Check
from worker_agent.health.checks.limits import checked_limit, checked_severity, verdict
from worker_agent.health.checks.redis_pool import RedisPool
from worker_agent.health.result import Outcome, Result
from worker_agent.protocol import CheckState


class RedisStreamCheck(Check):
    """Reports the length of a stream, and what a group of consumers has not done yet.

    Details: `length`; with a group also `pending` (delivered, not acknowledged), `oldest_idle_seconds`
    (since the oldest of these was delivered), `lag` (not delivered yet; None where Redis cannot tell, as
    before 7.0) and `consumers`.

    A stream comes into being with its first entry, so one that is missing is degraded. With a group it
    is unhealthy, as is a missing group: its consumers get errors.

    Args:
        url: redis://, rediss:// or unix://; options of redis-py may follow, as in `?ssl_ca_certs=...`.
        max_length, max_pending, max_lag: what is still all right; None for any number.
        beyond: what the check is above a limit, "degraded" or "unhealthy".

    Raises:
        TypeError, ValueError: an argument that cannot be meant.
    """

    def __init__(
        self,
        name: str,
        *,
        url: str,
        stream: str,
        group: str | None = None,
        max_length: int | None = None,
        max_pending: int | None = None,
        max_lag: int | None = None,
        beyond: str = CheckState.DEGRADED,
        timeout: float = TIMEOUT,
        cache: float = CACHE,
        critical: bool = True,
        breaker: Breaker | None = BREAKER,
    ) -> None:
        super().__init__(name, timeout=timeout, cache=cache, critical=critical, breaker=breaker)
        self._pool = RedisPool(f"the url of check {name}", url, self.timeout)
        if not isinstance(stream, str) or not stream:
            raise ValueError(f"check {name} needs the name of a stream, not {stream!r}")
        if group is not None and (not isinstance(group, str) or not group):
            raise ValueError(f"the group of check {name} must be a name or None, not {group!r}")
        if group is None and (max_pending is not None or max_lag is not None):
            raise ValueError(f"check {name} has a limit for what a group has to do, and no group")
        self._stream = stream
        self._group = group
        limits = {"length": max_length, "pending": max_pending, "lag": max_lag}
        self._limits = {
            what: checked_limit(f"max_{what} of check {name}", limit) for what, limit in limits.items()
        }
        self._beyond = checked_severity(f"beyond of check {name}", beyond)

    async def run(self) -> Outcome:
        redis = self._pool.client()
        async with redis.pipeline(transaction=False) as pipeline:
            pipeline.exists(self._stream)
            pipeline.xlen(self._stream)
            exists, length = await pipeline.execute()
        details: dict[str, Any] = {"length": length}
        if not exists:
            missing = f"there is no stream {self._stream}"
            lost = self._group is not None
            return Result.unhealthy(missing, **details) if lost else Result.degraded(missing, **details)
        if self._group is not None:
            found = await _group(redis, self._stream, self._group)
            if found is None:
                return Result.unhealthy(f"stream {self._stream} has no group {self._group}", **details)
            details |= found
        passed = [
            f"{what} is {details[what]}, above {limit}"
            for what, limit in self._limits.items()
            if limit is not None and details[what] is not None and details[what] > limit
        ]
        return verdict(self._beyond, passed, details)

    async def close(self) -> None:
        await self._pool.close()


async def _group(redis: Redis, stream: str, group: str) -> dict[str, Any] | None:
    """What a group has to do; None where there is no such group."""
    for found in await redis.xinfo_groups(stream):
        if found["name"] == group:
            oldest = await redis.xpending_range(stream, group, "-", "+", 1)
            idle = [int(entry["time_since_delivered"]) / 1000 for entry in oldest]
            return {
                "pending": found["pending"],
                "oldest_idle_seconds": idle[0] if idle else None,
                "lag": found.get("lag"),
                "consumers": found["consumers"],
            }
    return None
