"""`heartbeat-exporter demo`: the main job on one machine, to be looked at and to be broken.

One exporter with the embedded store, four workers and something that they depend on, as processes of
their own; Prometheus and Alertmanager with the shipped configuration where they are installed. What
happens is printed as it happens; what was ended, other than the exporter, is started again after a while.
Ctrl-C ends everything and leaves nothing.
"""

from __future__ import annotations

import contextlib
import importlib.util
import json
import shutil
import socket
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from exporter.programs import Program, ProgramFailed, Programs, end_by_signals, end_undisturbed, fetch
from exporter.shipped import webhook, write_alertmanager, write_prometheus

WORKERS = 4
ABSENCE = 60.0
"""Seconds until what was ended is started again: long enough for its alert to arrive."""

_ALIVE_WITHIN = 30.0
# Debian's Alertmanager goes by another name than upstream's.
_ALERTMANAGER = ("prometheus-alertmanager", "alertmanager")


class Notifications:
    """Where Alertmanager delivers to: a webhook in this process that prints what arrives."""

    def __init__(self) -> None:
        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                for line in describe_notification(json.loads(body)):
                    say(line)
                self.send_response(200)
                self.end_headers()

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
    raise ProgramFailed("no free TCP port on 127.0.0.1")


class Demo:
    """The programs, and what is told about them; a `with` block after which nothing is left of them."""

    def __init__(self, directory: Path, absence: float) -> None:
        self._directory = directory
        self._absence = absence
        self._taken: set[int] = set()
        self._programs = Programs()
        self._notifications = contextlib.ExitStack()
        self._workers: list[Program] = []
        self._blocking: list[str] = []  # of each worker, the URL that holds up its event loop
        self._ended_at: dict[Program, float] = {}
        self._told: Mapping[str, str] | None = None  # the latest transition that needs no more telling
        self._without: list[str] = []
        self._urls: list[tuple[str, str]] = []

    def __enter__(self) -> Demo:
        return self

    def __exit__(self, *_: object) -> None:
        with self._notifications:
            self._programs.__exit__()

    def start(self) -> None:
        """Start everything, and wait until every worker is alive. Raises ProgramFailed."""
        exporter_at = self._port(8000)
        alertmanager = next(filter(None, map(shutil.which, _ALERTMANAGER)), None)
        alertmanager_at = self._port(9093)
        self._exporter = self._start(
            "exporter",
            [sys.executable, "-m", "exporter", "serve", f"--web.listen-address={exporter_at}"],
            {
                "SQLITE_PATH": str(self._directory / "registry.db"),
                "LOG_FORMAT": "console",
                "ALERTMANAGER_URL": f"http://{alertmanager_at}" if alertmanager else "",
            },
        )
        self._url = f"http://{exporter_at}"
        self._exporter.wait_until_it_answers(f"{self._url}/-/ready")
        self._urls += [("exporter", f"{self._url}/"), ("its metrics", f"{self._url}/metrics")]
        dependency_at = self._start_dependency()
        for number in range(1, WORKERS + 1):
            self._start_worker(number, dependency_at)
        self._start_alerting(exporter_at, alertmanager, alertmanager_at)
        self._wait_until_all_are_alive()

    def _start_dependency(self) -> str:
        """Any server will do; this one has nothing to show."""
        host, port = self._port(8001 + WORKERS).split(":")
        shown = self._directory / "dependency"
        shown.mkdir(exist_ok=True)
        command = [sys.executable, "-m", "http.server", port, f"--bind={host}", f"--directory={shown}"]
        self._dependency = self._start("Dependency", command, {})
        self._dependency.wait_until_it_answers(f"http://{host}:{port}/")
        return f"{host}:{port}"

    def _start_worker(self, number: int, dependency_at: str) -> None:
        host, port = self._port(8000 + number).split(":")
        worker = self._start(
            f"Worker {number}",
            [sys.executable, "-m", "worker_agent.main", f"--bind={host}", f"--needs={dependency_at}"],
            {
                "WORKER_NAME": f"Worker {number}",
                "WORKER_HOST": host,
                "WORKER_PORT": port,
                "WORKER_GROUP": "demo",
                "MANAGER_URL": self._url,
            },
        )
        self._workers.append(worker)
        self._blocking.append(f"http://{host}:{port}/block")
        self._urls.append((worker.name, f"http://{host}:{port}/metrics"))
        if number == 1:
            self._urls.append(("its health", f"http://{host}:{port}/health"))

    def _start_alerting(self, exporter_at: str, alertmanager: str | None, alertmanager_at: str) -> None:
        started: list[tuple[Program, str, str]] = []
        if alertmanager is None:
            self._without.append("prometheus-alertmanager")
        else:
            notifications = self._notifications.enter_context(contextlib.closing(Notifications()))
            configuration = write_alertmanager(
                self._directory / "alertmanager", receiver=webhook(notifications.url)
            )
            command = [
                alertmanager,
                f"--config.file={configuration}",
                f"--storage.path={self._directory / 'alertmanager-data'}",
                f"--web.listen-address={alertmanager_at}",
                "--cluster.listen-address=",
            ]
            started.append((self._start("Alertmanager", command, {}), f"http://{alertmanager_at}/", ""))
        prometheus = shutil.which("prometheus")
        if prometheus is None:
            self._without.append("prometheus")
        else:
            at = self._port(9090)
            configuration = write_prometheus(
                self._directory / "prometheus",
                exporter=exporter_at,
                prometheus=at,
                alertmanager=alertmanager_at,
            )
            command = [
                prometheus,
                f"--config.file={configuration}",
                f"--storage.tsdb.path={self._directory / 'prometheus-data'}",
                f"--web.listen-address={at}",
            ]
            started.append((self._start("Prometheus", command, {}), f"http://{at}/", "alerts"))
        for program, url, page in started:
            program.wait_until_it_answers(f"{url}-/ready")
            self._urls.append((program.name, f"{url}{page}"))

    def _start(self, name: str, command: Sequence[str], env: Mapping[str, str]) -> Program:
        return self._programs.start(Program(name, command, env=env, directory=self._directory))

    def _port(self, wanted: int) -> str:
        return f"127.0.0.1:{pick_port(wanted, self._taken)}"

    def _wait_until_all_are_alive(self) -> None:
        deadline = time.monotonic() + _ALIVE_WITHIN
        awaited = list(self._workers)
        while awaited:
            if awaited[0].ended or time.monotonic() > deadline:
                raise awaited[0].failed("did not come alive")
            alive = {worker["name"] for worker in self._get("/workers?status=alive")}
            awaited = [worker for worker in awaited if worker.name not in alive]
            time.sleep(0.1)
        for transition in self._get("/transitions?limit=1"):
            self._told = transition

    def introduce(self) -> None:
        width = max(len(name) for name, _ in self._urls)
        print()
        for name, url in self._urls:
            print(f"  {name:{width}}  {url}")
        print()
        first, second, third = self._workers[:3]
        for what, command, effect in (
            ("Kill a worker", f"kill -9 {first.pid}", f"{first.name}: lost, an alert follows"),
            ("Stop a worker", f"kill {second.pid}", f"{second.name}: says goodbye, nobody is paged"),
            (
                "Block an event loop",
                f"curl {self._blocking[2]}",
                f"{third.name}: stays alive, an alert follows",
            ),
            (
                "Break a dependency",
                f"kill {self._dependency.pid}",
                f"one alert for all {WORKERS}, and on their /health",
            ),
        ):
            print(f"  {what + ':':21}{command:36}({effect})")
        print(f"  What ended is started again after {self._absence:.0f} s. Ctrl-C ends everything.")
        if self._without:
            print(f"\n  Not on the PATH, so no alerts are delivered: {', '.join(self._without)}.")
            print(f"  On Debian: apt-get install --no-install-recommends {' '.join(self._without)}")
        if importlib.util.find_spec("starlette_prometheus") is None:
            print("\n  The workers show no HTTP metrics of their own: starlette-prometheus is not installed.")
            print("  pip install 'heartbeat-exporter[worker]'")
        print(flush=True)
        say(f"All {WORKERS} workers are alive.")

    def watch(self) -> None:
        """Print what happens until interrupted. Raises ProgramFailed: the exporter ended."""
        while True:
            if self._exporter.ended:
                raise self._exporter.failed("ended")
            for transition in self._new_transitions():
                say(describe_transition(transition))
            for program in (*self._workers, self._dependency):
                self._bring_back(program)
            time.sleep(0.5)

    def _new_transitions(self) -> Sequence[Mapping[str, str]]:
        """Oldest first."""
        newest_first = self._get("/transitions?limit=100")
        if self._told in newest_first:
            newest_first = newest_first[: newest_first.index(self._told)]
        if newest_first:
            self._told = newest_first[0]
        return newest_first[::-1]

    def _get(self, path: str) -> list[Any]:
        """Nothing while the exporter does not answer, which may be what somebody tries."""
        try:
            answer: list[Any] = json.loads(fetch(f"{self._url}{path}"))
        except (OSError, ValueError):
            return []
        return answer

    def _bring_back(self, program: Program) -> None:
        if not program.ended:
            return
        ended_at = self._ended_at.setdefault(program, time.monotonic())
        if time.monotonic() - ended_at >= self._absence:
            del self._ended_at[program]
            program.start()
            say(f"{program.name} is started again, as process {program.pid}")


def run(directory: Path | None, *, absence: float = ABSENCE) -> None:
    """Run the demo until Ctrl-C; what was ended is back after `absence` seconds.

    Its files stay in `directory`, or nowhere if that is None. Raises ProgramFailed: it could not be
    started, or its exporter ended.
    """
    end_by_signals()
    with contextlib.ExitStack() as stack:
        stack.enter_context(contextlib.suppress(KeyboardInterrupt))
        if directory is None:
            directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="heartbeat-demo-")))
        else:
            directory.mkdir(parents=True, exist_ok=True)
        demo = stack.enter_context(Demo(directory.resolve(), absence))
        stack.callback(end_undisturbed)
        print("Starting an exporter, four workers, and what else is installed ...", flush=True)
        demo.start()
        demo.introduce()
        stack.callback(print, "\nStopping everything ...", flush=True)
        demo.watch()
