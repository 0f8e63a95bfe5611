"""Whether Redis keeps what it is given."""

from __future__ import annotations

import secrets
import time
from typing import Any

from redis.exceptions import ResponseError

from worker_agent.health.check import BREAKER, CACHE, TIMEOUT, Breaker, Check
from worker_agent.health.checks.redis_pool import RedisPool
from worker_agent.health.result import Outcome, Result

_EXPIRES_AFTER_MS = 5000
_SECTIONS = ("server", "memory", "replication")


class RedisCheck(Check):
    """Writes a key that expires after five seconds, and reads it back.

    So a replica, a full server and one that cannot save are unhealthy, although they answer. Details:
    `version`, `role`, `used_memory_bytes`, `maxmemory_bytes` where there is a maximum, and
    `round_trip_seconds` of writing and reading.

    Args:
        url: redis://, rediss:// or unix://; options of redis-py may follow, as in `?ssl_ca_certs=...`.
        prefix: of the key, for a user who may not touch every key. The rest of it is random.

    Raises:
        TypeError, ValueError: an argument that cannot be meant.
    """

    def __init__(
        self,
        name: str,
        *,
        url: str,
        prefix: str = "heartbeat:check",
        timeout: float = TIMEOUT,
        cache: float = CACHE,
        critical: bool = True,
        breaker: Breaker | None = BREAKER,
    ) -> None:
        super().__init__(name, timeout=timeout, cache=cache, critical=critical, breaker=breaker)
        self._pool = RedisPool(f"the url of check {name}", url, self.timeout)
        if not isinstance(prefix, str) or not prefix:
            raise ValueError(f"the prefix of check {name} must be a text, not {prefix!r}")
        self._key = f"{prefix}:{name}:{secrets.token_hex(8)}"

    async def run(self) -> Outcome:
        redis = self._pool.client()
        async with redis.pipeline(transaction=False) as pipeline:
            for section in _SECTIONS:
                pipeline.info(section)
            details = _details(await pipeline.execute(raise_on_error=False))
        value = secrets.token_hex(8)
        began = time.perf_counter()
        async with redis.pipeline(transaction=False) as pipeline:
            pipeline.set(self._key, value, px=_EXPIRES_AFTER_MS)
            pipeline.get(self._key)
            written, read = await pipeline.execute(raise_on_error=False)
        details["round_trip_seconds"] = round(time.perf_counter() - began, 6)
        for what, answer in (("write", written), ("read", read)):
            if isinstance(answer, ResponseError):
                return Result.unhealthy(f"cannot {what}: {type(answer).__name__}: {answer}", **details)
        if read != value:
            found = "nothing" if read is None else "something else"
            return Result.unhealthy(f"wrote a key and read {found} back", **details)
        return details

    async def close(self) -> None:
        await self._pool.close()


def _details(sections: list[Any]) -> dict[str, object]:
    """What there is to tell; a user who may not ask for it is told less."""
    info: dict[str, Any] = {}
    for section in sections:
        if isinstance(section, dict):
            info |= section
    facts = {
        "version": info.get("valkey_version", info.get("redis_version")),
        "role": info.get("role"),
        "used_memory_bytes": info.get("used_memory"),
        "maxmemory_bytes": info.get("maxmemory") or None,
    }
    return {name: fact for name, fact in facts.items() if fact is not None}
