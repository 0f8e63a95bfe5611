"""The shell around the fleet: gives it the time, measures its own stalls, passes its effects on.

Everything that happens enters here: a frame, a timer, a scrape, an API call. Each entry first finds
out whether the exporter itself has been standing still, and says so to the fleet, so that nobody is
judged for a silence of ours.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence

from exporter.clock import Clock
from exporter.core.effects import Effect
from exporter.core.events import Event, Stall
from exporter.core.fleet import TURN, Fleet
from exporter.core.groups import GroupRow
from exporter.core.model import SECOND, Mono, Now, Row, WorkerId
from exporter.telemetry import Telemetry

logger = logging.getLogger(__name__)

Sink = Callable[[Effect], None]
"""Somebody who wants to know what came of it. Must not block; what it raises is logged and stops none."""

PULSE = SECOND // 10
"""So often something of ours runs at least, in nanoseconds; a longer silence is measured as lag."""

SHORTEST_PULSE = SECOND // 20
"""The pulse comes no faster than this: deadlines that are close together are judged together.

With 10,000 workers some deadline, postponed or not, comes up every millisecond or two: at 10 ms the pulse
took a tenth of the CPU, and detection is to be within 100 ms.
"""

STALL = SECOND // 4
"""More lag than this is a stall. Less is what a busy loop has, and deadlines can bear it."""

OVERDUE = 1 * SECOND
"""A deadline this old is judged by whoever comes by: it means that the pulse is stuck."""

_TURNS_FOR_FRAMES = 3
"""Turns of the loop, before the one that judges, in which a frame that was readable is parsed, wakes its
task and is received."""

GROUPS_A_TURN = 20
"""A group has three histograms and some thirty other counters: as much to copy as fifty workers have."""

_LAG_SAMPLES = 15 * SECOND // PULSE


class Monitor:
    """`loading` says whether part of the fleet is still in the store."""

    def __init__(
        self,
        fleet: Fleet,
        clock: Clock,
        telemetry: Telemetry,
        sinks: Sequence[Sink] = (),
        *,
        loading: Callable[[], bool] = lambda: False,
    ) -> None:
        self.fleet = fleet
        self._clock = clock
        self._telemetry = telemetry
        self._sinks = list(sinks)
        self._loading = loading
        self._expected = Mono(clock.now().mono + PULSE)  # something of ours will have run by then
        self._lags: deque[int] = deque([0], maxlen=_LAG_SAMPLES)
        telemetry.event_loop_lag.set_function(lambda: max(self._lags) / SECOND)

    def add_sink(self, sink: Sink) -> None:
        self._sinks.append(sink)

    # Entries

    def receive(self, event: Event) -> Now:
        """Something happened. Returns when.

        Raises:
            UnknownWorker, RegistryFull, TooManyGroups: as `Fleet.receive`; nothing changed.
        """
        now = self._enter()
        self.fleet.receive(event, now)
        self._publish()
        return now

    async def settle(self) -> Now:
        """Bring everything up to now: call it before looking at the fleet.

        First lets in the frames that have arrived, then judges whoever is due, a turn at a time.
        Returns when.
        """
        self._enter()
        for _ in range(_TURNS_FOR_FRAMES):
            await asyncio.sleep(0)
        more = True
        while more:
            await asyncio.sleep(0)
            now = self._enter()
            more = self._advance(now)
        return now

    async def run(self) -> None:
        """Judge in time, for ever: wakes for the next deadline, and at least every `PULSE`."""
        self._expected = Mono(self._clock.now().mono + PULSE)  # what took long to start was not silent
        while True:
            now = self._enter()
            following = self.fleet.next_deadline()
            pause = PULSE if following is None else min(PULSE, max(SHORTEST_PULSE, following - now.mono))
            await self._clock.sleep(pause / SECOND)
            self._lags.append(max(0, self._clock.now().mono - now.mono - pause))
            try:
                await self.settle()
            except Exception:
                # Whoever was due has left the queue, so going on cannot fail for ever in the same place.
                logger.exception("judging failed; going on with the rest")

    # Looking

    def now(self) -> Now:
        return self._clock.now()

    def row(self, worker_id: WorkerId) -> Row | None:
        """How one worker stands; None if it is not known."""
        rows = self.fleet.rows([worker_id], self._enter())
        return rows[0] if rows else None

    async def walk(self) -> AsyncIterator[Sequence[Row]]:
        """All workers, at most `TURN` at a time, with a turn of the loop for others in between.

        Each row is as things stand when it is taken. Workers that are forgotten meanwhile are left
        out, and new ones are not waited for.
        """
        await self.settle()
        ids = self.fleet.ids()
        for start in range(0, len(ids), TURN):
            yield self.fleet.rows(ids[start : start + TURN], self._clock.now())
            await asyncio.sleep(0)

    async def walk_groups(self) -> AsyncIterator[Sequence[GroupRow]]:
        """All groups likewise, as they stand since the fleet was last looked at."""
        names = self.fleet.group_names()
        for start in range(0, len(names), GROUPS_A_TURN):
            yield self.fleet.groups(names[start : start + GROUPS_A_TURN])
            await asyncio.sleep(0)

    def warming_up(self) -> bool:
        """Whether it is too early to take the absence of a worker for its absence."""
        return self._loading() or self.fleet.warming_up(self._clock.now())

    @property
    def max_workers(self) -> int:
        return self.fleet.rules.max_workers

    # Steps

    def _enter(self) -> Now:
        now = self._clock.now()
        late = now.mono - self._expected
        self._expected = Mono(now.mono + PULSE)
        if late > STALL:
            self._stalled(late, now)
        following = self.fleet.next_deadline()
        if following is not None and now.mono - following > OVERDUE:
            self._advance(now)
        return now

    def _advance(self, now: Now) -> bool:
        more = self.fleet.advance(now)
        self._publish()
        return more

    def _stalled(self, lag: int, now: Now) -> None:
        logger.warning("the exporter stood still for %.1f s; deadlines are extended by it", lag / SECOND)
        self._telemetry.stall_seconds.inc(lag / SECOND)
        self.fleet.receive(Stall(lag), now)

    def _publish(self) -> None:
        for effect in self.fleet.effects():
            for sink in self._sinks:
                try:
                    sink(effect)
                except Exception:
                    logger.exception("a sink failed on %r", effect)
