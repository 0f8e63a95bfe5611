"""Thousands of workers in one process: they register, connect and send heartbeats for real.

    python -m tests.benchmarks.load --exporter 127.0.0.1:8000 --workers 10000 --interval 5

Each is driven by the agent's own session, so frames, questions, delays and what a close code means are
the agent's; only sockets and framing are done here, because the agent's client is made for one
worker and this process must not be what is measured. The load is open: a heartbeat is sent when it is
due, whatever became of the one before.

Commands come on stdin, a line each, and are answered by a line of JSON: `status`, `freeze N` (the first
N workers fall silent, their sockets stay open). The process ends with stdin.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import math
import os
import sys
import time
from typing import NamedTuple

import uvloop

from tests.benchmarks.frames import Connection, Posted, heartbeat_frame, text_frame
from worker_agent.actions import Dial, HangUp, Readings, Refusal, Register, Registration, Send
from worker_agent.session import Phase, Session
from worker_agent.statistics import Statistics

READINGS = Readings(loop_lag=0.0005)
"""What a worker reports of its application's event loop, as a healthy one does."""


class Plan(NamedTuple):
    """What the command line asked for. `quiet`: only the first heartbeat asks for an answer."""

    host: str
    port: int
    workers: int
    groups: int
    interval: float
    rate: float
    quiet: bool


