"""A small fleet to which everything happens that dashboards are to show."""

from __future__ import annotations

import contextlib
import signal
import socket
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from .authority import Authority
from .dashboards import load
from .processes import eventually
from .services import Ledger, Service
from .stack import Stack
from .viewer import Series, Times, Viewer, every_series

WORKERS = {
    "Kiosk": "web",
    "Stopped": "web",
    "Killed": "web",
    "Frozen": "batch",
    "Restarted": "batch",
    "Needy": "batch",
}
"""By name, their groups. Their names say what happens to them; Needy needs the service that goes down."""

LOAD = 25.0
"""Seconds for which all is well."""

LAST_WINDOWS = 2.0
"""Seconds of the latest five that are not yet in as many windows as those before."""

CERTIFICATE_DAYS = 20
KIOSK = (sys.executable, "-m", "uvicorn", "tests.support.kiosk:app", "--port", "{port}")
NEEDY = (sys.executable, "-m", "worker_agent.main", "--needs=127.0.0.1:{needed}")
CONFIGURATION = """\
defaults: {{interval: 1s, timeout: 900ms, failure_threshold: 1, success_threshold: 1}}
brake: {{share: 1}}
probes:
  shop: {{type: http, host: 127.0.0.1, port: {shop}}}
  bank: {{type: https, host: 127.0.0.1, port: {bank}, tls: {{ca_file: {ca}}}}}
  till: {{type: tcp, host: 127.0.0.1, port: {till}, action: nginx}}
actions:
  nginx: {{promote: {note}, demote: {note}, run_on_start: true}}
  pager: {{promote: {note}, demote: "false", run_on_start: true, on: {{probes: [till]}}}}
"""


class BadDay(NamedTuple):
    """When it was what, as Unix time."""

    stack: Stack
    began: float
    """All are alive."""

    well: float
    """Still, and for `LOAD` seconds."""

    end: float
    """Everything has happened; Killed has been down for a third of its time."""

    def viewer(self, uid: str, at: float, **choices: str) -> Viewer:
        times = Times(self.began, at, step=1.0, scrape_interval=1.0)
        return Viewer(load()[uid], self.stack.prometheus, times, **choices)

    def worker_id(self, name: str) -> str:
        found: str = _worker(self.stack, name)["worker_id"]
        return found

    def series(self) -> list[dict[str, str]]:
        """The labels of all that Prometheus has."""
        return every_series(self.stack.prometheus, self.began, self.end)


@contextlib.contextmanager
def bad_day(stack: Stack, directory: Path) -> Iterator[BadDay]:
    """The system after it, still running."""
    authority = Authority(directory)
    certificate = authority.issue("bank", "IP:127.0.0.1", days=CERTIFICATE_DAYS)
    with Service() as shop, Service(certificate.server()) as bank, Service() as till:
        for service in (shop, bank, till):
            service.up()
        _start(stack, directory, shop=shop.port, bank=bank.port, till=till.port, ca=authority.ca_file)
        stack.wait_until_alive(*WORKERS, within=90.0)
        began = time.time()
        with _customers(stack.port("Kiosk")):
            time.sleep(LOAD)
            well = time.time()
            _break(stack, till)
            yield BadDay(stack, began, well, _until_a_third(stack))


def last(series: list[Series], *labels: str) -> dict[str, float]:
    """The latest value of each, by these labels, or what the only one without is called: ''."""
    return {" ".join(one.labels.get(label, "") for label in labels): one.values[-1] for one in series}


def _start(stack: Stack, directory: Path, **values: object) -> None:
    file = directory / "probes.yml"
    file.write_text(CONFIGURATION.format(note=Ledger(directory).command, **values))
    stack.start_redis()
    stack.start_exporter(CONFIG_FILE=str(file))
    stack.start_alerting(hurried=True)
    needy = tuple(part.replace("{needed}", str(values["till"])) for part in NEEDY)
    for name, group in WORKERS.items():
        command = {"command": KIOSK} if name == "Kiosk" else {"command": needy} if name == "Needy" else {}
        stack.start_worker(name, group=group, wait=False, **command)


def _break(stack: Stack, till: Service) -> None:
    till.down()
    stack.workers["Stopped"].terminate()
    stack.workers["Killed"].kill()
    stack.workers["Frozen"].send_signal(signal.SIGSTOP)
    stack.workers["Restarted"].kill()
    stack.workers["Restarted"].wait()
    stack.start_worker("Restarted", group=WORKERS["Restarted"], wait=False)
    _ask(f"{stack.exporter}/register", b"{}")
    with contextlib.suppress(InvalidStatus), connect(f"{stack.exporter}/ws/nobody".replace("http", "ws")):
        pass


def _until_a_third(stack: Stack) -> float:
    """Waits until Killed has been down for half the time that it was up; returns when that was."""
    changes = _worker(stack, "Killed")["transitions"]
    alive, lost = (
        datetime.fromisoformat(next(change["at"] for change in changes if change["to"] == to)).timestamp()
        for to in ("alive", "disconnected")
    )
    end = lost + (lost - alive) / 2 + LAST_WINDOWS
    stack.wait_until_alive("Restarted", within=30.0)
    # One more second, so that nothing is asked of Prometheus that it has still to scrape.
    eventually(lambda: time.time() > end + 1.0, within=60.0)
    return end


def _ask(url: str, body: bytes | None = None) -> None:
    """And take whatever is answered."""
    with contextlib.suppress(urllib.error.HTTPError), urllib.request.urlopen(url, body) as response:
        response.read()


def _worker(stack: Stack, name: str) -> dict[str, Any]:
    worker_id = next(one["worker_id"] for one in stack.get("/workers") if one["name"] == name)
    found: dict[str, Any] = stack.get(f"/workers/{worker_id}")
    return found


@contextlib.contextmanager
def _customers(port: int) -> Iterator[None]:
    """Nine requests a second: for bread thrice as many as for toast, which fails. One waits in the queue."""
    done = threading.Event()

    def come() -> None:
        while not done.is_set():
            for path in ("/bread/rye", "/bread/white", "/bread/rye", "/toast"):
                _ask(f"http://127.0.0.1:{port}{path}")
                done.wait(0.1)

    thread = threading.Thread(target=come)
    with socket.create_connection(("127.0.0.1", port)) as waiting:
        waiting.sendall(b"GET /queue HTTP/1.1\r\nHost: kiosk\r\n\r\n")
        thread.start()
        try:
            yield
        finally:
            done.set()
            thread.join()
