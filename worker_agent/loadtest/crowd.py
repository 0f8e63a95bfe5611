"""Many workers at once: each registers, connects and beats with the agent's own client.

The load is open: as long as a worker has a connection it sends each heartbeat when it is due, whatever became
of the one before. Each asks for an answer. A worker counts as connected when one was answered on the
connection that it has now, and no answer is overdue.
"""

from __future__ import annotations

import asyncio
import socket
import uuid
from array import array
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import NamedTuple

from worker_agent.actions import Refusal, Registration
from worker_agent.client import Client
from worker_agent.registration import register
from worker_agent.session import Session
from worker_agent.statistics import Statistics

REGISTERING_AT_ONCE = 1024
"""Registrations under way, so many that a slow exporter delays no other's. They block a thread each, and wait
for the network most of the time."""

FORGETTING_AT_ONCE = 32

YIELD_EVERY = 64
"""Workers that are started in a row by a start that is late."""

PULSE = 0.05
"""Seconds between two looks at the time: what they are late by, heartbeats are too."""

END_WITHIN = 10.0
"""Seconds for all goodbyes, for registrations under way, and for forgetting: for each of the three."""


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
    """All workers of a plan. Run it once.

    Args:
        forget: has the exporter forget the worker with this id; whether it did. Blocks, and raises nothing.
        register: as `worker_agent.registration` has it.
    """

    def __init__(
        self,
        plan: Plan,
        forget: Callable[[str], bool],
        register: Callable[[str, dict[str, object]], Registration | Refusal] = register,
    ) -> None:
        self.plan = plan
        self.round_trips: array[float] = array("d")
        """In seconds, in the order of the answers."""
        self.connected_within: float | None = None
        """Seconds until each had been acknowledged once; None until then."""
        self.left_behind = 0
        """Who could not take leave: the exporter will call them lost."""
        self._register = register
        self._forget = forget
        self._run = uuid.uuid4().hex[:16]
        self._statistics: list[WorkerStatistics] = []
        self._sessions: list[Session] = []
        self._clients: list[Client] = []
        self._registering = ThreadPoolExecutor(REGISTERING_AT_ONCE, "registering")
        self._known: dict[int, str] = {}
        """The ids of those that have registered."""
        self._running: list[asyncio.Task[None]] = []
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
        loop.set_default_executor(self._registering)
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
        connected = sum(
            statistics.acknowledged and session.answered
            for statistics, session in zip(self._statistics, self._sessions, strict=True)
        )
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
            if pause > 0 or number % YIELD_EVERY == 0:
                await asyncio.sleep(max(0.0, pause))
            self._add(number)
        await asyncio.sleep(self.plan.duration)

    def _add(self, number: int) -> None:
        statistics = WorkerStatistics(self)
        session = Session(statistics, ack_every=1)
        client = Client(session, partial(self._post, number))
        self._statistics.append(statistics)
        self._sessions.append(session)
        self._clients.append(client)
        self._running.append(asyncio.create_task(client.run()))

    def _post(self, number: int) -> Registration | Refusal:
        """In a thread."""
        answer = self._register(self.plan.url, facts(self.plan, number, self._run))
        if isinstance(answer, Registration):
            self._known[number] = answer.worker_id
        return answer

    async def _say_goodbye(self) -> None:
        """For ever. Who has nobody to say it to is forgotten instead, also who is registering right now."""
        unheard = {number for number, session in enumerate(self._sessions) if not session.answered}
        for client in self._clients:
            client.stop(leave=True)
        if self._running:
            _, late = await asyncio.wait(self._running, timeout=END_WITHIN)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)
            unheard |= {number for number, task in enumerate(self._running) if task in late}
        await self._registrations_ended()
        await self._forget_all([self._known[number] for number in sorted(unheard & self._known.keys())])

    async def _registrations_ended(self) -> None:
        """Those that nobody waits for any more succeed nevertheless."""
        loop = asyncio.get_running_loop()
        waiting = ThreadPoolExecutor(1)
        ended = loop.run_in_executor(waiting, partial(self._registering.shutdown, cancel_futures=True))
        await asyncio.wait({ended}, timeout=END_WITHIN)
        waiting.shutdown(wait=False)

    async def _forget_all(self, worker_ids: Sequence[str]) -> None:
        if not worker_ids:
            return
        loop = asyncio.get_running_loop()
        executor = ThreadPoolExecutor(FORGETTING_AT_ONCE, "forgetting")
        forgetting = [loop.run_in_executor(executor, self._forget, worker_id) for worker_id in worker_ids]
        done, late = await asyncio.wait(forgetting, timeout=END_WITHIN)
        for one in late:
            one.cancel()
        self.left_behind = len(worker_ids) - sum(one.result() for one in done)
        executor.shutdown(wait=False)

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
