"""The whole system as processes: store, exporter, workers, Prometheus, Alertmanager, and a receiver.

With the shipped configuration; only addresses are replaced. Everything listens on free ports of
127.0.0.1 and is stopped at the end, frozen or not.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import urllib.parse
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple

from exporter.shipped import webhook, write_alertmanager, write_prometheus

from .inboxes import Inbox
from .processes import eventually, free_port, http_get, program, redis_server, running

INTERVAL = 1.0
TIMEOUT = 4.0
"""Of the workers in these tests: as short as keeps a busy test machine from looking dead."""

RECONNECT = 15.0
"""The agents' longest delay: what the exporter grants on top after its own absence."""


SAMPLE_WORKER = (sys.executable, "-m", "worker_agent.main")


def whose(labels: Mapping[str, str]) -> str:
    """The one whose alert it is: worker, or else group, probe or action; nothing of the fleet's."""
    return next((labels[name] for name in ("worker", "group", "probe", "action") if name in labels), "")


def hurry(text: str) -> str:
    """Prometheus' configuration, or rules, with everything done each second that is done at an interval.

    Where that was each minute, a minute lasts a second in windows, too.
    """
    if "interval: 1m" in text:
        seconds = {"m": 1, "h": 60, "d": 1440}
        text = re.sub(r"\b(\d+)([mhd])\b", lambda found: f"{int(found[1]) * seconds[found[2]]}s", text)
    return re.sub(r"\b(\w*interval|scrape_timeout): \d+[smh]", r"\1: 1s", text)


class Notification(NamedTuple):
    """One message of Alertmanager to its receiver, and when it came (monotonic seconds)."""

    at: float
    content: Mapping[str, Any]

    @property
    def alerts(self) -> set[tuple[str, str, str]]:
        """Status, name of the alert, and whose it is."""
        return {
            (alert["status"], alert["labels"]["alertname"], whose(alert["labels"]))
            for alert in self.content["alerts"]
        }


class Receiver(Inbox):
    """A webhook that keeps what is delivered to it; a `with` block."""

    @property
    def notifications(self) -> list[Notification]:
        return [Notification(posted.at, posted.content) for posted in self.posts]

    def about(self, alertname: str) -> list[Notification]:
        return [
            notification
            for notification in self.notifications
            if any(name == alertname for _, name, _ in notification.alerts)
        ]


