"""By how much other work of the exporter holds up a heartbeat: round trips of a worker that beats often."""

from __future__ import annotations

import asyncio
import contextlib
import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import redis

from exporter.core.model import NOTHING, Facts, Reason, Record, Status, Transition, Wall, WorkerId
from exporter.store.base import BATCH, Batch
from exporter.store.redis import RedisStore
from tests.benchmarks.fleet import Crowd
from tests.benchmarks.report import show
from tests.benchmarks.scale import WORKERS
from tests.benchmarks.server import Server, exporter
from tests.benchmarks.test_scrape import scrape
from tests.support.processes import eventually, free_port, redis_server

pytestmark = [pytest.mark.benchmark, pytest.mark.servers("redis-server")]

TIMES = 5
COLUMNS = ("while", "heartbeats", "median", "p99", "largest")


class Probe:
    def __init__(self, process: subprocess.Popen[str]) -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        self._stdin, self._stdout = process.stdin, process.stdout

    def lap(self) -> list[float]:
        """Round trips in seconds, of the heartbeats answered since the last call, sorted."""
        self._stdin.write("\n")
        self._stdin.flush()
        return sorted(json.loads(self._stdout.readline()))

    def during(self, name: str, call: Callable[[], object]) -> tuple[str, ...]:
        """A row of the table."""
        self.lap()
        call()
        time.sleep(0.1)
        trips = self.lap()
        shown = trips[len(trips) // 2], trips[len(trips) * 99 // 100], trips[-1]
        return name, f"{len(trips):,}", *(f"{1000 * trip:.1f} ms" for trip in shown)


@contextlib.contextmanager
def probe(address: str) -> Iterator[Probe]:
    command = [sys.executable, "-m", "tests.benchmarks.probe", "--exporter", address]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        started = Probe(process)
        eventually(lambda: started.lap(), within=10.0, what="the probe is answered")
        yield started
    finally:
        process.communicate()


def several(call: Callable[[], object]) -> Callable[[], None]:
    def calls() -> None:
        for _ in range(TIMES):
            call()
            time.sleep(0.5)

    return calls


def test_what_holds_a_heartbeat_up(crowd: Crowd) -> None:
    """Scrapes, the registry as JSON and as targets, with all workers beating; and nothing, to compare."""
    server = crowd.server
    with probe(server.address) as beating:
        rows = [
            beating.during("nothing else happens", lambda: time.sleep(10.0)),
            beating.during("/metrics, plain", several(lambda: scrape(server, "identity"))),
            beating.during("/metrics, gzip", several(lambda: scrape(server, "gzip"))),
            beating.during("/workers", several(lambda: server.get("/workers"))),
            beating.during("/sd", several(lambda: server.get("/sd"))),
            beating.during("nothing again", lambda: time.sleep(10.0)),
        ]
    show(f"Round trips of one worker beside {WORKERS:,} others (target: 20 ms more)", COLUMNS, rows)
    assert crowd.fleet.status().acknowledged == WORKERS


def remembered(number: int) -> Record:
    """A worker as it is left in the store."""
    facts = Facts(
        worker_id=WorkerId(f"worker-{number}"),
        name=f"Worker {number}",
        group=f"group-{number % 10}",
        host="10.0.0.1",
        port=8001,
        interval=5.0,
        timeout=15.0,
        boot_id=f"{number:032x}",
        version="1.0.0",
        metrics_path="/metrics",
    )
    at = Wall(time.time())
    born = Transition(
        facts.worker_id, facts.name, facts.group, None, Status.REGISTERED, Reason.REGISTERED, at
    )
    change = Transition(
        facts.worker_id, facts.name, facts.group, Status.REGISTERED, Status.CONNECTED, Reason.CONNECTED, at
    )
    return Record(facts, Status.CONNECTED, Reason.CONNECTED, at, at, None, NOTHING, (born, change))


def known(server: Server) -> int:
    count: int = json.loads(server.get("/health"))["checks"]["registry"]["details"]["workers"]
    return count


async def fill(port: int, workers: int) -> None:
    """Leave a fleet in a Redis."""
    store = RedisStore(f"redis://127.0.0.1:{port}/0")
    await store.open()
    assert await store.acquire() is None
    for start in range(0, workers, BATCH):
        await store.save(Batch([remembered(number) for number in range(start, min(start + BATCH, workers))]))
    await store.release()
    await store.close()


def test_what_loading_a_registry_holds_up(tmp_path: Path) -> None:
    """A Redis that comes late with 20,000 workers, while one that registered meanwhile is beating."""
    workers = min(2 * WORKERS, 19_999)
    port = free_port()
    with redis_server(tmp_path, port=port):
        asyncio.run(fill(port, workers))
        with redis.Redis(port=port) as client:
            client.save()
    with exporter(tmp_path, redis=port) as server, probe(server.address) as beating:
        quiet = beating.during("nothing else happens", lambda: time.sleep(5.0))

        def load() -> None:
            with redis_server(tmp_path, port=port):
                eventually(lambda: known(server) > workers, within=30.0, what="all workers are known")

        rows = [quiet, beating.during(f"{workers:,} workers are loaded", load)]
    show("Round trips of one worker while the registry is loaded (target: 20 ms more)", COLUMNS, rows)