class Load:
    """All workers, and what is known of them together."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.acknowledged: set[int] = set()
        self.sent = 0
        self.lateness: list[float] = []
        self.problems: dict[str, int] = {}
        self.openings: set[asyncio.Task[None]] = set()
        self._workers = [Worker(self, number) for number in range(plan.workers)]

    def start(self) -> None:
        loop = asyncio.get_running_loop()
        for number, worker in enumerate(self._workers):
            loop.call_later(number / self.plan.rate, worker.step)

    def freeze(self, count: int) -> None:
        for worker in self._workers[:count]:
            worker.freeze()

    def status(self) -> dict[str, object]:
        """What there is to say since the last time. Connected is who was acknowledged since it connected."""
        lateness, self.lateness = sorted(self.lateness), []
        problems, self.problems = self.problems, {}
        return {
            "acknowledged": len(self.acknowledged),
            "sent": self.sent,
            "late_p99": lateness[len(lateness) * 99 // 100] if lateness else 0.0,
            "late_max": lateness[-1] if lateness else 0.0,
            "problems": problems,
        }


class Worker:
    """One worker: a session, at most one connection, at most one timer."""

    def __init__(self, load: Load, number: int) -> None:
        self._load = load
        self._number = number
        self._loop = asyncio.get_event_loop()
        self._session = Session(Statistics())
        self._connection: Connection | None = None
        self._armed = math.inf  # when the earliest timer fires; a later one that fires in vain is harmless
        self._stopped = False  # frozen, or beating quietly
        self._quiet_due = 0.0
        self._quiet_seq = 1

    def step(self) -> None:
        if self._stopped:
            return
        now = time.monotonic()
        if self._session.phase is Phase.OPEN and self._armed <= now:
            self._load.lateness.append(now - self._armed)
        self._armed = math.inf
        self._session.tick(now, time.time(), READINGS)
        self._carry_out()

    def freeze(self) -> None:
        self._stopped = True

    # What the connection reports

    def posted(self, status: int | None, body: bytes) -> None:
        if status not in (200, 201):
            self._refused(status, body)
            return
        answer = json.loads(body)
        self._session.registered(
            Registration(
                answer["worker_id"],
                answer["websocket_path"],
                answer["heartbeat_interval"],
                answer["heartbeat_timeout"],
            )
        )
        self._carry_out()

    def opened(self) -> None:
        self._session.opened(time.monotonic(), time.time(), READINGS)
        self._carry_out()

    def refused(self, status: int | None) -> None:
        self._refused(status, b"")

    def frame(self, text: bytes) -> None:
        if self._stopped:
            return
        self._session.frame(text.decode(), time.monotonic())
        self._load.acknowledged.add(self._number)
        if self._load.plan.quiet:
            self._stopped = True  # the session would go on asking
            self._quiet_due = time.monotonic() + self._load.plan.interval
            self._loop.call_later(self._load.plan.interval, self._beat_quietly)
        else:
            self._carry_out()

    def closed(self, code: int | None) -> None:
        self._connection = None
        self._load.acknowledged.discard(self._number)
        if not self._stopped:
            self._session.closed(code, "closed", time.monotonic())
            self._carry_out()

    def _refused(self, status: int | None, body: bytes) -> None:
        self._connection = None
        detail = f"{self._session.phase.name.lower()}: {status} {body[:80].decode(errors='replace')}".strip()
        self._load.problems[detail] = self._load.problems.get(detail, 0) + 1
        self._session.refused(Refusal(detail, status), time.monotonic())
        self._carry_out()

    # What the session asks for

    def _carry_out(self) -> None:
        for action in self._session.actions():
            if isinstance(action, Send):
                self._send(action.frame)
            elif isinstance(action, Register):
                self._register()
            elif isinstance(action, Dial):
                self._dial(action.url)
            elif isinstance(action, HangUp):
                self._hang_up()
        due = self._session.deadline()
        if due is not None and due < self._armed:
            self._armed = due
            self._loop.call_later(due - time.monotonic(), self.step)

    def _send(self, text: str) -> None:
        if self._connection is not None:
            self._connection.write(text_frame(text.encode()))
            self._load.sent += 1

    def _register(self) -> None:
        plan = self._load.plan
        facts = {
            "name": f"Worker {self._number}",
            "host": f"10.{self._number >> 16}.{self._number >> 8 & 255}.{self._number & 255}",
            "port": 8001,
            "group": f"group-{self._number % plan.groups}",
            "boot_id": f"{self._number:032x}",
            "started_at": 1.7e9,
            "version": "1.0.0",
            "metrics_path": "/metrics",
            "heartbeat_interval": plan.interval,
        }
        self._open(Posted(self, "/register", json.dumps(facts).encode()))

    def _dial(self, path: str) -> None:
        self._connection = Connection(self, path)
        self._open(self._connection)

    def _open(self, protocol: asyncio.Protocol) -> None:
        opening = self._loop.create_task(self._try_to_open(protocol))
        self._load.openings.add(opening)
        opening.add_done_callback(self._load.openings.discard)

    async def _try_to_open(self, protocol: asyncio.Protocol) -> None:
        try:
            await self._loop.create_connection(lambda: protocol, self._load.plan.host, self._load.plan.port)
        except OSError as error:
            self._refused(None, type(error).__name__.encode())

    def _hang_up(self) -> None:
        connection, self._connection = self._connection, None
        self._load.acknowledged.discard(self._number)
        if connection is not None:
            connection.abandon()

    def _beat_quietly(self) -> None:
        if self._connection is None:
            return
        now = time.monotonic()
        self._load.lateness.append(now - self._quiet_due)
        self._quiet_seq += 1
        self._connection.write(heartbeat_frame(self._quiet_seq, time.time()))
        self._load.sent += 1
        self._quiet_due += self._load.plan.interval
        self._loop.call_later(self._quiet_due - now, self._beat_quietly)


async def obey(load: Load) -> None:
    """Carry out commands until stdin ends."""
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), sys.stdin
    )
    while line := await reader.readline():
        command, *arguments = line.decode().split()
        if command == "freeze":
            load.freeze(int(arguments[0]))
        print(json.dumps(load.status()), flush=True)


def give_up(loop: asyncio.AbstractEventLoop, context: dict[str, object]) -> None:
    """An error of ours spoils the measurement: end, so that nobody waits for it."""
    loop.default_exception_handler(context)
    os._exit(1)


async def run(plan: Plan) -> None:
    asyncio.get_running_loop().set_exception_handler(give_up)
    load = Load(plan)
    load.start()
    await obey(load)


def _keep_out_of_the_way() -> None:
    """Keep to one CPU, and give way even there: a fleet does not run on the exporter's machine."""
    os.nice(5)
    cpus = os.sched_getaffinity(0)
    if len(cpus) > 1:
        os.sched_setaffinity(0, {max(cpus)})


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--exporter", required=True, help="host:port")
    parser.add_argument("--workers", type=int, required=True)
    parser.add_argument("--groups", type=int, default=10)
    parser.add_argument("--interval", type=float, required=True, help="seconds between heartbeats")
    parser.add_argument("--rate", type=float, default=800.0, help="new workers per second")
    parser.add_argument("--quiet", action="store_true", help="only the first heartbeat asks for an answer")
    given = parser.parse_args()
    host, _, port = given.exporter.rpartition(":")
    plan = Plan(host, int(port), given.workers, given.groups, given.interval, given.rate, given.quiet)
    _keep_out_of_the_way()
    uvloop.run(run(plan))


if __name__ == "__main__":
    main()
