"""How long after its deadline a silent worker is declared down, in a large fleet."""

from __future__ import annotations

import re
from collections import defaultdict
from pathlib import Path

import pytest

from tests.benchmarks.fleet import fleet
from tests.benchmarks.report import show
from tests.benchmarks.scale import INTERVAL, WORKERS
from tests.benchmarks.server import Server, exporter
from tests.support.processes import eventually

pytestmark = [pytest.mark.benchmark, pytest.mark.servers("redis-server")]

_BUCKET = re.compile(r'^heartbeat_detection_delay_seconds_bucket{.*le="(.+)"} (\d+)$', re.MULTILINE)
_DOWN = re.compile(r'^heartbeat_workers{.*status="not_responding"} (\d+)$', re.MULTILINE)


def delays(server: Server) -> dict[float, int]:
    """How many were declared within so many seconds, cumulative, of all groups."""
    counts: defaultdict[float, int] = defaultdict(int)
    for bound, count in _BUCKET.findall(server.get("/metrics")):
        counts[float(bound)] += int(count)
    return dict(sorted(counts.items()))


def down(server: Server) -> int:
    return sum(map(int, _DOWN.findall(server.get("/metrics"))))


def within(counts: dict[float, int], share: float) -> str:
    """The smallest bound that so large a share keeps."""
    total = counts[float("inf")]
    return f"{min(bound for bound, count in counts.items() if count >= share * total):g} s"


def test_detection(redis: int, tmp_path: Path) -> None:
    """A tenth of the fleet falls silent at one moment, with its sockets open."""
    silent = WORKERS // 10
    with (
        exporter(tmp_path, redis=redis) as server,
        fleet(server.address, workers=WORKERS, interval=INTERVAL) as workers,
    ):
        workers.wait_until_connected(within=30 + WORKERS / 200)
        workers.freeze(silent)
        eventually(lambda: down(server) >= silent, within=40.0, every=2.0, what="all are found out")
        counts = delays(server)
        assert down(server) == silent
        assert counts[float("inf")] == silent
    show(
        f"Detection of {silent:,} silent workers among {WORKERS:,} (target: 100 ms for 99 %)",
        ("declared down after the deadline", "within"),
        [(f"{share:.0%} of them", within(counts, share)) for share in (0.5, 0.9, 0.99, 1.0)],
        "Bounds of the exporter's own histogram, heartbeat_detection_delay_seconds.",
    )
