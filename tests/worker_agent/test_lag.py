"""How late an event loop is, measured from another thread."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from worker_agent.lag import LoopLag


class FakeLoop:
    """Keeps what it is asked to run until it is told to."""

    def __init__(self) -> None:
        self.waiting: list[Callable[[], None]] = []
        self.closed = False

    def call_soon_threadsafe(self, callback: Callable[..., None], *args: object) -> None:
        if self.closed:
            raise RuntimeError("Event loop is closed")
        self.waiting.append(lambda: callback(*args))

    def run(self) -> None:
        waiting, self.waiting = self.waiting, []
        for call in waiting:
            call()


class Bench:
    def __init__(self) -> None:
        self.now = 10.0
        self.loop = FakeLoop()
        self.lag = LoopLag(self.loop, lambda: self.now)  # type: ignore[arg-type]

    def measure(self, took: float) -> None:
        self.lag.probe()
        self.now += took
        self.loop.run()


def test_nothing_measured() -> None:
    """Before the first probe nothing is known."""
    assert Bench().lag.worst() is None


def test_worst_of_the_last_seconds() -> None:
    """The largest lag of so many seconds counts, and no longer than that."""
    bench = Bench()
    bench.measure(2.0)
    for _ in range(5):
        bench.now += 1.0
        bench.measure(0.25)
    assert bench.lag.worst() == bench.lag.worst(within=6.25) == 2.0
    assert bench.lag.worst(within=5.0) == 0.25
    bench.now += 20.0
    assert bench.lag.worst() is None


def test_many_probes() -> None:
    """However often somebody has it measured, what is remembered is a minute, and no block is pushed out."""
    bench = Bench()
    bench.measure(2.0)
    for _ in range(10_000):
        bench.measure(0.0001)
    assert bench.lag.worst() == 2.0
    for _ in range(200):
        bench.now += 1.0
        bench.measure(0.0)
    assert bench.lag.worst(within=1000.0) == 0.0


def test_stuck() -> None:
    """While the loop does not answer its lag grows, and no second probe waits behind the first."""
    bench = Bench()
    bench.lag.probe()
    bench.now += 3.0
    bench.lag.probe()
    assert bench.lag.worst() == 3.0
    assert len(bench.loop.waiting) == 1
    bench.now += 1.0
    bench.loop.run()
    assert bench.lag.worst() == 4.0


def test_closed() -> None:
    """A closed loop is not measured any more and raises nothing."""
    bench = Bench()
    bench.measure(0.5)
    bench.loop.closed = True
    bench.lag.probe()
    bench.now += 1.0
    assert bench.lag.worst() == 0.5
    bench.now += 100.0
    assert bench.lag.worst() is None


def test_waiting() -> None:
    """How long the loop lets the present measurement wait; nothing that is over counts."""
    bench = Bench()
    assert bench.lag.waiting() == 0.0
    bench.lag.probe()
    bench.now += 0.5
    bench.lag.probe()
    assert bench.lag.waiting() == 0.5
    bench.loop.run()
    assert bench.lag.waiting() == 0.0
    bench.loop.closed = True
    bench.lag.probe()
    bench.now += 1.0
    assert bench.lag.waiting() == 0.0


async def test_real_loop() -> None:
    """A real loop that turns freely is late by next to nothing."""
    lag = LoopLag(asyncio.get_running_loop())
    lag.probe()
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert lag.worst() == pytest.approx(0.0, abs=0.5)
