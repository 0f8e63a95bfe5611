"""Runs the probes: each on its own schedule, so many at once, and tells what changed."""

from __future__ import annotations

import asyncio
import logging
import random
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from exporter.clock import Clock
from exporter.core.groups import Histogram
from exporter.core.model import SECOND, Mono
from exporter.core.probing import Failure, ProbeChange, ProbeKindRow, ProbeRow, Result
from exporter.probes.base import Probe, Variety
from exporter.probes.schedule import Schedule
from exporter.probes.varieties import VARIETIES
from exporter.probes.watched import Watched
from exporter.telemetry import Telemetry

logger = logging.getLogger(__name__)

Sink = Callable[[ProbeChange], None]
"""Somebody who wants to know of changes. Must not block; what it raises is logged and stops none."""

ResultSink = Callable[[str, Result], None]
"""The same for every single result, with the name of the probe."""

RUN_DURATION_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
"""Upper bounds in seconds."""

STALL = SECOND // 4
"""Waking later than this, in nanoseconds, is a stall of the whole exporter. Less is what a busy loop has."""

SHORTEST_PAUSE = SECOND // 50
"""Runs that are due within so short a time begin together.

At 200 runs a second, to wake up for each would cost more than the rest of running it. To wait longer would
have more of them compete for the CPU, and that would be in the durations that they measure.
"""

LONGEST_PAUSE = SECOND // 4
"""The schedule is looked at so often at least: a new configuration may have something due earlier."""


