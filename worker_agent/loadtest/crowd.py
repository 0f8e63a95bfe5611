"""Many workers at once: each registers, connects and beats with the agent's own client.

The load is open: a heartbeat is sent when it is due, whatever became of the one before. A worker counts as
connected when a heartbeat was acknowledged on the connection that it has now, and not before.
"""

from __future__ import annotations

import asyncio
import socket
import uuid
from array import array
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import NamedTuple

from worker_agent.actions import Refusal, Registration
from worker_agent.client import Client
from worker_agent.registration import register
from worker_agent.session import Session
from worker_agent.statistics import Statistics

REGISTERING_AT_ONCE = 64
"""Registrations under way. They block a thread each, and wait for the network most of the time."""

PULSE = 0.05
"""Seconds between two looks at the time: what they are late by, heartbeats are too."""

END_WITHIN = 10.0
"""Seconds for all goodbyes."""


class Plan(NamedTuple):
    """What is asked for: times in seconds, `rate` in new workers each second."""

    url: str
    workers: int
    interval: float
    duration: float
    rate: float
    group: str
    groups: int


class Standing(NamedTuple):
    """How things stand.

    `connected` is who was acknowledged; `errors` are failed attempts and lost connections by their kind;
    `problems` is what is said of those that are not connected now, with how many say it; `late` is by how
    much heartbeats were sent late, at most.
    """

    elapsed: float
    started: int
    connected: int
    sent: int
    acknowledged: int
    errors: Counter[str]
    problems: Counter[str]
    late: float


class WorkerStatistics(Statistics):
    """What one worker counts, and what all share."""

    def __init__(self, crowd: Crowd) -> None:
        super().__init__()
        self._crowd = crowd
        self._acknowledged_at = -1

    @property
    def attempts(self) -> int:
        """How often it had to begin again."""
        return sum(self.reconnects.values())

    @property
    def acknowledged(self) -> bool:
        """Whether a heartbeat was answered on the connection that there is now."""
        return self.connected and self._acknowledged_at == self.attempts

    def observe_round_trip(self, seconds: float) -> None:
        self._crowd.answered(seconds, first=self._acknowledged_at < 0)
        self._acknowledged_at = self.attempts


class Crowd:
    """All workers of a plan. Run it once."""

    def __init__(
        self,
        plan: Plan,
        register: Callable[[str, dict[str, object]], Registration | Refusal] = register,
    ) -> None:
        self.plan = plan
        self.round_trips: array[float] = array("d")
        """In seconds, in the order of the answers."""
        self.connected_within: float | None = None
        """Seconds until each had been acknowledged once; None until then."""
        self._register = register
        self._run = uuid.uuid4().hex[:16]
        self._statistics: list[WorkerStatistics] = []
        self._clients: list[Client] = []
        self._running: set[asyncio.Task[None]] = set()
        self._began = 0.0
        self._late = 0.0
        self._answered_once = 0
        self._ending = asyncio.Event()

    async def run(self, watch: Callable[[Standing], None], every: float = 1.0) -> Standing:
        """Bring all of them up, let them beat for `duration`, and say goodbye for ever.

        Args:
            watch: told how things stand every so many seconds.

        Returns how things stood before the goodbyes. `end_early` ends it.
        """
        loop = asyncio.get_running_loop()
        loop.set_default_executor(ThreadPoolExecutor(REGISTERING_AT_ONCE, "registration"))
        self._began = loop.time()
        beside = [
            asyncio.create_task(self._watch(watch, every)),
            asyncio.create_task(self._measure_lateness()),
        ]
        working = asyncio.create_task(self._work())
        ending = asyncio.create_task(self._ending.wait())
        try:
            await asyncio.wait({working, ending}, return_when=asyncio.FIRST_COMPLETED)
            if working.done():
                working.result()
            return self.standing()
        finally:
            for task in (*beside, working, ending):
                task.cancel()
            await self._say_goodbye()

    def end_early(self) -> None:
        """To be called on the loop of `run`, which then returns what there is."""
        self._ending.set()

    def answered(self, seconds: float, *, first: bool) -> None:
        """A heartbeat of some worker was acknowledged; `first` if none of its had been before."""
        self.round_trips.append(seconds)
        if first:
            self._answered_once += 1
            if self._answered_once == self.plan.workers:
                self.connected_within = asyncio.get_running_loop().time() - self._began

    def standing(self) -> Standing:
        connected = sum(statistics.acknowledged for statistics in self._statistics)
        elapsed = asyncio.get_running_loop().time() - self._began
        errors: Counter[str] = Counter()
        for statistics in self._statistics:
            for cause, count in statistics.reconnects.items():
                if count:
                    errors[cause.value] += count
        return Standing(
            elapsed,
            len(self._statistics),
            connected,
            sum(statistics.heartbeats_sent for statistics in self._statistics),
            len(self.round_trips),
            errors,
            Counter(statistics.problem for statistics in self._statistics if statistics.problem),
            self._late,
        )

    async def _work(self) -> None:
        """At the planned rate, by the clock: a start that is held up is made up for. Then let them beat."""
        for number in range(self.plan.workers):
            due = self._began + number / self.plan.rate
            pause = due - asyncio.get_running_loop().time()
            if pause > 0 or number % REGISTERING_AT_ONCE == 0:
                await asyncio.sleep(max(0.0, pause))
            self._add(number)
        await asyncio.sleep(self.plan.duration)

    def _add(self, number: int) -> None:
        statistics = WorkerStatistics(self)
        post = partial(self._register, self.plan.url, facts(self.plan, number, self._run))
        client = Client(Session(statistics), post)
        task = asyncio.create_task(client.run())
        self._statistics.append(statistics)
        self._clients.append(client)
        self._running.add(task)
        task.add_done_callback(self._running.discard)

    async def _say_goodbye(self) -> None:
        for client in self._clients:
            client.stop(leave=True)
        if self._running:
            _, late = await asyncio.wait(self._running, timeout=END_WITHIN)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)

    async def _watch(self, watch: Callable[[Standing], None], every: float) -> None:
        while True:
            await asyncio.sleep(every)
            watch(self.standing())

    async def _measure_lateness(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            due = loop.time() + PULSE
            await asyncio.sleep(PULSE)
            self._late = max(self._late, loop.time() - due)


def facts(plan: Plan, number: int, run: str) -> dict[str, object]:
    """What worker `number` says of itself; `run` tells this run from another.

    Host and port make it the same worker in the next run, and another one on another machine. It names no
    metrics, so that Prometheus does not look for them.
    """
    return {
        "name": f"loadtest-{number}",
        "host": socket.gethostname(),
        "port": number % 65_535 + 1,
        "group": plan.group if plan.groups == 1 else f"{plan.group}-{number % plan.groups}",
        "boot_id": f"{run}-{number}",
        "heartbeat_interval": plan.interval,
        "version": "loadtest",
    }
