"""A check that does what a test tells it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable
from typing import Any

from worker_agent.health.check import Check
from worker_agent.health.result import Outcome

Step = Outcome | BaseException | Callable[[], Awaitable[Any]] | None


class Scripted(Check):
    """Takes one step for each run, and repeats the last. A step is what the run returns, what it raises, or a
    coroutine function that it awaits."""

    def __init__(self, *steps: Any, name: str = "c", **options: Any) -> None:
        super().__init__(name, **options)
        self.steps: list[Step] = list(steps)
        self.runs = 0
        self.closed = 0

    async def run(self) -> Outcome:
        step = self.steps[min(self.runs, len(self.steps) - 1)]
        self.runs += 1
        if isinstance(step, BaseException):
            raise step
        if callable(step):
            step = await step()
        return step  # type: ignore[return-value]

    async def close(self) -> None:
        self.closed += 1


class Gate:
    """Holds up whoever comes until it is opened."""

    def __init__(self) -> None:
        self.came = 0
        self.cancelled = 0
        self._open = asyncio.Event()

    def open(self) -> None:
        self._open.set()

    async def __call__(self) -> bool:
        self.came += 1
        try:
            return await self._open.wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise


class StubbornGate(Gate):
    """Does not let itself be cancelled."""

    async def __call__(self) -> bool:
        self.came += 1
        while not self._open.is_set():
            try:
                await self._open.wait()
            except asyncio.CancelledError:
                self.cancelled += 1
        return True


class Silent(Exception):
    """Cannot say what it is."""

    def __str__(self) -> str:
        raise ValueError


def agent_threads() -> int:
    """How many threads there are for blocking calls."""
    return sum(thread.name == "heartbeat-agent-call" for thread in threading.enumerate())
