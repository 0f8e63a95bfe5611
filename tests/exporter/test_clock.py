"""The clock of the machine."""

from __future__ import annotations

import time

import pytest

from exporter.clock import SystemClock, rfc3339
from exporter.core.model import SECOND, Wall


def test_wall_time_is_the_machines() -> None:
    """What is stored and shown is Unix time."""
    before = time.time()
    assert before <= SystemClock().now().wall <= time.time()


def test_monotonic_time_goes_on_as_the_machines_does() -> None:
    """In nanoseconds, never backwards, at the pace of the system."""
    clock = SystemClock()
    before = time.monotonic_ns()
    first = clock.now().mono
    while time.monotonic_ns() - before < SECOND // 100:
        pass
    second = clock.now().mono
    assert SECOND // 100 - SECOND // 1000 <= second - first <= time.monotonic_ns() - before


def test_an_instant_of_another_clock_is_wrong_by_years() -> None:
    """Each clock begins at a random point, so that instants that are mixed up stand out in any test."""
    starts = {SystemClock().now().mono // SECOND for _ in range(10)}
    assert len(starts) > 1
    assert min(starts) > 10**6


async def test_sleeps_by_the_monotonic_clock() -> None:
    """At least as long as it was asked to."""
    clock = SystemClock()
    before = clock.now().mono
    await clock.sleep(0.02)
    assert clock.now().mono - before >= 0.019 * SECOND


@pytest.mark.parametrize(
    ("at", "written"),
    [
        (0.0, "1970-01-01T00:00:00.000Z"),
        (1767225600.001, "2026-01-01T00:00:00.001Z"),
        (1767225599.9999995, "2025-12-31T23:59:59.999Z"),
        (253402300799.0, "9999-12-31T23:59:59.000Z"),
    ],
)
def test_writes_an_instant_to_the_millisecond(at: float, written: str) -> None:
    """RFC 3339, in UTC, never rounded into the second that follows."""
    assert rfc3339(Wall(at)) == written