class Stack:
    """A `with` block in which the system runs. Start what the test needs."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._programs = contextlib.ExitStack()
        self._exporter: contextlib.ExitStack | None = None
        self.exporter_process: subprocess.Popen[bytes] | None = None
        self.workers: dict[str, subprocess.Popen[bytes]] = {}
        self._worker_stacks: dict[str, contextlib.ExitStack] = {}
        self._ports: dict[str, int] = {}
        self.receiver = Receiver()
        self._programs.enter_context(self.receiver)

    def __enter__(self) -> Stack:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for process in self.workers.values():
            if process.poll() is None:
                process.send_signal(signal.SIGCONT)
                process.terminate()
        for stack in self._worker_stacks.values():
            stack.close()
        if self._exporter is not None:
            self._exporter.close()
        self._programs.close()

    # Parts

    def start_redis(self) -> None:
        self._ports["redis"] = self._programs.enter_context(redis_server(self.directory))

    def start_exporter(self, *, wait: bool = True, **env: str) -> None:
        port = self._ports.setdefault("exporter", free_port())
        stack = contextlib.ExitStack()
        command = [sys.executable, "-m", "exporter", "serve", f"--web.listen-address=127.0.0.1:{port}"]
        given = {
            "REDIS_HOST": "127.0.0.1",
            "REDIS_PORT": str(self._ports["redis"]),
            "LOG_FORMAT": "logfmt",
            **env,
        }
        self.exporter_process = stack.enter_context(
            running(
                command,
                log=self.directory / "exporter.log",
                ready=f"{self.exporter}/-/ready" if wait else lambda: True,
                within=30.0,
                env={**os.environ, **given},
            )
        )
        self._exporter = stack

    def stop_exporter(self, number: int = signal.SIGTERM) -> None:
        assert self.exporter_process is not None
        assert self._exporter is not None
        self.exporter_process.send_signal(number)
        self.exporter_process.wait(15.0)
        self._exporter.close()
        self._exporter = None

    def start_worker(
        self,
        name: str,
        *,
        group: str = "default",
        wait: bool = True,
        command: Sequence[str] = SAMPLE_WORKER,
        **env: str,
    ) -> None:
        """A worker, by default the sample; `{port}` in its `command` is that on which it answers."""
        port = self._ports.setdefault(name, free_port())
        given = {
            "WORKER_NAME": name,
            "WORKER_HOST": "127.0.0.1",
            "WORKER_PORT": str(port),
            "WORKER_GROUP": group,
            "MANAGER_HOST": "127.0.0.1",
            "MANAGER_PORT": str(self._ports["exporter"]),
            "HEARTBEAT_INTERVAL": str(INTERVAL),
            "HEARTBEAT_TIMEOUT": str(TIMEOUT),
            **env,
        }
        stack = contextlib.ExitStack()
        self.workers[name] = stack.enter_context(
            running(
                [part.format(port=port) for part in command],
                log=self.directory / f"{name}.log",
                ready=f"http://127.0.0.1:{port}/health/live" if wait else lambda: True,
                env={**os.environ, **given},
            )
        )
        self._worker_stacks[name] = stack

    def start_alerting(self, *, hurried: bool = False) -> None:
        """Prometheus and Alertmanager with the shipped files; in a hurry, Prometheus as `hurry` has it."""
        prometheus, alertmanager = (f"127.0.0.1:{free_port()}" for _ in range(2))
        configuration = write_alertmanager(
            self.directory / "alertmanager", receiver=webhook(self.receiver.url)
        )
        self._programs.enter_context(
            running(
                [
                    program("alertmanager"),
                    f"--config.file={configuration}",
                    f"--storage.path={self.directory / 'alertmanager-data'}",
                    f"--web.listen-address={alertmanager}",
                    "--cluster.listen-address=",
                ],
                log=self.directory / "alertmanager.log",
                ready=f"http://{alertmanager}/-/ready",
            )
        )
        configuration = write_prometheus(
            self.directory / "prometheus",
            exporter=f"127.0.0.1:{self._ports['exporter']}",
            prometheus=prometheus,
            alertmanager=alertmanager,
        )
        if hurried:
            for file in (configuration, *configuration.parent.glob("rules/*.yml")):
                file.write_text(hurry(file.read_text()))
        self._programs.enter_context(
            running(
                [
                    program("prometheus"),
                    f"--config.file={configuration}",
                    f"--storage.tsdb.path={self.directory / 'prometheus-data'}",
                    f"--web.listen-address={prometheus}",
                ],
                log=self.directory / "prometheus.log",
                ready=f"http://{prometheus}/-/ready",
            )
        )
        self.prometheus = f"http://{prometheus}"
        self.alertmanager = f"http://{alertmanager}"

    # Looking

    def port(self, name: str) -> int:
        """That on which a worker, or another part, answers."""
        return self._ports[name]

    @property
    def exporter(self) -> str:
        return f"http://127.0.0.1:{self._ports['exporter']}"

    def get(self, path: str) -> Any:
        return json.loads(http_get(f"{self.exporter}{path}"))

    def statuses(self) -> dict[str, tuple[str, str]]:
        """Status and reason by name."""
        return {worker["name"]: (worker["status"], worker["reason"]) for worker in self.get("/workers")}

    def wait_for(self, expected: Mapping[str, tuple[str, str]], *, within: float) -> None:
        """Until these workers are so; the others may be as they like."""
        try:
            eventually(
                lambda: expected.items() <= self.statuses().items(),
                within=within,
                what=f"statuses {expected}",
            )
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.account(expected)}") from None

    def account(self, expected: Mapping[str, tuple[str, str]]) -> str:
        """What there is to know of the workers, above all of those that are not as expected."""
        try:
            statuses = self.statuses()
        except OSError as error:
            return f"the exporter does not answer: {error}\n{self._end_of_log('exporter')}"
        told = []
        for name, process in self.workers.items():
            code = process.poll()
            status, reason = statuses.get(name, ("unknown", "to the exporter"))
            told.append(
                f"{name}: {status} ({reason}), " + ("running" if code is None else f"ended with {code}")
            )
            if name in expected and statuses.get(name) != expected[name]:
                told.append(self._end_of_log(name))
        return "\n".join([*told, self._end_of_log("exporter")])

    def _end_of_log(self, name: str) -> str:
        log = self.directory / f"{name}.log"
        text = log.read_text(errors="replace") if log.exists() else ""
        return f"the end of {log.name}:\n{text[-2000:] or '(empty)'}"

    def wait_until_alive(self, *names: str, within: float = 20.0) -> None:
        self.wait_for(dict.fromkeys(names, ("alive", "heartbeat")), within=within)

    def transitions(self) -> Iterator[tuple[str, str, str, str]]:
        """Worker, from, to, reason; oldest first."""
        for change in reversed(self.get("/transitions?limit=1000")):
            yield change["worker"], change["from"], change["to"], change["reason"]

    def went_down(self) -> set[tuple[str, str, str]]:
        """Worker, status and reason of everybody who ever went down."""
        return {
            (worker, after, reason)
            for worker, _, after, reason in self.transitions()
            if after in ("disconnected", "not_responding")
        }

    def query(self, promql: str) -> dict[str, float]:
        """The value of each series, by its worker, else its group, else ''."""
        url = f"{self.prometheus}/api/v1/query?{urllib.parse.urlencode({'query': promql})}"
        answer = json.loads(http_get(url))
        return {
            series["metric"].get("worker") or series["metric"].get("group", ""): float(series["value"][1])
            for series in answer["data"]["result"]
        }

    def exporter_log(self) -> str:
        return (self.directory / "exporter.log").read_text()
