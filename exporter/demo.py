"""`heartbeat-exporter demo`: the main job on one machine, to be looked at and to be broken.

One exporter with the embedded store and four workers as processes of their own; Prometheus and
Alertmanager with the shipped configuration where they are installed. What happens is printed as it
happens; a worker that ends is started again after a while. Ctrl-C ends everything and leaves nothing.
"""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import FrameType
from typing import Any

from exporter.errors import ExporterError
from exporter.shipped import webhook, write_alertmanager, write_prometheus

WORKERS = 4
ABSENCE = 60.0
"""Seconds until a worker that ended is started again: long enough for its alert to arrive."""

_READY_WITHIN = 30.0
_END_WITHIN = 8.0
# Debian's Alertmanager goes by another name than upstream's.
_ALERTMANAGER = ("prometheus-alertmanager", "alertmanager")


class DemoFailed(ExporterError):
    """A part of the demo did not come up; the text holds the end of what it said."""


class Program:
    """A process of the demo, in a session of its own so that Ctrl-C reaches only the demo itself."""

    def __init__(self, name: str, command: Sequence[str], log: Path, env: Mapping[str, str]) -> None:
        self.name = name
        self._command = command
        self._log = log
        self._env = {**os.environ, **env}
        self.start()

    def start(self) -> None:
        with self._log.open("ab") as log:
            self.process = subprocess.Popen(
                self._command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=self._env,
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def ended(self) -> bool:
        return self.process.poll() is not None

    def wait_until_it_answers(self, url: str) -> None:
        """Raises DemoFailed: it ended, or took too long."""
        deadline = time.monotonic() + _READY_WITHIN
        while not self.ended and time.monotonic() < deadline:
            try:
                with urllib.request.urlopen(url, timeout=2.0):
                    return
            except (OSError, urllib.error.URLError):
                time.sleep(0.1)
        said = self._log.read_text(errors="replace")[-2000:]
        raise DemoFailed(f"{self.name} did not come up at {url}; it said:\n{said}")

    def ask_to_end(self) -> None:
        if not self.ended:
            self.process.send_signal(signal.SIGCONT)
            self.process.terminate()

    def end(self) -> None:
        self.ask_to_end()
        try:
            self.process.wait(_END_WITHIN)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


class Notifications:
    """Where Alertmanager delivers to: a webhook in this process that prints what arrives."""

    def __init__(self) -> None:
        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                self.send_response(200)
                self.end_headers()
                for line in describe_notification(json.loads(body)):
                    say(line)

            def log_message(self, format: str, *args: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


def describe_notification(notification: Mapping[str, Any]) -> Iterator[str]:
    """What a person reads of Alertmanager's webhook message, a line an alert."""
    for alert in notification["alerts"]:
        labels, annotations = alert["labels"], alert["annotations"]
        text = annotations.get("description") or annotations.get("summary", "")
        yield f"NOTIFICATION {alert['status']:8} {labels['alertname']}: {' '.join(text.split())}"


def describe_transition(transition: Mapping[str, str]) -> str:
    return f"{transition['worker']}: {transition['from']} -> {transition['to']} ({transition['reason']})"


def say(text: str) -> None:
    print(f"{time.strftime('%H:%M:%S')}  {text}", flush=True)


def pick_port(wanted: int, taken: set[int]) -> int:
    """The port that people expect, or any other if somebody has it."""
    for port in (wanted, 0):
        with contextlib.suppress(OSError), socket.create_server(("127.0.0.1", port)) as probe:
            number: int = probe.getsockname()[1]
            if number not in taken:
                taken.add(number)
                return number
    raise DemoFailed("no free TCP port on 127.0.0.1")


class Demo:
    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._taken: set[int] = set()
        self._programs = contextlib.ExitStack()
        self._workers: list[Program] = []
        self._ended_at: dict[Program, float] = {}
        self._seen: str | None = None
        self._urls: list[tuple[str, str]] = []

    def __enter__(self) -> Demo:
        return self

    def __exit__(self, *_: object) -> None:
        # All are asked first: one after the other they would take as long as all together.
        for worker in self._workers:
            worker.ask_to_end()
        self._programs.close()

    def start(self) -> None:
        """Start everything, the exporter first. Raises DemoFailed."""
        self._exporter = f"127.0.0.1:{pick_port(8000, self._taken)}"
        self._run(
            "exporter",
            [sys.executable, "-m", "exporter", "serve", f"--web.listen-address={self._exporter}"],
            {"SQLITE_PATH": str(self._directory / "registry.db"), "LOG_FORMAT": "console"},
            f"http://{self._exporter}/-/ready",
        )
        self._urls.append(("exporter", f"http://{self._exporter}/"))
        self._urls.append(("its metrics", f"http://{self._exporter}/metrics"))
        for number in range(1, WORKERS + 1):
            self._start_worker(number)
        self._start_alerting()

    def _start_worker(self, number: int) -> None:
        port = pick_port(8000 + number, self._taken)
        host, manager_port = self._exporter.split(":")
        worker = self._run(
            f"Worker {number}",
            [sys.executable, "-m", "worker_agent.main"],
            {
                "WORKER_NAME": f"Worker {number}",
                "WORKER_HOST": "127.0.0.1",
                "WORKER_PORT": str(port),
                "WORKER_GROUP": "demo",
                "MANAGER_HOST": host,
                "MANAGER_PORT": manager_port,
            },
            f"http://127.0.0.1:{port}/health/live",
        )
        self._workers.append(worker)
        self._urls.append((worker.name, f"http://127.0.0.1:{port}/metrics"))

    def _start_alerting(self) -> None:
        alertmanager = next(filter(None, map(shutil.which, _ALERTMANAGER)), None)
        alertmanager_at = f"127.0.0.1:{pick_port(9093, self._taken)}"
        if alertmanager is not None:
            notifications = Notifications()
            self._programs.callback(notifications.close)
            configuration = write_alertmanager(
                self._directory / "alertmanager", receiver=webhook(notifications.url)
            )
            self._run(
                "Alertmanager",
                [
                    alertmanager,
                    f"--config.file={configuration}",
                    f"--storage.path={self._directory / 'alertmanager-data'}",
                    f"--web.listen-address={alertmanager_at}",
                    "--cluster.listen-address=",
                ],
                {},
                f"http://{alertmanager_at}/-/ready",
            )
            self._urls.append(("Alertmanager", f"http://{alertmanager_at}/"))
        prometheus = shutil.which("prometheus")
        if prometheus is not None:
            at = f"127.0.0.1:{pick_port(9090, self._taken)}"
            configuration = write_prometheus(
                self._directory / "prometheus",
                exporter=self._exporter,
                prometheus=at,
                alertmanager=alertmanager_at,
            )
            self._run(
                "Prometheus",
                [
                    prometheus,
                    f"--config.file={configuration}",
                    f"--storage.tsdb.path={self._directory / 'prometheus-data'}",
                    f"--web.listen-address={at}",
                ],
                {},
                f"http://{at}/-/ready",
            )
            self._urls.append(("Prometheus", f"http://{at}/alerts"))
        self._without = [
            name
            for name, path in (("prometheus", prometheus), ("prometheus-alertmanager", alertmanager))
            if path is None
        ]

    def _run(self, name: str, command: Sequence[str], env: Mapping[str, str], ready: str) -> Program:
        program = Program(name, command, self._directory / f"{name.lower().replace(' ', '-')}.log", env)
        self._programs.callback(program.end)
        program.wait_until_it_answers(ready)
        return program

    def introduce(self) -> None:
        width = max(len(name) for name, _ in self._urls)
        print()
        for name, url in self._urls:
            print(f"  {name:{width}}  {url}")
        print()
        first, second = self._workers[:2]
        print(f"  Kill a worker:  kill -9 {first.pid}    ({first.name}: lost, an alert follows)")
        print(f"  Stop a worker:  kill {second.pid}       ({second.name}: says goodbye, nobody is paged)")
        print(f"  Either is started again after {ABSENCE:.0f} s. Ctrl-C ends everything.")
        if self._without:
            print(f"\n  Not on the PATH, so no alerts are delivered: {', '.join(self._without)}.")
            print(f"  On Debian: apt-get install --no-install-recommends {' '.join(self._without)}")
        if importlib.util.find_spec("starlette_prometheus") is None:
            print("\n  The workers show no HTTP metrics of their own: starlette-prometheus is not installed.")
            print("  pip install 'heartbeat-exporter[worker]'")
        print(flush=True)

    def watch(self) -> None:
        """Print what happens until interrupted. Raises DemoFailed: the exporter ended."""
        while True:
            for transition in self._new_transitions():
                say(describe_transition(transition))
            for worker in self._workers:
                self._bring_back(worker)
            time.sleep(0.5)

    def _new_transitions(self) -> Sequence[Mapping[str, str]]:
        """Oldest first. None while the exporter does not answer, which may be what somebody tries."""
        try:
            with urllib.request.urlopen(
                f"http://{self._exporter}/transitions?limit=100", timeout=5.0
            ) as answer:
                newest_first = json.load(answer)
        except (OSError, ValueError):
            return ()
        new = [item for item in newest_first if self._seen is None or item["at"] > self._seen]
        if newest_first:
            self._seen = newest_first[0]["at"]
        return new[::-1]

    def _bring_back(self, worker: Program) -> None:
        if not worker.ended:
            return
        ended_at = self._ended_at.setdefault(worker, time.monotonic())
        if time.monotonic() - ended_at >= ABSENCE:
            del self._ended_at[worker]
            worker.start()
            say(f"{worker.name} is started again, as process {worker.pid}")


def run(directory: Path | None) -> None:
    """Run the demo until Ctrl-C. Raises DemoFailed: it could not be started."""
    signal.signal(signal.SIGTERM, _interrupt)
    signal.signal(signal.SIGHUP, _interrupt)
    with contextlib.ExitStack() as stack:
        if directory is None:
            directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="heartbeat-demo-")))
        else:
            directory.mkdir(parents=True, exist_ok=True)
        stack.enter_context(contextlib.suppress(KeyboardInterrupt))
        demo = stack.enter_context(Demo(directory))
        print("Starting an exporter, four workers, and what else is installed ...", flush=True)
        demo.start()
        demo.introduce()
        stack.callback(print, "\nStopping everything ...", flush=True)
        demo.watch()


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt
