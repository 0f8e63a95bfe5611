"""What `@measured` adds to a call, beside the bare function and prometheus_client's own histogram."""

from __future__ import annotations

import asyncio
import itertools
import statistics
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence

import pytest
from prometheus_client import CollectorRegistry, Histogram

from tests.benchmarks.report import show
from worker_agent.instrumentation.functions import Functions

pytestmark = pytest.mark.benchmark

CALLS = 100_000
ROUNDS = 7
BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
COLUMNS = ("", "fastest round", "added", "median to slowest")
NOTE = "Per call, of the fastest round: what else the machine does only adds. Target: 2 µs added."

Seconds = Callable[[], float]


def histogram() -> Histogram:
    return Histogram("bare_seconds", "Durations.", buckets=BUCKETS, registry=CollectorRegistry())


def table(title: str, contestants: Sequence[tuple[str, Seconds]]) -> None:
    """Time all in turns, so that a slow moment of the machine meets each of them; the first is bare."""
    rounds: dict[str, list[float]] = {name: [] for name, _ in contestants}
    for _ in range(ROUNDS):
        for name, seconds in contestants:
            rounds[name].append(1e6 * seconds() / CALLS)
    bare = min(rounds[contestants[0][0]])
    rows = [
        (
            name,
            f"{min(times):.2f} µs",
            f"{min(times) - bare:.2f} µs" if name != contestants[0][0] else "",
            f"{statistics.median(times):.2f} to {max(times):.2f}",
        )
        for name, times in rounds.items()
    ]
    show(title, COLUMNS, rows, NOTE)


def work(number: int, *, text: str = "") -> int:
    return number


def calling(function: Callable[..., int]) -> Seconds:
    def seconds() -> float:
        started = time.perf_counter()
        for _ in itertools.repeat(None, CALLS):
            function(1, text="a")
        return time.perf_counter() - started

    return seconds


def test_a_function() -> None:
    """A sync function that does nothing, called with a positional and a named argument."""
    functions = Functions()
    table(
        f"Sync function, {CALLS:,} calls, {ROUNDS} rounds",
        [
            ("bare", calling(work)),
            ("@measured", calling(functions.measured(name="plain")(work))),
            (
                f"@measured, {len(BUCKETS)} buckets",
                calling(functions.measured(name="timed", buckets=BUCKETS)(work)),
            ),
            ("Histogram.time()", calling(histogram().time()(work))),
        ],
    )
    assert [record.counts().calls for record in functions.records] == [CALLS * ROUNDS] * 2


async def work_async(number: int, *, text: str = "") -> int:
    return number


def test_a_coroutine_function() -> None:
    """A coroutine function that waits for nothing, awaited in one task."""
    functions, timer = Functions(), histogram()

    async def by_hand(number: int, *, text: str = "") -> int:
        with timer.time():
            return await work_async(number, text=text)

    def awaiting(function: Callable[..., object]) -> Seconds:
        async def seconds() -> float:
            started = time.perf_counter()
            for _ in itertools.repeat(None, CALLS):
                await function(1, text="a")  # type: ignore[misc]  # all of them are coroutine functions
            return time.perf_counter() - started

        return lambda: asyncio.run(seconds())

    table(
        f"Coroutine function, {CALLS:,} calls, {ROUNDS} rounds",
        [
            ("bare", awaiting(work_async)),
            ("@measured", awaiting(functions.measured(name="plain")(work_async))),
            (
                f"@measured, {len(BUCKETS)} buckets",
                awaiting(functions.measured(name="timed", buckets=BUCKETS)(work_async)),
            ),
            ("with Histogram.time()", awaiting(by_hand)),
        ],
    )
    assert [record.counts().calls for record in functions.records] == [CALLS * ROUNDS] * 2


def count(end: int) -> Iterator[int]:
    yield from range(end)


async def count_async(end: int) -> AsyncIterator[int]:
    for number in range(end):
        yield number


def test_an_item_of_a_generator() -> None:
    """One generator of many items: what each item costs."""
    functions = Functions()

    def draining(function: Callable[[int], Iterator[int]]) -> Seconds:
        def seconds() -> float:
            started = time.perf_counter()
            for _ in function(CALLS):
                pass
            return time.perf_counter() - started

        return seconds

    def draining_async(function: Callable[[int], AsyncIterator[int]]) -> Seconds:
        async def seconds() -> float:
            started = time.perf_counter()
            async for _ in function(CALLS):
                pass
            return time.perf_counter() - started

        return lambda: asyncio.run(seconds())

    title = f"{CALLS:,} items, {ROUNDS} rounds; an item in place of a call"
    table(
        f"Generator, {title}",
        [("bare", draining(count)), ("@measured", draining(functions.measured(name="sync")(count)))],
    )
    table(
        f"Async generator, {title}",
        [
            ("bare", draining_async(count_async)),
            ("@measured", draining_async(functions.measured(name="async")(count_async))),
        ],
    )
    assert [record.counts().calls for record in functions.records] == [ROUNDS] * 2
