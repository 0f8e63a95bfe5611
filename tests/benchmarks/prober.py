"""Many probes of one target, in a process of their own, so that what it costs is theirs alone.

    python -m tests.benchmarks.prober --kind http --port 8080 --probes 2000 --interval 10 --seconds 30

The first interval warms up and is not measured. Meanwhile somebody scrapes, each 5 s, in the same loop. Ends
with one line of JSON, see `Report`.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import os
import time
from typing import NamedTuple

import uvloop
from prometheus_client import CollectorRegistry

from exporter.clock import SystemClock
from exporter.metrics.catalogue import probe_sections
from exporter.metrics.render import Renderer
from exporter.probes.base import Options, Probe
from exporter.probes.probing import Probing
from exporter.probes.varieties import VARIETIES
from exporter.server import COLLECT_YOUNG
from exporter.telemetry import Telemetry
from tests.exporter.metrics.sources import TEXT, Listed

_SCRAPE_INTERVAL = 5.0
_TICK = 0.01


class Report(NamedTuple):
    """All times in seconds. `lateness` is sorted; `cpu` is without what scrapes took."""

    lateness: list[float]
    runs: int
    failures: int
    skipped: int
    seconds: float
    cpu: float
    cpu_of_a_scrape: float
    largest_hold: float


class Lateness:
    """Stands where the histogram of the exporter is, and keeps every value."""

    def __init__(self) -> None:
        self.values: list[float] = []

    def observe(self, value: float) -> None:
        self.values.append(value)


class Watch:
    """Wakes up all the time, and knows how late it was at most."""

    def __init__(self) -> None:
        self.largest = 0.0

    async def run(self) -> None:
        while True:
            due = time.perf_counter() + _TICK
            await asyncio.sleep(_TICK)
            self.largest = max(self.largest, time.perf_counter() - due)


async def scrape(probing: Probing) -> None:
    renderer = Renderer(CollectorRegistry(), probe_sections(probing))
    while True:
        await asyncio.sleep(_SCRAPE_INTERVAL)
        await renderer.render(Listed(), TEXT)


def options(kind: str, port: int) -> Options:
    return VARIETIES[kind].options.model_validate(
        {"host": "127.0.0.1", "port": port}, context={"directory": os.getcwd()}
    )


async def run(kind: str, port: int, probes: int, interval: float, seconds: float) -> Report:
    telemetry, lateness, watch = Telemetry(CollectorRegistry()), Lateness(), Watch()
    telemetry.probe_schedule_delay = lateness  # type: ignore[assignment]  # observes like one
    probing = Probing(
        [
            Probe(
                name=f"probe-{number}",
                kind=kind,
                options=options(kind, port),
                interval=interval,
                timeout=5.0,
                failure_threshold=3,
                success_threshold=2,
            )
            for number in range(probes)
        ],
        concurrency=100,
        clock=SystemClock(),
        telemetry=telemetry,
    )
    tasks = [asyncio.create_task(each) for each in (probing.run(), watch.run(), scrape(probing))]
    await asyncio.sleep(interval)
    before, cpu, started = counted(probing), time.process_time(), time.perf_counter()
    lateness.values.clear()
    watch.largest = 0.0
    await asyncio.sleep(seconds)
    cpu, took = time.process_time() - cpu, time.perf_counter() - started
    runs, failures = (after - earlier for after, earlier in zip(counted(probing), before, strict=True))
    late, hold = sorted(lateness.values), watch.largest
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    skipped = telemetry.registry.get_sample_value("heartbeat_probe_runs_skipped_total") or 0
    scrape_cpu = await cpu_of_a_scrape(probing)
    cpu -= scrape_cpu * took / _SCRAPE_INTERVAL
    return Report(late, runs, failures, int(skipped), took, cpu, scrape_cpu, hold)


def counted(probing: Probing) -> tuple[int, int]:
    """Runs and failures so far."""
    rows = probing.rows()
    return sum(row.runs for row in rows), sum(count for row in rows for _, count in row.failures)


async def cpu_of_a_scrape(probing: Probing) -> float:
    """With nothing else going on, so that it can be told from the probes."""
    renderer = Renderer(CollectorRegistry(), probe_sections(probing))
    started = time.process_time()
    for _ in range(5):
        await renderer.render(Listed(), TEXT)
    return (time.process_time() - started) / 5


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--kind", choices=("http", "tcp"), required=True)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--probes", type=int, required=True)
    parser.add_argument("--interval", type=float, required=True)
    parser.add_argument("--seconds", type=float, required=True)
    given = parser.parse_args()
    gc.set_threshold(
        *COLLECT_YOUNG
    )  # as serve does: to look through the history of 2,000 probes takes 100 ms
    report = uvloop.run(run(given.kind, given.port, given.probes, given.interval, given.seconds))
    print(json.dumps(report._asdict()))


if __name__ == "__main__":
    main()
