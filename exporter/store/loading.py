"""From the store into the fleet: at the start, and again when the store turns out to have forgotten."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable

from exporter.clock import Clock
from exporter.core.fleet import Fleet
from exporter.core.model import SECOND, Mono, Record, WorkerId
from exporter.store.action_states import ActionStates
from exporter.store.base import Memory, Quarantined, Store, Unreadable
from exporter.telemetry import Telemetry

logger = logging.getLogger(__name__)

PATIENCE = 5.0
"""Seconds without progress after which the first load is no longer waited for."""

_MEND = 10.0
"""Seconds between two times that everything is written again, should a store keep forgetting."""

Restore = Callable[[tuple[Record, ...]], None]
Breathe = Callable[[], Awaitable[None]]
"""Called between two steps, so that others get the event loop; may raise what a store raises."""


class Loading:
    """Brings what the store knows into the fleet and to the actions. What they know by themselves stands."""

    def __init__(
        self,
        fleet: Fleet,
        actions: ActionStates,
        store: Store,
        restore: Restore,
        clock: Clock,
        telemetry: Telemetry,
    ) -> None:
        self._fleet = fleet
        self._actions = actions
        self._store = store
        self._restore = restore
        self._clock = clock
        self._telemetry = telemetry
        self._merged: set[WorkerId] = set()  # by the first load, which may take several attempts
        self._done = False
        self._given_up = False
        self._progress = clock.now().mono
        self._lost: Memory | None = None  # what the store still remembers, once it lost something
        self._mended: Mono | None = None

    @property
    def awaited(self) -> bool:
        """Whether the first load is still under way, and not too slow to wait for."""
        return not self._done and not self._given_up

    async def watch(self) -> None:
        """Give the first load up once there was no progress for `PATIENCE`."""
        self._progress = self._clock.now().mono
        while self.awaited:
            left = PATIENCE - (self._clock.now().mono - self._progress) / SECOND
            if left <= 0:
                self._given_up = True
                logger.warning(
                    "%s gave back nothing for %g s: going on without, and merging when it comes",
                    *(self._store.where, PATIENCE),
                    extra={"store": self._store.where},
                )
            else:
                await self._clock.sleep(left)

    def mind(self, memory: Memory) -> None:
        """The store says what it remembers of our writes."""
        if memory is Memory.WHOLE:
            return
        if self._lost is None:
            logger.warning(
                "%s has lost what was saved (flushed, replaced, or an older copy): writing all again",
                self._store.where,
                extra={"store": self._store.where},
            )
        if self._lost is not Memory.NOTHING:
            self._lost = memory

    async def catch_up(self, breathe: Breathe) -> None:
        """Do what there is to load, if anything; after an error call it again.

        Raises:
            StoreError
        """
        if not self._done:
            await self._first(breathe)
        now = self._clock.now().mono
        if self._lost is not None and (self._mended is None or now - self._mended >= _MEND * SECOND):
            await self._again(self._lost, breathe)
            self._fleet.all_unsaved()
            self._actions.all_unsaved()
            self._lost, self._mended = None, now

    async def _first(self, breathe: Breathe) -> None:
        started = self._clock.now().mono
        actions = await self._store.load_actions()
        self._actions.restore(actions.states)
        self._report_actions(actions.unreadable)
        async for loaded in self._store.load():
            # A store may give a worker twice, and an attempt that failed half-way gave some before.
            news = [record for record in loaded.records if record.facts.worker_id not in self._merged]
            self._restore(tuple(news))
            self._merged.update(record.facts.worker_id for record in news)
            self._report(loaded.quarantined)
            self._progress = self._clock.now().mono
            await breathe()
        seconds = (self._clock.now().mono - started) / SECOND
        logger.info(
            "loaded %d workers from %s in %.1f s",
            *(len(self._merged), self._store.where, seconds),
            extra={"store": self._store.where},
        )
        self._done = True
        self._merged.clear()

    async def _again(self, memory: Memory, breathe: Breathe) -> None:
        """What is unknown here is another's fleet that came with the store, or was forgotten since."""
        async for loaded in self._store.load():
            unknown = [record for record in loaded.records if record.facts.worker_id not in self._fleet]
            if memory is Memory.NOTHING:
                self._restore(tuple(unknown))
            else:
                self._fleet.not_saved([record.facts.worker_id for record in unknown])
            self._report(loaded.quarantined)
            await breathe()

    def _report(self, quarantined: tuple[Quarantined, ...]) -> None:
        for worker_id, why in quarantined:
            self._telemetry.store_quarantined.inc()
            logger.warning(
                "%s: the record of worker %r was put aside: %s",
                *(self._store.where, worker_id, why),
                extra={"store": self._store.where, "worker_id": worker_id},
            )

    def _report_actions(self, unreadable: tuple[Unreadable, ...]) -> None:
        for action, why in unreadable:
            logger.warning(
                "%s: the state of action %r cannot be read, and is learned anew: %s",
                *(self._store.where, action, why),
                extra={"store": self._store.where, "action": action},
            )
