"""What one run of a probe costs, beside Prometheus' own prober and the same target."""

from __future__ import annotations

import asyncio
import statistics
import sys
import time
from collections.abc import Awaitable, Callable, Coroutine
from pathlib import Path
from typing import Any

import aiohttp
import psutil
import pytest
import uvloop

from exporter.probes.varieties import VARIETIES
from tests.benchmarks.blackbox import blackbox, cpu_seconds
from tests.benchmarks.report import show
from tests.support.processes import free_port, running

pytestmark = [pytest.mark.benchmark, pytest.mark.servers("blackbox_exporter")]

RUNS = 2000
ROUNDS = 3
CONCURRENCY = (1, 20)
LOOPS: dict[str, Callable[[Coroutine[Any, Any, float]], float]] = {
    "uvloop": uvloop.run,
    "asyncio": asyncio.run,
}
COLUMNS = (
    "",
    "HTTP, one by one",
    f"{CONCURRENCY[1]} at once",
    "TCP, one by one",
    f"{CONCURRENCY[1]} at once",
)


async def many(once: Callable[[], Awaitable[None]], concurrency: int, cpu: Callable[[], float]) -> float:
    """CPU seconds of one call of `once`, after some that do not count."""

    async def several(calls: int) -> None:
        for _ in range(calls):
            await once()

    await several(20)
    before = cpu()
    await asyncio.gather(*(several(RUNS // concurrency) for _ in range(concurrency)))
    return (cpu() - before) / RUNS


async def ours(kind: str, port: int, concurrency: int) -> float:
    variety = VARIETIES[kind]
    options = variety.options.model_validate({"host": "127.0.0.1", "port": port})

    async def once() -> None:
        result = await variety.run(options, 5.0)
        assert result.success, result

    return await many(once, concurrency, time.process_time)


async def theirs(kind: str, port: int, concurrency: int, process: psutil.Process, address: str) -> float:
    target, module = {
        "http": (f"http://127.0.0.1:{port}/", "http_2xx"),
        "tcp": (f"127.0.0.1:{port}", "tcp_connect"),
    }[kind]
    query = {"target": target, "module": module}
    async with aiohttp.ClientSession() as session:

        async def once() -> None:
            async with session.get(f"http://{address}/probe", params=query) as answer:
                assert "\nprobe_success 1\n" in await answer.text()

        return await many(once, concurrency, lambda: cpu_seconds(process))


def test_cost_of_a_probe(tmp_path: Path) -> None:
    """HTTP and TCP, of a server on the same machine that answers at once and closes."""
    cells = [(kind, concurrency) for kind in ("http", "tcp") for concurrency in CONCURRENCY]
    rounds: dict[str, dict[tuple[str, int], list[float]]] = {
        name: {cell: [] for cell in cells} for name in (*LOOPS, "blackbox_exporter")
    }
    port = free_port()
    server = [sys.executable, "-m", "tests.benchmarks.answering", str(port)]
    with (
        running(server, log=tmp_path / "answering.log", ready=f"http://127.0.0.1:{port}/"),
        blackbox(tmp_path) as (process, address),
    ):
        # In turns, so that a slow moment of the machine meets each of them.
        for _ in range(ROUNDS):
            for cell in cells:
                for name, run in LOOPS.items():
                    rounds[name][cell].append(run(ours(cell[0], port, cell[1])))
                asked = theirs(cell[0], port, cell[1], process, address)
                rounds["blackbox_exporter"][cell].append(uvloop.run(asked))
    show(
        f"CPU of one run of a probe, {ROUNDS} rounds of {RUNS:,} (target: HTTP below blackbox_exporter)",
        COLUMNS,
        [
            (
                name,
                *(
                    f"{1e6 * min(times):.0f} ({1e6 * statistics.median(times):.0f}) µs"
                    for times in by_cell.values()
                ),
            )
            for name, by_cell in rounds.items()
        ],
        "The fastest round, and in brackets the median. User and system time of the probing process; that of",
        "blackbox_exporter includes answering who asks it, which is its only way to be used.",
    )
