"""The only file that reads time, and the one that writes it for people.

The monotonic clock starts at a random point, so that an instant of it that is taken for wall time,
or for another process's, is wrong at once and by years instead of now and then and by little.
"""

from __future__ import annotations

import asyncio
import random
import time
from datetime import UTC, datetime
from functools import lru_cache
from typing import Protocol

from exporter.core.model import SECOND, Mono, Now, Wall


class Clock(Protocol):
    """Two clocks and the patience to wait by one of them."""

    def now(self) -> Now:
        """One reading of both clocks."""

    async def sleep(self, seconds: float) -> None:
        """Come back after so many seconds of the monotonic clock, or a little later."""


class SystemClock:
    def __init__(self) -> None:
        self._base = random.randrange(10**6, 10**7) * SECOND

    def now(self) -> Now:
        return Now(Mono(self._base + time.monotonic_ns()), Wall(time.time()))

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


def rfc3339(at: Wall) -> str:
    """In UTC, to the millisecond. Of a fleet's heartbeats thousands share a second, so that is kept."""
    microseconds = round(at % 1 * 1e6)
    return f"{_second(int(at))}.{min(999, microseconds // 1000):03d}Z"


@lru_cache(maxsize=64)
def _second(at: int) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%S")
