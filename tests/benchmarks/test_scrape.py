"""What a scrape costs, how large it is, and how much memory the workers on it take."""

from __future__ import annotations

import time
import urllib.request
from collections.abc import Callable, Iterable

import pytest
from prometheus_client import CollectorRegistry, Metric, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from tests.benchmarks.fleet import Crowd
from tests.benchmarks.report import show
from tests.benchmarks.scale import SECONDS, WORKERS
from tests.benchmarks.server import Server

pytestmark = [pytest.mark.benchmark, pytest.mark.servers("redis-server")]

SCRAPES = 10


def scrape(server: Server, encoding: str) -> bytes:
    """What a scrape transfers: still compressed, if it was asked for so."""
    request = urllib.request.Request(
        f"http://{server.address}/metrics", headers={"Accept-Encoding": encoding}
    )
    with urllib.request.urlopen(request, timeout=30.0) as response:
        body: bytes = response.read()
        return body


def cpu_of(server: Server, call: Callable[[], object], idle: float) -> float:
    """CPU seconds of one call, without what heartbeats take meanwhile: `idle` seconds each second."""
    started, before = time.monotonic(), server.cpu()
    for _ in range(SCRAPES):
        call()
        time.sleep(0.2)
    return (server.cpu() - before - idle * (time.monotonic() - started)) / SCRAPES


class Again:
    """The same samples once more, as a collector."""

    def __init__(self, families: list[Metric]) -> None:
        self._families = families

    def collect(self) -> Iterable[Metric]:
        return self._families


def test_memory(crowd: Crowd) -> None:
    """Of the exporter's process, for each connected worker, before and after the first scrape."""
    scrape(crowd.server, "gzip")
    scraped = crowd.server.resident()

    def each(total: int) -> str:
        return f"{(total - crowd.empty) / 1024 / WORKERS:.1f} KiB"

    show(
        f"Memory for each of {WORKERS:,} connected workers (target 45 KiB)",
        ("", "resident", "per worker"),
        [
            ("nobody connected", f"{crowd.empty / 2**20:.0f} MiB", ""),
            ("all connected", f"{crowd.connected / 2**20:.0f} MiB", each(crowd.connected)),
            ("after a scrape", f"{scraped / 2**20:.0f} MiB", each(scraped)),
        ],
    )
    assert crowd.fleet.status().acknowledged == WORKERS


def test_scrapes(crowd: Crowd) -> None:
    """CPU and bytes, plain and compressed, beside the client library's encoder for the same samples."""
    server = crowd.server
    plain = scrape(server, "identity")
    compressed = scrape(server, "gzip")
    started, before = time.monotonic(), server.cpu()
    time.sleep(SECONDS / 2)
    idle = (server.cpu() - before) / (time.monotonic() - started)
    rows = [
        ("plain", cpu_of(server, lambda: scrape(server, "identity"), idle), len(plain)),
        ("gzip", cpu_of(server, lambda: scrape(server, "gzip"), idle), len(compressed)),
    ]
    registry = CollectorRegistry()
    registry.register(Again(list(text_string_to_metric_families(plain.decode()))))
    before = time.process_time()
    again = generate_latest(registry)
    rows.append(("client library, encoding alone", time.process_time() - before, len(again)))
    show(
        f"/metrics with {WORKERS:,} workers, {plain.count(10):,} lines (target 90 ms, uncompressed)",
        ("", "CPU", "bytes"),
        [(name, f"{1000 * cpu:.0f} ms", f"{size / 2**20:.1f} MiB") for name, cpu, size in rows],
    )
    assert crowd.fleet.status().acknowledged == WORKERS
