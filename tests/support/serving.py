"""The exporter as a process, started by any of the commands that people use."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from websockets.sync.client import ClientConnection, connect

from .processes import free_port, http_get, running

ROOT = Path(__file__).parents[2]

_UVICORN = (sys.executable, "-m", "uvicorn", "exporter.main:app", "--port", "{port}")
COMMANDS: Mapping[str, tuple[str, ...]] = {
    "serve": (sys.executable, "-m", "exporter", "serve", "--web.listen-address=127.0.0.1:{port}"),
    "uvicorn": _UVICORN,
    "uvicorn --loop asyncio": (*_UVICORN, "--loop", "asyncio"),
}

STOPS_WITHIN = 8.0
"""Seconds that an exporter takes to stop at most, with requests in flight and a busy machine."""


class Serving:
    """One running exporter, and the log lines that it wrote, each a JSON object."""

    def __init__(self, process: subprocess.Popen[bytes], port: int, log: Path) -> None:
        self.process = process
        self.port = port
        self._log = log
        self.url = f"http://127.0.0.1:{port}"

    def get(self, path: str) -> Any:
        return json.loads(http_get(f"{self.url}{path}"))

    def metric(self, series: str) -> float:
        """The value of one series, named as it stands in the text format."""
        lines = http_get(f"{self.url}/metrics").splitlines()
        (line,) = [line for line in lines if line.startswith(f"{series} ")]
        return float(line.rpartition(" ")[2])

    def register(self, worker_id: str = "w", **fields: Any) -> dict[str, Any]:
        """Introduce a worker. OSError: it was refused."""
        facts = {"name": worker_id.upper(), "host": "10.0.0.1", "port": 8001, **fields}
        body = json.dumps({"worker_id": worker_id, **facts}).encode()
        headers = {"Content-Type": "application/json"}
        request = urllib.request.Request(f"{self.url}/register", body, headers)
        with urllib.request.urlopen(request, timeout=10.0) as answer:
            registered: dict[str, Any] = json.load(answer)
            return registered

    def post(self, path: str) -> tuple[int, str]:
        """The status and text of the answer to an empty request, whatever it is."""
        request = urllib.request.Request(f"{self.url}{path}", b"")
        try:
            with urllib.request.urlopen(request, timeout=10.0) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as refused:
            with refused:
                return refused.code, refused.read().decode()

    def connect(self, worker_id: str = "w", **options: Any) -> ClientConnection:
        """Open a worker's WebSocket. websockets' InvalidStatus: it was refused."""
        return connect(f"ws://127.0.0.1:{self.port}/ws/{worker_id}", proxy=None, **options)

    def status(self, worker_id: str = "w") -> str:
        status: str = self.get(f"/workers/{worker_id}")["status"]
        return status

    def end(self, number: int = signal.SIGTERM) -> int:
        """Send a signal; returns the exit code."""
        self.process.send_signal(number)
        return self.process.wait(STOPS_WITHIN)

    def log(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.text().splitlines()]

    def text(self) -> str:
        return self._log.read_text()

    def said(self, level: str) -> list[str]:
        """What was logged at this level."""
        return [line["event"] for line in self.log() if line["level"] == level]

    def complaints(self) -> list[str]:
        """What was logged as an error or worse."""
        return [*self.said("error"), *self.said("critical")]


def stream(serving: Serving, *, room: int | None = None) -> socket.socket:
    """A connection on which the events of the front page were asked for; `room` is for bytes nobody reads."""
    connection = socket.socket()
    if room is not None:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, room)
    connection.connect(("127.0.0.1", serving.port))
    connection.sendall(b"GET / HTTP/1.1\r\nHost: exporter\r\nAccept: text/event-stream\r\n\r\n")
    return connection


def environment(**variables: object) -> dict[str, str]:
    """What a fresh login has, and these variables."""
    inherited = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    return {**inherited, "PYTHONPATH": str(ROOT), **{name: str(value) for name, value in variables.items()}}


def command(name: str, port: int) -> list[str]:
    return [part.format(port=port) for part in COMMANDS[name]]


@contextlib.contextmanager
def exporter(
    directory: Path,
    by: str = "serve",
    *,
    name: str = "exporter",
    port: int | None = None,
    wait: bool = True,
    arguments: Sequence[str] = (),
    **variables: object,
) -> Iterator[Serving]:
    """An exporter for the length of the block; with `wait` it is ready, its registry loaded.

    `arguments` are added to those of the command. Unless `variables` say otherwise, it keeps its registry in
    `registry.db` in `directory`.
    """
    port = port or free_port()
    log = directory / f"{name}.log"
    given = {"LOG_FORMAT": "json", **(variables or {"SQLITE_PATH": directory / "registry.db"})}
    path = "/-/ready" if wait else "/-/healthy"
    with running(
        [*command(by, port), *arguments],
        log=log,
        ready=f"http://127.0.0.1:{port}{path}",
        within=30.0,
        env=environment(**given),
        cwd=directory,
    ) as process:
        yield Serving(process, port, log)


def run_to_end(directory: Path, by: str = "serve", **variables: object) -> subprocess.CompletedProcess[str]:
    """An exporter that is expected to end by itself."""
    return subprocess.run(
        command(by, free_port()),
        capture_output=True,
        text=True,
        timeout=60.0,
        env=environment(**variables),
        cwd=directory,
        check=False,
    )
