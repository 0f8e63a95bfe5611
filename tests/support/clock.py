"""A clock that jumps."""

from __future__ import annotations

import asyncio
import heapq
import itertools

from exporter.core.model import SECOND, Mono, Now, Wall


class FakeClock:
    """Stands still until `jump`; whoever sleeps wakes, in order, when their time is passed.

    Both clocks start at odd numbers, so that a test notices when one is taken for the other.
    """

    def __init__(self, mono: int = 7_000_003 * SECOND, wall: float = 1_700_000_000.0) -> None:
        self._mono = mono
        self._wall = wall
        self._sleepers: list[tuple[int, int, asyncio.Future[None]]] = []
        self._order = itertools.count()

    def now(self) -> Now:
        return Now(Mono(self._mono), Wall(self._wall))

    async def sleep(self, seconds: float) -> None:
        woken: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        wakes_at = self._mono + round(seconds * SECOND)
        heapq.heappush(self._sleepers, (wakes_at, next(self._order), woken))
        await woken

    def move(self, seconds: float) -> Now:
        """Let time pass without waking anybody, as a frozen process would see it."""
        self._mono += round(seconds * SECOND)
        self._wall += seconds
        return self.now()

    async def jump(self, seconds: float) -> None:
        """Let time pass in the order of those who sleep, and everything run that follows from it."""
        target = self._mono + round(seconds * SECOND)
        await settle()
        while self._sleepers and self._sleepers[0][0] <= target:
            wakes_at, _, woken = heapq.heappop(self._sleepers)
            if wakes_at > self._mono:
                self.move((wakes_at - self._mono) / SECOND)
                self._mono = wakes_at
            if not woken.done():
                woken.set_result(None)
            await settle()
        self.move((target - self._mono) / SECOND)
        self._mono = target
        await settle()


async def settle(turns: int = 20) -> None:
    """Let everything run that can run without time passing."""
    for _ in range(turns):
        await asyncio.sleep(0)
