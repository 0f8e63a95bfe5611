"""Whether the application's event loop keeps up."""

from __future__ import annotations

import asyncio
from collections import deque

from worker_agent.health.check import CACHE, TIMEOUT, Breaker, Check
from worker_agent.health.checks.limits import checked_limit, checked_measure, checked_severity, verdict
from worker_agent.health.result import Outcome
from worker_agent.protocol import CheckState

TICK = 0.5
"""Seconds between two measurements."""

REMEMBERED = 20
"""Measurements: what was ten seconds ago still counts."""


class EventLoopCheck(Check):
    """Tells how late the event loop has run what was due, and how many tasks it has.

    What blocks it at the moment blocks this check as well: that is told by the health port, and by the
    heartbeats. Here it shows afterwards, for some ten seconds.

    Details: `lag_seconds`, the worst of the last ten seconds, and `tasks`.

    Args:
        max_lag: seconds that are still all right; None for any lag.
        max_tasks: how many may exist at the same time; None for any number.
        beyond: what the check is past one of them, "degraded" or "unhealthy". As it is optional, the worker
            is degraded either way.

    Raises:
        TypeError, ValueError: an argument that cannot be meant.
    """

    def __init__(
        self,
        name: str = "event-loop",
        *,
        max_lag: float | None = 1.0,
        max_tasks: int | None = None,
        beyond: str = CheckState.UNHEALTHY,
        timeout: float = TIMEOUT,
        cache: float = CACHE,
        critical: bool = False,
        breaker: Breaker | None = None,
    ) -> None:
        super().__init__(name, timeout=timeout, cache=cache, critical=critical, breaker=breaker)
        self._max_lag = checked_measure(f"max_lag of check {name}", max_lag, 3600)
        self._max_tasks = checked_limit(f"max_tasks of check {name}", max_tasks)
        self._beyond = checked_severity(f"beyond of check {name}", beyond)
        self._lags: deque[float] = deque(maxlen=REMEMBERED)
        self._due = 0.0
        self._ticker: asyncio.Task[None] | None = None

    async def run(self) -> Outcome:
        loop = asyncio.get_running_loop()
        if self._ticker is None or self._ticker.done():
            self._due = loop.time()
            self._ticker = loop.create_task(self._tick(loop), name=f"ticker of check {self.name}")
        # After a block this may be run before the tick that is late.
        lag = max(*self._lags, loop.time() - self._due, 0.0)
        tasks = len(asyncio.all_tasks(loop))
        passed = []
        if self._max_lag is not None and lag > self._max_lag:
            passed.append(f"the event loop was {lag:.2f} s late, above {self._max_lag:g} s")
        if self._max_tasks is not None and tasks > self._max_tasks:
            passed.append(f"there are {tasks} tasks, above {self._max_tasks}")
        return verdict(self._beyond, passed, {"lag_seconds": round(lag, 3), "tasks": tasks})

    async def close(self) -> None:
        ticker, self._ticker = self._ticker, None
        if ticker is not None:
            ticker.cancel()
            await asyncio.gather(ticker, return_exceptions=True)
        self._lags.clear()

    async def _tick(self, loop: asyncio.AbstractEventLoop) -> None:
        while True:
            self._due = loop.time() + TICK
            await asyncio.sleep(TICK)
            self._lags.append(loop.time() - self._due)
