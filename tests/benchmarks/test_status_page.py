"""What the status page costs with a large fleet: CPU, bytes, and for how long nothing else has its turn."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import statistics
import time
from collections.abc import AsyncIterator
from typing import Any

import httpx2
import pytest
import uvloop
from fastapi import FastAPI

from exporter.app import create_app
from exporter.core.events import Beat, Close, Connect, Goodbye, Register
from exporter.core.model import SECOND, Connection, WorkerId
from exporter.server import COLLECT_YOUNG
from exporter.settings import Settings
from exporter.web.roster import SHARED
from tests.benchmarks.report import show
from tests.benchmarks.scale import WORKERS
from tests.support.asgi import client
from tests.support.fleets import facts
from tests.support.stores import MemoryStore
from worker_agent.protocol import Heartbeat

pytestmark = pytest.mark.benchmark

ROUNDS = 10
ADDRESSES = {
    "first page": "/",
    "last page": "/?page=999999",
    "those disconnected": "/?status=disconnected",
    "part of a name": "/?q=99",
    "one worker": "/status/workers/w7",
}
CHECKS = (("database", "healthy"), ("mail", "healthy"), ("queue", "healthy"))


def test_pages() -> None:
    """CPU of one request, on the event loop that serve uses, and the longest turn that anybody had in it."""
    uvloop.run(measure())


async def measure() -> None:
    rows = []
    async with fleet() as http:
        for name, path in ADDRESSES.items():
            costs, size = [], 0
            for _ in range(ROUNDS):
                await asyncio.sleep(SHARED / SECOND)  # the next one takes a snapshot of its own
                before = time.process_time()
                page = await http.get(path)
                costs.append(time.process_time() - before)
                assert page.status_code == 200
                size = len(page.content)
            longest = [await hold(http, path) for _ in range(ROUNDS)]
            rows.append(
                (
                    name,
                    f"{1000 * statistics.median(costs):.0f} ms",
                    f"{size / 1024:.0f} KiB",
                    f"{1000 * statistics.median(longest):.1f} ms",
                    f"{1000 * max(longest):.1f} ms",
                )
            )
        before = time.process_time()
        answers = await asyncio.gather(*(http.get("/") for _ in range(20)))
        shared = (time.process_time() - before) / len(answers)
    show(
        f"The status page with {WORKERS:,} workers (targets: 100 ms of CPU, 200 KB, 20 ms)",
        ("", "CPU", "size", "longest turn, median", "worst"),
        rows,
        f"Of 20 viewers at once each costs {1000 * shared:.1f} ms.",
    )


async def hold(http: httpx2.AsyncClient, path: str) -> float:
    """CPU seconds for which others had to wait for their turn at most, while the page was made."""
    await asyncio.sleep(SHARED / SECOND)
    request = asyncio.ensure_future(http.get(path))
    longest, last = 0.0, time.thread_time()
    while not request.done():
        await asyncio.sleep(0)
        now = time.thread_time()
        longest, last = max(longest, now - last), now
    await request
    return longest


@contextlib.asynccontextmanager
async def fleet() -> AsyncIterator[httpx2.AsyncClient]:
    """Nearly all are alive; of the others some are cut off, some have shut down, and some never came."""
    app = create_app(Settings(_env_file=None, max_workers=WORKERS), store=MemoryStore())
    found = gc.get_threshold()
    gc.set_threshold(*COLLECT_YOUNG)
    try:
        async with app.router.lifespan_context(app), client(app) as http:
            while (await http.get("/health/ready")).status_code != 200:
                await asyncio.sleep(0.05)
            populate(app)
            await http.get("/")  # what the first request compiles belongs to nobody
            yield http
    finally:
        gc.set_threshold(*found)


def populate(app: FastAPI) -> None:
    monitor: Any = app.state.exporter.monitor
    for number in range(WORKERS):
        worker_id = f"w{number}"
        group = f"group-{number % 40}"
        name = f"worker-{number * 7919 % WORKERS}"
        monitor.receive(Register(facts(worker_id, name=name, group=group, interval=0.3, timeout=3600.0)))
        if number % 100 == 0:
            continue
        connection = Connection(1_000_000 + number)
        monitor.receive(Connect(WorkerId(worker_id), connection))
        report = Heartbeat(rtt=0.001 + number % 100 / 1e5, checks=CHECKS)
        monitor.receive(Beat(WorkerId(worker_id), connection, report))
        if number % 33 == 0:
            monitor.receive(Goodbye(WorkerId(worker_id), connection, leave=False))
        elif number % 31 == 0:
            monitor.receive(Close(WorkerId(worker_id), connection))
