"""What a heartbeat costs the exporter, beside what it costs an endpoint that does nothing with it."""

from __future__ import annotations

import statistics
import time
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from tests.benchmarks.fleet import fleet
from tests.benchmarks.report import show
from tests.benchmarks.scale import INTERVAL, SECONDS, WORKERS
from tests.benchmarks.server import Server, bare, exporter, microseconds_per_beat

pytestmark = [pytest.mark.benchmark, pytest.mark.servers("redis-server")]

WINDOWS = 3


def measure(
    running: AbstractContextManager[Server], name: str, *, workers: int, interval: float, quiet: bool
) -> tuple[str, ...]:
    """A row of the table. All that was sent is counted, and nobody was lost."""
    with running as server, fleet(server.address, workers=workers, interval=interval, quiet=quiet) as load:
        load.wait_until_connected(within=30 + workers / 200)
        server.beats()  # the first scrape takes longer than those after it
        time.sleep(min(SECONDS / 4, interval))
        load.status()
        readings = []
        for _ in range(WINDOWS):
            first = server.read()
            time.sleep(SECONDS / WINDOWS)
            readings.append((first, server.read_last()))
        status = load.status()
        time.sleep(0.5)
        sent, counted = load.status().sent, server.beats()[0]
    costs = [microseconds_per_beat(first, last) for first, last in readings]
    beats = sum(last.beats - first.beats for first, last in readings)
    took = sum(last.beats_at - first.beats_at for first, last in readings)
    assert status.acknowledged == workers
    assert sent <= counted + workers / interval  # but for what was sent while we asked
    return (
        name,
        f"{statistics.median(costs):.1f} µs",
        f"{min(costs):.1f} to {max(costs):.1f}",
        f"{beats / took:,.0f}",
        f"{1000 * status.late_p99:.0f} ms",
    )


COLUMNS = ("", "CPU per heartbeat", "windows", "heartbeats/s", "sent late (p99)")


def test_many_heartbeats_that_ask_for_nothing(redis: int, tmp_path: Path) -> None:
    """2,000 connections, each 0.2 s: the price of receiving."""
    workers = min(WORKERS, 2000)
    rows = [
        measure(bare(tmp_path), "bare endpoint", workers=workers, interval=0.2, quiet=True),
        measure(exporter(tmp_path, redis=redis), "exporter", workers=workers, interval=0.2, quiet=True),
    ]
    show(f"{workers:,} workers, each 0.2 s, without answers (target 35 µs)", COLUMNS, rows)


def test_the_heartbeats_of_a_large_fleet(redis: int, tmp_path: Path) -> None:
    """10,000 workers, each 5 s, with the agent's own frames: answers and writing behind included."""
    rows = [
        measure(bare(tmp_path), "bare endpoint", workers=WORKERS, interval=INTERVAL, quiet=False),
        measure(exporter(tmp_path, redis=redis), "exporter", workers=WORKERS, interval=INTERVAL, quiet=False),
    ]
    show(
        f"{WORKERS:,} workers, each {INTERVAL:g} s, with the agent's frames (target 60 µs)",
        COLUMNS,
        rows,
        "A third of the heartbeats is answered, by both. The exporter also writes all of them to Redis.",
    )
