"""Between fleet and store: loads at the start, then writes behind what changed.

    start()             take the lease; load and write in the background
    journal(effect)     a sink: collects the changes of status
    written_through(id) wait until a worker is in the store, or the store turns out to be away
    remember(action, state)  the state of an action changed: write that, too
    stop()              write what is left, give the lease back

The heartbeat path never waits for any of it. While the store is away the fleet goes on judging and
what changes is kept in memory; when it comes back it learns everything. All calls to the store come
from one task, one after the other.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Sequence
from itertools import islice

from exporter.clock import Clock
from exporter.core.acting import State
from exporter.core.effects import Changed, Effect
from exporter.core.fleet import Fleet
from exporter.core.model import SECOND, Record, Row, Transition, WorkerId
from exporter.store.action_states import ActionStates, Restored
from exporter.store.base import BATCH, TRANSITIONS_KEPT, Batch, LeaseHeld, Store, StoreError
from exporter.store.lease import Lease
from exporter.store.loading import Loading
from exporter.store.outage import Outage, retry_delays
from exporter.telemetry import Operation, Telemetry

logger = logging.getLogger(__name__)

PACE = 1.0
"""Seconds between two flushes: no worker is written more often, but for its registration."""


class Journal:
    """Keeps a store up to date with a fleet.

    `restore` brings loaded records into the fleet, `restore_actions` loaded states to the actions; `lost` is
    told, once, that another exporter has taken the store, after which nothing is written any more.
    """

    def __init__(
        self,
        fleet: Fleet,
        store: Store,
        *,
        restore: Callable[[tuple[Record, ...]], None],
        restore_actions: Restored = lambda states: None,
        lost: Callable[[LeaseHeld], None],
        clock: Clock,
        telemetry: Telemetry,
    ) -> None:
        self._fleet = fleet
        self._store = store
        self._lost = lost
        self._clock = clock
        self._telemetry = telemetry
        self._actions = ActionStates(restore_actions)
        self._loading = Loading(fleet, self._actions, store, restore, clock, telemetry)
        self._outage = Outage(store.where, clock)
        self._lease = Lease(store, clock)
        self._transitions: deque[Transition] = deque()
        self._urgent: deque[tuple[WorkerId, asyncio.Future[bool]]] = deque()
        self._due = True
        self._proven = False  # by a save that went well, and since which none failed
        self._wake = asyncio.Event()
        self._stopping = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        telemetry.store_up.set_function(lambda: float(self._up))
        telemetry.store_pending_writes.set_function(lambda: float(self.pending))

    # For the rest of the exporter

    @property
    def loading(self) -> bool:
        """Whether the registry is still being loaded; given up after 5 s without progress."""
        return self._loading.awaited

    @property
    def problem(self) -> str | None:
        """Why the store is not up to date, for people; None while all is well."""
        return self._outage.problem

    @property
    def pending(self) -> int:
        """How many changes the store has still to learn of."""
        return self._fleet.unsaved + len(self._transitions) + self._actions.unsaved

    async def start(self) -> None:
        """Open the store and take the lease, waiting for it as long as a dead holder's would last.

        A store that is away does not hold this up: its lease is taken, and its workers are loaded,
        when it comes.

        Raises:
            LeaseHeld: another exporter uses the store.
            StoreError: the store cannot be opened.
        """
        try:
            await self._store.open()
            try:
                await self._take_lease()
            except StoreError as error:
                self._failed(error)
        except BaseException:
            await self._store.close()
            raise
        self._tasks = [
            asyncio.create_task(part) for part in (self._run(), self._tick(), self._loading.watch())
        ]

    def __call__(self, effect: Effect) -> None:
        """Take note of an effect; those that are no change of status mean nothing here."""
        if isinstance(effect, Changed):
            self._transitions.append(effect.transition)
            self._drop_oldest()

    def remember(self, action: str, state: State) -> None:
        """Write the state of an action, at once: a restart runs again what it does not know to have run."""
        self._actions.remember(action, state)
        self._wake.set()

    async def written_through(self, worker_id: WorkerId, *, timeout: float = 2.0) -> bool:
        """Wait until the worker as it is now, or that it is forgotten, is in the store.

        Returns False if that cannot be had within `timeout` seconds, and at once while the store is
        away. Those who wait at the same time share a round trip.
        """
        if not self._up or self._stopping.is_set():
            return False
        written: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._urgent.append((worker_id, written))
        self._wake.set()
        try:
            async with asyncio.timeout(timeout):
                return await written
        except TimeoutError:
            return False

    async def stop(self, *, timeout: float = 5.0) -> None:
        """Write what is left and give the lease back, in at most `timeout` seconds; close the store."""
        self._stopping.set()
        self._wake.set()
        try:
            async with asyncio.timeout(timeout):
                await self._finish()
        except (StoreError, LeaseHeld, TimeoutError) as error:
            logger.warning(
                "ending without reaching the store, %d changes unwritten: %s",
                self.pending,
                str(error) or "no time left",
                extra={"store": self._store.where},
            )
        finally:
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)
            self._send_away()
            await self._store.close()

    # The task

    async def _run(self) -> None:
        delays = retry_delays()
        while not self._stopping.is_set():
            try:
                await self._turn()
            except LeaseHeld as held:
                self._telemetry.store_failures[Operation.LEASE].inc()
                self._send_away()
                self._lost(held)
                return
            except StoreError as error:
                self._failed(error)
                await self._pause(next(delays))
            except Exception as error:
                # Ours, then, and not the store's. Without this task nothing would ever be saved again.
                logger.exception("the journal failed", extra={"store": self._store.where})
                self._failed(StoreError(self._store.where, Operation.SAVE, repr(error), permanent=True))
                await self._pause(next(delays))
            else:
                if self._outage.over():
                    delays = retry_delays()
                await self._wake.wait()
                self._wake.clear()

    async def _tick(self) -> None:
        while True:
            await self._clock.sleep(PACE)
            self._due = True
            self._wake.set()

    async def _pause(self, seconds: float) -> None:
        nap = asyncio.ensure_future(self._clock.sleep(seconds))
        stop = asyncio.ensure_future(self._stopping.wait())
        try:
            await asyncio.wait((nap, stop), return_when=asyncio.FIRST_COMPLETED)
        finally:
            nap.cancel()
            stop.cancel()

    async def _turn(self) -> None:
        """Everything there is to do. The first turn, and one after a failure, begins with the lease."""
        if not self._up:
            await self._take_lease()
        await self._loading.catch_up(self._breathe)
        await self._write_urgent()
        while self._actions.unsaved:
            await self._save((), ())
        if self._due:
            self._due = False
            await self._flush()

    async def _finish(self) -> None:
        """One last turn, in which the lease tells whether the store is ours to write to."""
        if not self._tasks:
            return
        await self._tasks[0]
        if self._lease.held or self._outage.problem is not None:
            self._due = True
            await self._turn()
            await self._store.release()

    # Lease

    @property
    def _up(self) -> bool:
        return self._lease.held and self._outage.problem is None

    async def _take_lease(self) -> None:
        await self._lease.take(self._stopping)

    async def _breathe(self) -> None:
        await asyncio.sleep(0)
        if self._lease.runs_out:
            await self._take_lease()

    # Writing

    async def _flush(self) -> None:
        """All that has changed by now, a batch at a time."""
        batches = 1 + max(self._fleet.unsaved, len(self._transitions)) // BATCH
        for _ in range(batches):
            await self._write_urgent()
            rows = self._fleet.take_unsaved(self._clock.now())
            forgotten = self._fleet.take_forgotten()
            something = rows or forgotten or self._transitions
            if something or not self._proven or self._lease.runs_out:
                await self._save(rows, forgotten)
                await asyncio.sleep(0)

    async def _write_urgent(self) -> None:
        """What somebody waits for, a batch of it; it stays unsaved for the fleet and is written again."""
        urgent = list(islice(self._urgent, BATCH))
        if not urgent:
            return
        ids = dict.fromkeys(worker_id for worker_id, _ in urgent)
        rows = self._fleet.rows(ids, self._clock.now())
        await self._save(rows, [worker_id for worker_id in ids if worker_id not in self._fleet])
        for _, written in urgent:
            self._urgent.popleft()
            if not written.done():
                written.set_result(True)
        if self._urgent:
            self._wake.set()

    async def _save(self, rows: Sequence[Row], forgotten: Sequence[WorkerId]) -> None:
        transitions = [self._transitions.popleft() for _ in range(min(BATCH, len(self._transitions)))]
        actions = self._actions.take_unsaved(BATCH)
        started = self._clock.now().mono
        try:
            batch = Batch([row.record() for row in rows], forgotten, transitions, actions)
            saved = await self._store.save(batch)
            if saved.holder is not None:
                raise self._lease.lost(saved.holder)
        except BaseException:
            self._fleet.not_saved([*(row.facts.worker_id for row in rows), *forgotten])
            self._transitions.extendleft(reversed(transitions))
            self._actions.not_saved(actions)
            self._drop_oldest()
            raise
        self._proven = True
        self._lease.extended()
        self._telemetry.store_flush_duration.observe((self._clock.now().mono - started) / SECOND)
        self._loading.mind(saved.memory)

    def _drop_oldest(self) -> None:
        while len(self._transitions) > TRANSITIONS_KEPT:
            self._transitions.popleft()
            self._telemetry.store_dropped.inc()

    def _failed(self, error: StoreError) -> None:
        self._telemetry.store_failures[error.operation].inc()
        self._outage.failed(str(error), permanent=error.permanent)
        self._send_away()
        self._proven = False
        self._due = True

    def _send_away(self) -> None:
        """Those who wait for a write are not kept waiting for one that may never come."""
        while self._urgent:
            _, written = self._urgent.popleft()
            if not written.done():
                written.set_result(False)
