"""The shell around the actions: hears of changes, runs hooks, sees to it that a restart knows of them.

    on_probe(change)      a sink of the probes
    on_result(probe, result)  the same, for what the brake has to know
    on_effect(effect)     a sink of the fleet
    restore(states)       what the store remembers, whenever it says so
    run()                 act, for ever; what is under way is ended when it is cancelled
    settle()              or: act until nothing is left to do

Whether and when something runs is decided by the machines (exporter/core/acting.py) and the brake
(exporter/core/brake.py). One turn asks all of them; whatever happens leads to a turn.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from typing import Any, Protocol

from exporter.actions import running
from exporter.actions.base import Action, BrakeRules, Variety
from exporter.actions.braking import Braking
from exporter.actions.journal import RunJournal
from exporter.actions.managed import Managed
from exporter.actions.varieties import VARIETIES
from exporter.clock import Clock
from exporter.core.acting import ActionRow, Run, State
from exporter.core.brake import Hold
from exporter.core.effects import Changed, Effect
from exporter.core.model import SECOND, Now, Row
from exporter.core.probing import ProbeChange, Result
from exporter.telemetry import Telemetry

logger = logging.getLogger(__name__)

_LOOK = 0.25
"""Seconds between two looks at whether the store has been read, and the fleet is warm."""

RUNS = 100
"""Runs under way at once: what is due beyond them waits until one of them is over."""

_STARTS = 4
"""Runs started in a turn: starting a command holds the event loop for a millisecond."""


class Memory(Protocol):
    """What knows the states of actions after a restart; the journal of the store is one."""

    @property
    def loading(self) -> bool:
        """Whether `restore` is still to be called, and worth waiting for."""

    def remember(self, action: str, state: State) -> None:
        """Keep it. Must not block."""


class Fleet(Protocol):
    """The workers; the monitor is one."""

    def warming_up(self) -> bool:
        """Whether it is too early to take the absence of a worker for its absence."""

    def walk(self) -> AsyncIterator[Sequence[Row]]:
        """All workers, some at a time."""


class Acting:
    """`probes` are the names of all probes, for the brake; `fleet` is None where there are no workers."""

    def __init__(
        self,
        actions: Iterable[Action],
        brake: BrakeRules,
        *,
        clock: Clock,
        store: Memory,
        telemetry: Telemetry,
        fleet: Fleet | None = None,
        probes: Iterable[str] = (),
        varieties: Mapping[str, Variety] = VARIETIES,
    ) -> None:
        self.journal = RunJournal()
        self._clock = clock
        self._store = store
        self._fleet = fleet
        self._varieties = varieties
        self._brake = Braking(brake)
        self._actions: dict[str, Managed] = {}
        self._of_workers: list[Managed] = []
        self._of_probe: dict[str, list[Managed]] = {}
        self._leaving: dict[asyncio.Task[None], str] = {}  # runs that are being ended, of which action
        self._states: dict[str, State] = {}  # as the store has them, or is about to
        self._probes: dict[str, ProbeChange] = {}  # the last of each
        self._listening = False  # from the first look at all workers on, their changes count
        self._wake = asyncio.Event()
        telemetry.actions_held.set_function(lambda: float(self.hold is not None))
        self.reconfigure(actions, brake, probes)

    # In

    def reconfigure(self, actions: Iterable[Action], brake: BrakeRules, probes: Iterable[str] = ()) -> None:
        """Go on with these actions.

        One that was there before keeps what is known of it, and a run of it that is under way ends as it
        began. The run of one that is gone, or that is another one now, is cancelled.
        """
        previous, self._actions = self._actions, {}
        for action in actions:
            self._actions[action.name] = self._continued(action, brake, previous)
        for managed in previous.values():
            if not self._has(managed):
                self._let_go(managed)
        self._of_workers = [managed for managed in self._actions.values() if managed.action.workers]
        self._of_probe = {}
        for managed in self._actions.values():
            for name in managed.action.probes:
                self._of_probe.setdefault(name, []).append(managed)
        named = {*probes, *self._of_probe}
        self._brake.configure(brake, named)
        self._probes = {name: change for name, change in self._probes.items() if name in named}
        self._wake.set()

    def on_probe(self, change: ProbeChange) -> None:
        """Sink. A probe's target went up or down."""
        now = self._clock.now()
        self._probes[change.probe] = change
        for managed in self._of_probe.get(change.probe, ()):
            managed.on_probe(change, now)
        self._wake.set()

    def on_result(self, probe: str, result: Result) -> None:
        """Sink. One run of a probe, for the brake."""
        if self._brake.on_result(probe, result.success, self._clock.now()):
            self._wake.set()

    def on_effect(self, effect: Effect) -> None:
        """Sink. A worker may have changed."""
        if not isinstance(effect, Changed):
            return
        now = self._clock.now()
        self._brake.on_worker(effect.transition, now)
        if self._listening:
            for managed in self._of_workers:
                managed.on_worker(effect.transition, now)
            self._wake.set()

    def restore(self, states: Mapping[str, State]) -> None:
        """What the store remembers, that of other configurations included. What was run since stands."""
        for name, state in states.items():
            self._states.setdefault(name, state)
            managed = self._actions.get(name)
            if managed is not None and not managed.action.dry_run:
                managed.machine.restore(state)
                if managed.machine.state is state and self._states[name] is not state:
                    # What was learned without it is on its way to the store, and must not stay there.
                    self._states[name] = state
                    self._store.remember(name, state)
        self._wake.set()

    # Acting

    async def run(self) -> None:
        """Act when it is time, for ever."""
        try:
            while True:
                self._wake.clear()
                try:
                    await self._get_ready()
                    self._turn()
                    seconds = self._until_next(self._clock.now())
                except Exception:
                    # Ours, then. Without this task nothing would ever be run again.
                    logger.exception("acting failed; trying again")
                    await self._clock.sleep(_LOOK)
                else:
                    await self._sleep(seconds)
        finally:
            await self._stop()

    async def settle(self) -> None:
        """Act on what is known now, retries included, and return when nothing is left to do.

        While the brake holds nothing is run, and nobody waits for its end: the states stay as they are, so
        that whoever compares with them next time can act then. Not while `run` is under way.
        """
        try:
            while True:
                await self._get_ready()
                self._turn()
                if tasks := self._tasks():
                    await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
                    continue
                seconds = self._until_next(self._clock.now())
                if seconds is None or (self.hold is not None and not self._unsettled()):
                    return
                await self._clock.sleep(seconds)
        finally:
            await self._stop()

    # Looking

    @property
    def hold(self) -> Hold | None:
        """Why actions are held; None if they are not."""
        return self._brake.hold

    def hold_left(self) -> float | None:
        """Seconds until they are not held any more; None if they are not."""
        return None if self.hold is None else self._left(self.hold, self._clock.now())

    def rows(self) -> Iterator[ActionRow]:
        """All actions in the order of the configuration, each as it stands when its turn comes."""
        for managed in list(self._actions.values()):
            yield managed.row()

    # Getting ready

    def _unsettled(self) -> list[Managed]:
        return [managed for managed in self._actions.values() if not managed.machine.settled]

    async def _get_ready(self) -> None:
        """Let those act that know all there is to know at the start."""
        if self._store.loading:
            return
        unsettled, now = self._unsettled(), self._clock.now()
        for managed in unsettled:
            if managed.action.workers is None:
                managed.machine.settle(now)
        of_workers = [managed for managed in unsettled if managed.action.workers is not None]
        if of_workers and not (self._fleet is not None and self._fleet.warming_up()):
            await self._look_at_workers(of_workers)

    async def _look_at_workers(self, concerned: Sequence[Managed]) -> None:
        self._listening = True  # what changes while we look is told by effects
        if self._fleet is not None:
            async for rows in self._fleet.walk():
                now = self._clock.now()
                for row in rows:
                    self._brake.see(row)
                    for managed in concerned:
                        managed.see(row, now)
        self._brake.seen()
        for managed in concerned:
            managed.machine.settle(self._clock.now())

    # A turn

    def _turn(self) -> None:
        if not self._actions:
            return
        now = self._clock.now()
        if (over := self._brake.turn(now)) is not None:
            self._released(over)
        room = starts = min(self._room(), _STARTS)
        for name, managed in self._actions.items():
            # The run of one that was replaced may still be about to end: never two of the same name.
            held = self.hold is not None or room == 0 or name in self._leaving.values()
            run = managed.machine.advance(now, held=held)
            self._remember(managed)
            if run is not None:
                room -= 1
                managed.task = asyncio.create_task(self._run(managed, run), name=f"action {name}")
        if room == 0 < starts:
            self._wake.set()  # there may be more to start

    def _released(self, over: Hold) -> None:
        waiting = [managed for managed in self._actions.values() if managed.machine.waiting is not None]
        for managed in waiting if self._brake.drops else ():
            managed.machine.drop()
        logger.warning(
            "actions are no longer held (%d of %d, %s, went down together): those that waited, %d, are %s",
            *(over.fell, over.of, over.scope, len(waiting), "dropped" if self._brake.drops else "run"),
        )

    async def _run(self, managed: Managed, run: Run) -> None:
        outcome = await running.make(managed.action, run, self._varieties, self._clock)
        managed.finished(outcome, self._clock.now())
        if self._has(managed):
            self._remember(managed)
        self.journal.add(managed.action.name, outcome)
        self._wake.set()

    def _remember(self, managed: Managed) -> None:
        state, name = managed.memorable, managed.action.name
        if state is not None and state != self._states.get(name):
            self._states[name] = state
            self._store.remember(name, state)

    def _until_next(self, now: Now) -> float | None:
        """Seconds until there has to be a turn even if nothing happens; None: never."""
        if self._unsettled():
            return _LOOK
        if self.hold is not None:
            return self._left(self.hold, now)
        if self._room() == 0:
            return None  # the end of a run wakes us
        leaving = self._leaving.values()
        times = [managed.machine.ready() for name, managed in self._actions.items() if name not in leaving]
        due = min((time for time in times if time is not None), default=None)
        return None if due is None else max(0.0, (due - now.mono) / SECOND)

    def _left(self, hold: Hold, now: Now) -> float:
        return max(0.0, (hold.until - now.mono) / SECOND)

    async def _sleep(self, seconds: float | None) -> None:
        """For so long, or until something happens."""
        waits: list[asyncio.Future[Any]] = [asyncio.ensure_future(self._wake.wait())]
        if seconds is not None:
            waits.append(asyncio.ensure_future(self._clock.sleep(seconds)))
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()

    # Coming and going

    def _has(self, managed: Managed) -> bool:
        return self._actions.get(managed.action.name) is managed

    def _continued(self, action: Action, brake: BrakeRules, previous: Mapping[str, Managed]) -> Managed:
        managed, now = previous.get(action.name), self._clock.now()
        if managed is None or not managed.can_become(action):
            managed, news = Managed(action, brake), set(action.probes)
            state = self._states.get(action.name)
            if state is not None and not action.dry_run:
                managed.machine.restore(state)
        else:
            depended = managed.action.probes
            news = managed.become(action, brake)
            if managed.machine.settled and action.probes != depended:
                managed.machine.settle(now)
        for name in news:
            if (change := self._probes.get(name)) is not None:
                managed.on_probe(change, now)
        return managed

    def _let_go(self, managed: Managed) -> None:
        if managed.task is not None:
            self._leaving[managed.task] = managed.action.name
            managed.task.add_done_callback(self._gone)
            managed.task.cancel()

    def _gone(self, task: asyncio.Task[None]) -> None:
        del self._leaving[task]
        self._wake.set()

    def _room(self) -> int:
        """How many more runs may be under way."""
        return max(0, RUNS - len(self._tasks()) - len(self._leaving))

    def _tasks(self) -> set[asyncio.Task[None]]:
        return {managed.task for managed in self._actions.values() if managed.task is not None}

    async def _stop(self) -> None:
        tasks = self._tasks() | self._leaving.keys()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
