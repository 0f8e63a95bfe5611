"""Four processes behind one port: four workers for the exporter, one page for Prometheus."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.client import HTTPException
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample

from tests.support.processes import eventually, free_port, http_get, running
from tests.support.serving import Serving, environment, exporter

pytestmark = pytest.mark.slow

APPLICATION = """
import os
import time
from contextlib import asynccontextmanager

from fastapi import FastAPI
from prometheus_client import Counter, Gauge, Histogram
from worker_agent import Agent

TAKEN = Counter("orders_taken", "Orders taken.", ["channel"])
TOOK = Histogram("order_seconds", "Time to take an order.")
PROCESS = Gauge("order_process", "Process id.", multiprocess_mode="liveall")
WORKING = Gauge("orders_working", "Processes that take orders.", multiprocess_mode="livesum")


@asynccontextmanager
async def lifespan(app):
    PROCESS.set(os.getpid())
    WORKING.set(1)
    yield


agent = Agent()
app = FastAPI(lifespan=agent.lifespan_around(lifespan))
agent.instrument(app)


@app.get("/take")
async def take():
    TAKEN.labels(channel="web").inc()
    with TOOK.time():
        time.sleep(0.003)  # Blocks the event loop, so that the other processes get something to do.
    return os.getpid()
"""

GUNICORN = ("gunicorn", "orders:app", "--workers=4", "--bind=127.0.0.1:{port}", "--no-control-socket")
COMMANDS = {
    "uvicorn": ("uvicorn", "orders:app", "--workers=4", "--port={port}"),
    "gunicorn": (*GUNICORN, "--worker-class=uvicorn.workers.UvicornWorker"),
    "gunicorn --preload": (*GUNICORN, "--worker-class=asgi", "--preload"),
}

IDS = ["orders", "orders-1", "orders-2", "orders-3"]
SLOTS = {"0", "1", "2", "3"}


class Server:
    """An application in four processes, and what it shows."""

    def __init__(self, process: subprocess.Popen[bytes], port: int) -> None:
        self.process = process
        self.url = f"http://127.0.0.1:{port}"
        self.answered: list[int] = []
        """The process that answered, for each order."""
        self._totals: dict[tuple[str, frozenset[tuple[str, str]]], float] = {}

    def scrape(self) -> list[Sample]:
        """An answer of whichever process gets the request; fails if any total is less than before."""
        families = list(text_string_to_metric_families(http_get(f"{self.url}/metrics")))
        assert len({family.name for family in families}) == len(families)
        totals = {
            (sample.name, frozenset(sample.labels.items())): sample.value
            for family in families
            if family.type in ("counter", "histogram") and not family.name.startswith(("process_", "python_"))
            for sample in family.samples
        }
        fallen = {
            series: (before, totals.get(series))
            for series, before in self._totals.items()
            if totals.get(series, -1.0) < before
        }
        if fallen:
            pytest.fail(f"these totals fell: {fallen}")
        self._totals = totals
        return [sample for family in families for sample in family.samples]

    def by_slot(self, name: str) -> dict[str, float]:
        return {sample.labels["slot"]: sample.value for sample in self.scrape() if sample.name == name}

    def total(self, name: str) -> float:
        (value,) = [sample.value for sample in self.scrape() if sample.name == name]
        return value

    @contextlib.contextmanager
    def traffic(self) -> Iterator[None]:
        """Orders, one after the other, each on a connection of its own, until the block ends."""
        ended = threading.Event()

        def send() -> None:
            while not ended.is_set():
                # One that was under way in a killed process is lost.
                with contextlib.suppress(OSError, HTTPException):
                    self.answered.append(int(http_get(f"{self.url}/take")))

        senders = [threading.Thread(target=send) for _ in range(8)]
        for sender in senders:
            sender.start()
        try:
            yield
        finally:
            ended.set()
            for sender in senders:
                sender.join()


@contextlib.contextmanager
def served(directory: Path, by: str, watched_by: Serving) -> Iterator[Server]:
    (directory / "orders.py").write_text(APPLICATION)
    (directory / "tmp").mkdir()
    port = free_port()
    command = [sys.executable, "-W", "ignore", "-m", *(part.format(port=port) for part in COMMANDS[by])]
    given = environment(
        TMPDIR=directory / "tmp",
        WORKER_ID="orders",
        WORKER_NAME="Orders",
        WORKER_HOST="127.0.0.1",
        WORKER_PORT=port,
        MANAGER_URL=watched_by.url,
        HEARTBEAT_INTERVAL=0.5,
    )
    with running(
        command,
        log=directory / "orders.log",
        ready=f"http://127.0.0.1:{port}/health/ready",
        env=given,
        cwd=directory,
    ) as process:
        server = Server(process, port)
        eventually(lambda: alive(watched_by) == IDS, within=15, what="four workers are alive")
        yield server


def alive(watching: Serving) -> list[str]:
    workers = watching.get("/workers?status=alive")
    return sorted(worker["worker_id"] for worker in workers)


@pytest.mark.parametrize("by", COMMANDS)
def test_one_of_four_is_killed(tmp_path: Path, by: str) -> None:
    """A killed process is replaced under the same identity, and no total ever falls, whoever answers."""
    with exporter(tmp_path) as watching, served(tmp_path, by, watching) as server:
        names = {worker["worker_id"]: worker["name"] for worker in watching.get("/workers")}
        assert names == {"orders": "Orders", **{f"orders-{n}": f"Orders-{n}" for n in (1, 2, 3)}}
        with server.traffic():
            before = server.by_slot("order_process")
            assert before.keys() == SLOTS
            eventually(lambda: set(server.answered) == set(before.values()), within=10)
            for _ in range(20):
                server.scrape()
            os.kill(int(before["2"]), signal.SIGKILL)

            def replaced() -> bool:
                processes = server.by_slot("order_process")
                return processes.keys() == SLOTS and not {before["2"], 0.0} & set(processes.values())

            eventually(replaced, within=10, every=0.01, what="another process in slot 2")
            after = server.by_slot("order_process")
            eventually(lambda: after["2"] in server.answered, within=10)
            for _ in range(20):
                server.scrape()
        assert {slot for slot in SLOTS if after[slot] != before[slot]} == {"2"}
        assert server.by_slot("process_start_time_seconds").keys() == SLOTS
        assert server.by_slot("python_info").keys() == SLOTS
        assert server.by_slot("heartbeat_agent_connected").keys() == SLOTS
        # Each answer was counted; of what was under way in the killed process nobody knows.
        assert 0 <= server.total("orders_taken_total") - len(server.answered) <= 8
        assert server.total("orders_working") == 4
        eventually(lambda: alive(watching) == IDS, within=10)
        restarts = [
            watching.metric(
                f'heartbeat_worker_restarts_total{{worker_id="{id_}",worker="{names[id_]}",group="default"}}'
            )
            for id_ in IDS
        ]
        assert restarts == [0, 0, 1, 0]
        assert watching.metric('heartbeat_identity_conflicts_total{group="default"}') == 0
        assert watching.complaints() == []


def test_one_of_four_is_given_up(tmp_path: Path) -> None:
    """A slot that nobody takes again keeps its totals; its gauges go, and its worker is known as stopped."""
    with exporter(tmp_path) as watching, served(tmp_path, "uvicorn", watching) as server:
        with server.traffic():
            eventually(lambda: len(set(server.answered)) == 4, within=10)
        server.process.send_signal(signal.SIGTTOU)
        eventually(lambda: len(alive(watching)) == 3, within=10)
        (gone,) = set(IDS) - set(alive(watching))
        slot = gone.removeprefix("orders").removeprefix("-") or "0"
        eventually(lambda: server.by_slot("process_start_time_seconds").keys() == SLOTS - {slot}, within=10)
        assert server.by_slot("order_process").keys() == SLOTS - {slot}
        assert server.total("orders_working") == 3
        assert server.total("orders_taken_total") == len(server.answered)
        worker = watching.get(f"/workers/{gone}")
        assert (worker["status"], worker["reason"]) == ("disconnected", "shutdown")
