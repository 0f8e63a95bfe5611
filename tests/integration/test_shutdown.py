"""SIGTERM under load: in which order things end, and that nothing is lost."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from tests.support.processes import eventually, free_port, http_get, running
from tests.support.serving import Serving, environment, exporter
from worker_agent.drain import ECHO

pytestmark = pytest.mark.slow

DRAIN = 1.5
GRACE = 10


class Shop:
    """The application as a process, its exporter, and what it noted."""

    def __init__(
        self, serving: Serving, process: subprocess.Popen[bytes], port: int, health: int, events: Path
    ):
        self.serving = serving
        self.process = process
        self.url = f"http://127.0.0.1:{port}"
        self.health = f"http://127.0.0.1:{health}"
        self._events = events

    def ready(self) -> bool:
        """As a load balancer sees it."""
        try:
            http_get(f"{self.health}/health/ready", timeout=1.0)
        except OSError:
            return False
        return True

    def events(self) -> list[str]:
        return self._events.read_text().splitlines()


@contextmanager
def shop(directory: Path, *arguments: str, **variables: object) -> Iterator[Shop]:
    port, health_port, events = free_port(), free_port(), directory / "events"
    events.touch()
    with exporter(directory) as serving:
        given = {
            "EVENTS": events,
            "WORKER_ID": "w",
            "WORKER_PORT": port,
            "WORKER_HEALTH_PORT": health_port,
            "MANAGER_HOST": "127.0.0.1",
            "MANAGER_PORT": serving.port,
            "HEARTBEAT_INTERVAL": 0.5,
            **variables,
        }
        command = [
            *(sys.executable, "-m", "uvicorn", "tests.support.shop:app", "--port", str(port)),
            *("--timeout-graceful-shutdown", str(GRACE), *arguments),
        ]
        url = f"http://127.0.0.1:{port}/health/ready"
        log = directory / "worker.log"
        with running(command, log=log, ready=url, env=environment(**given)) as process:
            eventually(lambda: serving.status() == "alive", within=10)
            yield Shop(serving, process, port, health_port, events)


class Load:
    """Customers who order as long as the shop is ready; each order has a connection of its own."""

    def __init__(self, shop: Shop, customers: int = 8) -> None:
        self.answers: Counter[str] = Counter()
        self._shop = shop
        self._open = threading.Event()
        self._open.set()
        self._threads = [threading.Thread(target=self._balance)]
        self._threads += [threading.Thread(target=self._order) for _ in range(customers)]
        for thread in self._threads:
            thread.start()

    def join(self) -> None:
        for thread in self._threads:
            thread.join(20.0)

    def _balance(self) -> None:
        while self._shop.ready():
            time.sleep(0.05)
        self._open.clear()

    def _order(self) -> None:
        while self._open.is_set():
            try:
                answer = http_get(f"{self._shop.url}/order", timeout=10.0)
            except OSError as error:
                answer = repr(error)
            self.answers[answer] += 1


def test_no_response_is_lost(tmp_path: Path) -> None:
    """Ready turns false, the goodbye follows, what is in flight is answered, pools close; in that order."""
    with shop(tmp_path, WORKER_DRAIN_DELAY=DRAIN) as running_shop:
        load = Load(running_shop)
        eventually(lambda: load.answers['"taken"'] >= 20, within=10)
        running_shop.process.send_signal(signal.SIGTERM)
        sent = time.monotonic()
        eventually(lambda: not running_shop.ready(), within=0.5)
        # It drains: still serving, still alive.
        assert http_get(f"{running_shop.url}/order") == '"taken"'
        assert running_shop.serving.status() == "alive"
        eventually(lambda: running_shop.serving.status() == "disconnected", within=DRAIN + 2)
        assert time.monotonic() - sent > DRAIN * 0.9
        code = running_shop.process.wait(GRACE)
        load.join()
        assert set(load.answers) == {'"taken"'}
        worker = running_shop.serving.get("/workers/w")
        assert (worker["status"], worker["reason"]) == ("disconnected", "shutdown")
    assert code == -signal.SIGTERM
    assert time.monotonic() - sent < GRACE
    ended = running_shop.events()
    assert ended[-2:] == ["the check's pool is closed", "the application's own pool is closed"]
    assert set(ended[:-2]) == {"an order is answered"}
    assert len(ended[:-2]) == load.answers['"taken"'] + 1


def test_what_is_in_flight_is_answered(tmp_path: Path) -> None:
    """Without a drain delay too: goodbye at once, every request that had been taken is answered."""
    with shop(tmp_path) as running_shop:
        answers: list[str] = []
        orders = [
            threading.Thread(target=lambda: answers.append(http_get(f"{running_shop.url}/order")))
            for _ in range(8)
        ]
        for order in orders:
            order.start()
        in_progress = 'starlette_requests_in_progress{method="GET",path_template="/order"} 8.0'
        eventually(lambda: in_progress in http_get(f"{running_shop.url}/metrics"), within=5, every=0.01)
        running_shop.process.send_signal(signal.SIGTERM)
        eventually(lambda: running_shop.serving.status() == "disconnected", within=2)
        running_shop.process.wait(GRACE)
        for order in orders:
            order.join()
        assert answers == ['"taken"'] * 8


def test_a_second_signal_is_meant_now(tmp_path: Path) -> None:
    """Whoever sends SIGTERM twice, and not at once, does not wait for the drain delay."""
    with shop(tmp_path, WORKER_DRAIN_DELAY=60, WORKER_LEAVE_ON_SHUTDOWN=True) as running_shop:
        running_shop.process.send_signal(signal.SIGTERM)
        eventually(lambda: not running_shop.ready(), within=1)
        time.sleep(ECHO)
        running_shop.process.send_signal(signal.SIGTERM)
        assert running_shop.process.wait(GRACE) == -signal.SIGTERM
        eventually(lambda: running_shop.serving.get("/workers") == [], within=2)


def test_a_service_is_told_in_all_its_processes(tmp_path: Path) -> None:
    """As by systemd: parent and children get the signal, the parent hands it on as well, and all drain."""
    # Without a health port: the second process would take the one after it, which may be another test's.
    variables = {"WORKER_DRAIN_DELAY": 2 * ECHO, "WORKER_HEALTH_PORT": ""}
    with shop(tmp_path, "--workers", "2", **variables) as running_shop:
        exporter = running_shop.serving
        workers = ("w", "w-1")
        eventually(lambda: {exporter.status(worker) for worker in workers} == {"alive"}, within=10)
        parent = psutil.Process(running_shop.process.pid)
        for process in [*parent.children(recursive=True), parent]:
            process.send_signal(signal.SIGTERM)
        sent = time.monotonic()
        assert running_shop.process.wait(GRACE) == 0
        assert time.monotonic() - sent > 1.8 * ECHO
        for worker in workers:
            assert exporter.get(f"/workers/{worker}")["reason"] == "shutdown"