class Probing:
    """All probes of a configuration.

    At most `concurrency` are in flight; who is due beyond that waits for its turn, in order. A run that is
    due while the one before has not ended, or not even begun, is left out and counted, so nothing piles up.
    A run that failed while the exporter itself stood still is repeated: its timeout may be our own silence.
    """

    def __init__(
        self,
        probes: Iterable[Probe],
        *,
        concurrency: int,
        clock: Clock,
        telemetry: Telemetry,
        sinks: Sequence[Sink] = (),
        result_sinks: Sequence[ResultSink] = (),
        varieties: Mapping[str, Variety] = VARIETIES,
        random: Callable[[], float] = random.random,
    ) -> None:
        self._clock = clock
        self._telemetry = telemetry
        self._sinks = list(sinks)
        self._result_sinks = result_sinks
        self._varieties = varieties
        self._schedule = Schedule(random)
        self._watched: dict[str, Watched] = {}
        self._durations: dict[str, Histogram] = {}
        self._waiting: deque[tuple[Watched, Mono]] = deque()
        self._in_flight: set[asyncio.Task[None]] = set()
        self._running = False
        self._expected = clock.now().mono  # `run` will have come back by then
        self._stalls = 0
        telemetry.probes_in_flight.set_function(lambda: len(self._in_flight))
        self.reconfigure(probes, concurrency)

    def add_sink(self, sink: Sink) -> None:
        self._sinks.append(sink)

    def reconfigure(self, probes: Iterable[Probe], concurrency: int) -> None:
        """Go on with these probes.

        One that looks at the same thing as one of the same name before keeps what is known of it; and its
        schedule, unless the interval is another. The run of one that is gone is cancelled.
        """
        previous, self._watched = self._watched, {}
        self._concurrency = concurrency
        kept_time = set()
        for probe in probes:
            watched = previous.get(probe.name)
            if watched is None or not watched.is_same(probe):
                watched = Watched(probe)
            elif watched.probe.interval == probe.interval:
                kept_time.add(probe.name)
            watched.adopt(probe)
            self._watched[probe.name] = watched
            self._durations.setdefault(probe.kind, Histogram(RUN_DURATION_BUCKETS))
        self._let_go(watched for watched in previous.values() if not self._has(watched))
        if self._running:
            self._schedule.forget(previous.keys() - kept_time)
            self._plan(self._watched.keys() - kept_time)
        self._fill()

    async def run(self) -> None:
        """Probe in time, for ever. What is in flight ends when this is cancelled."""
        self._running = True
        self._plan(self._watched)
        self._expected = self._clock.now().mono
        try:
            while True:
                now = self._clock.now().mono
                self._notice_stall(now)
                for due in self._schedule.take(now):
                    self._enqueue(self._watched[due.name], due.planned)
                pause = LONGEST_PAUSE
                following = self._schedule.next_due()
                if following is not None:
                    pause = min(LONGEST_PAUSE, max(SHORTEST_PAUSE, following - now))
                self._expected = Mono(now + pause)
                await self._clock.sleep(pause / SECOND)
        finally:
            self._running = False
            self._schedule.forget(self._watched.keys())
            await self._stop()

    async def once(self) -> list[ProbeRow]:
        """Probe everything once, now, and return how it stands. Not while `run` is under way."""
        now = self._clock.now().mono
        try:
            for watched in self._watched.values():
                self._enqueue(watched, now)
            while self._in_flight:
                await asyncio.wait(self._in_flight)
        finally:
            await self._stop()
        return self.rows()

    # Looking

    def row(self, name: str) -> ProbeRow | None:
        """How one probe stands; None if there is none of that name."""
        watched = self._watched.get(name)
        return None if watched is None else watched.row()

    def rows(self) -> list[ProbeRow]:
        """All probes, in the order of the configuration."""
        return list(self.each())

    def each(self) -> Iterator[ProbeRow]:
        """The same, each as it stands when it is asked for; those that are gone by then are left out."""
        for watched in list(self._watched.values()):
            if self._has(watched):
                yield watched.row()

    def kinds(self) -> list[ProbeKindRow]:
        """Every kind that has or had a probe in this process."""
        return [ProbeKindRow(kind, durations.row()) for kind, durations in self._durations.items()]

    # Steps

    def _has(self, watched: Watched) -> bool:
        return self._watched.get(watched.probe.name) is watched

    def _plan(self, names: Iterable[str]) -> None:
        now = self._clock.now().mono
        for name in names:
            self._schedule.add(name, self._watched[name].probe.interval, now)

    def _notice_stall(self, now: Mono) -> None:
        if self._running and now - self._expected > STALL:
            self._schedule.postpone(now - self._expected, now)
            self._expected = now
            self._stalls += 1

    def _enqueue(self, watched: Watched, planned: Mono) -> None:
        if watched.busy:
            self._telemetry.probe_runs_skipped.inc()
            return
        watched.busy = True
        self._waiting.append((watched, planned))
        self._fill()

    def _fill(self) -> None:
        """Start as many of those who wait as there is room for."""
        while self._waiting and len(self._in_flight) < self._concurrency:
            watched, planned = self._waiting.popleft()
            delay = self._clock.now().mono - planned
            self._telemetry.probe_schedule_delay.observe(delay / SECOND)
            watched.task = asyncio.create_task(self._probe(watched))
            self._in_flight.add(watched.task)
            watched.task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._in_flight.discard(task)
        self._fill()

    async def _probe(self, watched: Watched) -> None:
        try:
            result = await self._undisturbed_result(watched)
        finally:
            watched.busy, watched.task = False, None
        if self._has(watched):
            self._durations[watched.probe.kind].observe(result.duration)
            change = watched.observe(result)
            self._publish(self._result_sinks, watched.probe.name, result)
            if change is not None:
                self._publish(self._sinks, change)

    async def _undisturbed_result(self, watched: Watched) -> Result:
        while True:
            stalls = self._stalls
            result = await self._result(watched)
            self._notice_stall(self._clock.now().mono)
            if result.success or stalls == self._stalls:
                return result
            self._telemetry.probe_runs_repeated.inc()

    async def _result(self, watched: Watched) -> Result:
        probe, started = watched.probe, self._clock.now()
        try:
            result = await self._varieties[probe.kind].run(probe.options, probe.timeout)
        except Exception as error:
            if not watched.defect:  # each further run would say the same
                logger.exception("probe %s failed by a defect", probe.name, extra={"probe": probe.name})
            watched.defect = True
            took = (self._clock.now().mono - started.mono) / SECOND
            return Result(started.wall, took, Failure.OTHER, f"a defect: {type(error).__name__}")
        watched.defect = False
        return result

    def _publish(self, sinks: Sequence[Callable[..., None]], *news: object) -> None:
        for sink in sinks:
            try:
                sink(*news)
            except Exception:
                logger.exception("a sink failed on %r", news)

    def _let_go(self, gone: Iterable[Watched]) -> None:
        leaving = set(gone)
        self._waiting = deque(entry for entry in self._waiting if entry[0] not in leaving)
        for watched in leaving:
            watched.busy = False
            if watched.task is not None:
                watched.task.cancel()

    async def _stop(self) -> None:
        self._let_go(self._watched.values())
        await asyncio.gather(*self._in_flight, return_exceptions=True)
