"""All workers together: events go in, effects come out, and nothing else happens.

    fleet.receive(event, now)     something happened
    fleet.advance(now)            time passed: judge whoever is due, at most so many at a time
    fleet.effects()               what the shell has to do about it; drain it after either call
    fleet.next_deadline()         when to call advance() again
    fleet.rows(ids, now)          how things stand

The shell measures its own stalls and reports them as `Stall` before anything else, so that no worker
is judged for a silence that was ours.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any, NamedTuple

from . import events
from .deadlines import Deadlines
from .effects import Cause, Changed, Conflict, Discarded, Disconnect, Effect, Unusable
from .groups import Group, GroupRow
from .lifecycle import BIRTH, TRANSITIONS, Move, Trigger
from .model import (
    DOWN,
    HISTORY,
    SECOND,
    Facts,
    Mono,
    Now,
    Reason,
    Record,
    Row,
    Status,
    Transition,
    Wall,
    Worker,
    WorkerId,
)

TURN = 200
"""How many workers are looked at in one go: the bound on what any call here costs the event loop."""


class UnknownWorker(LookupError):
    """An event for a worker that is not registered, or no longer."""


class RegistryFull(Exception):
    """No room for a new worker: as many as allowed are known, and none of them is down."""


class TooManyGroups(Exception):
    """No room for a new group: as many as allowed have workers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """The numbers that the fleet is run by; durations in nanoseconds."""

    max_workers: int = 20_000
    max_groups: int = 100
    retention: int = 86_400 * SECOND
    stopped_retention: int = 3_600 * SECOND
    reconnect: int = 15 * SECOND
    """The agents' largest delay before they try again: what they get on top after an outage of ours."""
    patience: int = 2 * SECOND
    """How long an agent waits for an answer: a stall of this length may have made it hang up."""
    stall_credit: int = 60 * SECOND
    """How much stalling is forgiven before it has to be earned again, a fifth of the time awake."""


_STALL_EARNING = 5
_LATENCY_OFFSET_AGE = 60 * SECOND


class Snapshot(NamedTuple):
    """The whole fleet at one instant."""

    workers: tuple[Row, ...]
    groups: tuple[GroupRow, ...]
    warming_up: bool


class Fleet:
    def __init__(self, rules: Rules) -> None:
        self.rules = rules
        self._workers: dict[WorkerId, Worker] = {}
        self._groups: dict[str, Group] = {}
        self._deadlines: Deadlines[WorkerId] = Deadlines()
        self._down: Deadlines[WorkerId] = Deadlines()  # by the wall time of going down: whom to evict first
        self._emptied: Deadlines[str] = Deadlines()  # groups without workers, by when they are forgotten
        self._effects: list[Effect] = []
        self._unsaved: dict[WorkerId, None] = {}  # a dict because it keeps the order of first change
        self._forgotten: dict[WorkerId, None] = {}
        self._shifted = 0
        self._credit = rules.stall_credit
        self._credit_at: Mono | None = None
        self._excused_until = Mono(0)
        self._warming_until = Mono(0)
        self._handlers: dict[type, Callable[[Any, Now], None]] = {
            events.Beat: self._beat,
            events.Register: self._register,
            events.Connect: self._connect,
            events.Goodbye: self._goodbye,
            events.Close: self._close,
            events.Delete: self._delete,
            events.Restore: self._restore,
            events.Stall: self._stall,
        }

    # In

    def receive(self, event: events.Event, now: Now) -> None:
        """Take one event. Drain `effects()` afterwards.

        Raises, and changes nothing:
            UnknownWorker: a worker that is not registered did something else than register.
            RegistryFull, TooManyGroups: a registration that cannot be had.
        """
        self._handlers[type(event)](event, now)

    def advance(self, now: Now) -> bool:
        """Judge workers whose deadline has passed, at most `TURN`; True while there are more.

        Call it whenever time may have passed, after the frames that had arrived by `now` were
        received, and drain `effects()` afterwards.
        """
        for worker_id in self._deadlines.due(now.mono, TURN):
            self._judge(self._workers[worker_id], now)
        for name in self._emptied.due(now.mono, TURN):
            del self._groups[name]
        following = self.next_deadline()
        return following is not None and following <= now.mono

    # Out

    def effects(self) -> list[Effect]:
        """What came of it since the last call, in order."""
        if not self._effects:
            return []
        drained, self._effects = self._effects, []
        return drained

    def next_deadline(self) -> Mono | None:
        """Nothing has to be judged before this instant. It may be early, never late."""
        worker, group = self._deadlines.next(), self._emptied.next()
        if worker is None or group is None:
            return worker if group is None else group
        return min(worker, group)

    def __len__(self) -> int:
        return len(self._workers)

    def __contains__(self, worker_id: object) -> bool:
        return worker_id in self._workers

    def ids(self) -> list[WorkerId]:
        return list(self._workers)

    def rows(self, ids: Iterable[WorkerId], now: Now) -> list[Row]:
        """How these workers stand; ids that are no longer known are passed over.

        A microsecond a row: ask for `TURN` at a time and let others have the loop in between.
        """
        known = self._workers
        return [known[worker_id].row(now) for worker_id in ids if worker_id in known]

    def group_names(self) -> list[str]:
        return list(self._groups)

    def groups(self, names: Iterable[str]) -> list[GroupRow]:
        """How these groups stand; names that are no longer known are passed over."""
        known = self._groups
        return [known[name].row() for name in names if name in known]

    def warming_up(self, now: Now) -> bool:
        """Whether restored workers still have time to come back."""
        return now.mono < self._warming_until

    def snapshot(self, now: Now) -> Snapshot:
        """Everything at once, for a fleet small enough."""
        workers, groups = self.rows(self._workers, now), self.groups(self._groups)
        return Snapshot(tuple(workers), tuple(groups), self.warming_up(now))

    # What a store has not seen yet

    @property
    def unsaved(self) -> int:
        """How many records a store has still to learn of, forgotten ones included."""
        return len(self._unsaved) + len(self._forgotten)

    def take_unsaved(self, now: Now) -> list[Row]:
        """Up to `TURN` workers that changed since they were last taken, the longest waiting first."""
        ids = list(islice(self._unsaved, TURN))
        for worker_id in ids:
            del self._unsaved[worker_id]
        return self.rows(ids, now)

    def take_forgotten(self) -> list[WorkerId]:
        """Up to `TURN` workers that were forgotten since they were last taken, the longest waiting first."""
        ids = list(islice(self._forgotten, TURN))
        for worker_id in ids:
            del self._forgotten[worker_id]
        return ids

    def not_saved(self, ids: Iterable[WorkerId]) -> None:
        """Take these again: whatever became of them since, a store has not learned it."""
        for worker_id in ids:
            if worker_id in self._workers:
                self._unsaved[worker_id] = None
            else:
                self._forgotten[worker_id] = None

    def all_unsaved(self) -> None:
        """A store has nothing of this fleet: take everybody."""
        self._unsaved.update(dict.fromkeys(self._workers))

    # Events

    def _known(self, worker_id: WorkerId) -> Worker:
        try:
            return self._workers[worker_id]
        except KeyError:
            raise UnknownWorker(worker_id) from None

    def _current(self, event: events.Beat | events.Goodbye | events.Close) -> Worker | None:
        """The worker, if the event comes from the socket that it has now."""
        worker = self._known(event.worker_id)
        if worker.connection == event.connection:
            return worker
        self._effects.append(Discarded(Unusable.STALE_CONNECTION))
        return None

    def _register(self, event: events.Register, now: Now) -> None:
        facts = event.facts
        worker = self._workers.get(facts.worker_id)
        if worker is not None and facts.boot_id is None:
            # Silence about it is no other process; to forget it would hide the next restart.
            facts = replace(facts, boot_id=worker.facts.boot_id)
        self._make_room(facts, now, newcomer=worker is None)
        if worker is None:
            self._add(facts, now)
            return
        trigger = self._registration_trigger(worker, facts)
        group = self._rename(worker, facts, now)
        group.returning += 1
        self._seen(worker, now)
        if trigger is Trigger.CONFLICT:
            group.conflicts += 1
            self._effects.append(Conflict(facts.worker_id))
        self._apply(worker, trigger, now)
        if trigger is Trigger.REBOOT:
            self._drop_socket(worker, Cause.REPLACED)
            worker.restarts += 1
            worker.last_beat = None
            self._set_deadline(worker, now.mono + worker.timeout)

    def _registration_trigger(self, worker: Worker, facts: Facts) -> Trigger:
        if worker.facts.boot_id is None or worker.facts.boot_id == facts.boot_id:
            return Trigger.REGISTER
        if worker.status is Status.ALIVE and worker.connection is not None:
            return Trigger.CONFLICT
        return Trigger.REBOOT

    def _connect(self, event: events.Connect, now: Now) -> None:
        worker = self._known(event.worker_id)
        self._drop_socket(worker, Cause.REPLACED)
        worker.connection = event.connection
        worker.checks = ()
        self._seen(worker, now)
        self._apply(worker, Trigger.CONNECT, now)
        self._grant(worker, now.mono + worker.timeout)

    def _beat(self, event: events.Beat, now: Now) -> None:
        worker = self._current(event)
        if worker is None:
            return
        group = self._groups[worker.facts.group]
        awake = Mono(now.mono - self._shifted)
        if worker.last_beat is not None:
            # A beat handled within what turns out to be a stall leaves a gap below nothing.
            gap = max(0, awake - worker.last_beat)
            group.arrival.observe(gap / SECOND)
            if 2 * gap > 3 * worker.interval:
                group.late += 1
                # A tie is rounded down, here as above: who is late has missed at least one.
                worker.missed += (2 * gap + worker.interval - 1) // (2 * worker.interval) - 1
        worker.last_beat = awake
        worker.last_heartbeat = now.wall
        worker.heartbeats += 1
        group.heartbeats += 1
        self._measure(worker, group, event.report, now)
        worker.seen, worker.last_seen = now.mono, now.wall
        self._unsaved[event.worker_id] = None
        self._set_deadline(worker, now.mono + worker.timeout)
        if worker.status is not Status.ALIVE:
            self._apply(worker, Trigger.BEAT, now)

    def _measure(self, worker: Worker, group: Group, report: events.Report, now: Now) -> None:
        """Keep what the worker measured; observe the latency if its clock is known well enough."""
        if report.rtt is not None:
            worker.round_trip = report.rtt
        if report.loop_lag is not None:
            worker.loop_lag = report.loop_lag
        if report.checks is not None:
            worker.checks = report.checks
        if report.clock_offset is not None:
            worker.clock_offset, worker.offset_at = report.clock_offset, now.mono
        if report.sent_at is None or worker.clock_offset is None or worker.offset_at is None:
            return
        if now.mono - worker.offset_at > _LATENCY_OFFSET_AGE:
            return
        latency = now.wall - (report.sent_at - worker.clock_offset)
        if 0.0 <= latency <= worker.facts.timeout:
            group.latency.observe(latency)
        else:
            self._effects.append(Discarded(Unusable.LATENCY))

    def _goodbye(self, event: events.Goodbye, now: Now) -> None:
        worker = self._current(event)
        if worker is None:
            return
        worker.connection = None
        worker.last_beat = None
        self._seen(worker, now)
        self._apply(worker, Trigger.LEAVE if event.leave else Trigger.GOODBYE, now)

    def _close(self, event: events.Close, now: Now) -> None:
        worker = self._current(event)
        if worker is None:
            return
        worker.connection = None
        if now.mono < self._excused_until:
            self._grant(worker, now.mono + worker.timeout + self.rules.reconnect)
            self._apply(worker, Trigger.CUT, now)
        else:
            self._apply(worker, Trigger.CLOSE, now)

    def _delete(self, event: events.Delete, now: Now) -> None:
        self._apply(self._known(event.worker_id), Trigger.DELETE, now)

    def _restore(self, event: events.Restore, now: Now) -> None:
        for record in event.records:
            worker = self._workers.get(record.facts.worker_id)
            if worker is not None:
                self._remember(worker, record)
            elif record.facts.worker_id not in self._forgotten:
                self._revive(record, now)

    def _remember(self, worker: Worker, record: Record) -> None:
        """Take over the past of a worker, once: what is read again has our own counts in it."""
        if worker.remembered:
            return
        worker.remembered = True
        worker.carried = record.totals
        worker.history = (*record.history, *worker.history)[-HISTORY:]
        self._unsaved[record.facts.worker_id] = None

    def _revive(self, record: Record, now: Now) -> None:
        worker = Worker(record.facts, record.status, record.reason, now)
        worker.since = record.since
        worker.last_seen = record.last_seen
        if worker.status is Status.NOT_RESPONDING:
            # For the others retention begins now: after a long absence of ours, one that died in it
            # would be forgotten in the moment in which it is found to be lost.
            worker.seen = Mono(now.mono - max(0, round((now.wall - record.last_seen) * SECOND)))
        worker.last_heartbeat = record.last_heartbeat
        worker.carried = record.totals
        worker.history = record.history
        worker.remembered = True
        self._enter(worker)
        if worker.status is Status.NOT_RESPONDING:
            self._retain(worker)
        else:
            self._set_deadline(worker, now.mono + worker.timeout + self.rules.reconnect)
            self._warming_until = max(self._warming_until, worker.deadline)
        if worker.status in DOWN:
            self._down.set(record.facts.worker_id, _by_wall(record.since))

    def _stall(self, event: events.Stall, now: Now) -> None:
        """Forgive the exporter's own silence: every deadline moves by it, while there is credit.

        A loop that stalls for most of its time runs out of credit and judges late instead of never.
        """
        awake = 0 if self._credit_at is None else max(0, now.mono - event.lag - self._credit_at)
        self._credit_at = now.mono
        credit = min(self.rules.stall_credit, self._credit + awake // _STALL_EARNING)
        self._credit = max(-self.rules.stall_credit, credit - event.lag)
        if credit <= 0:
            return
        self._shifted += event.lag
        self._deadlines.shift(event.lag)
        self._warming_until = Mono(self._warming_until + event.lag)
        if event.lag >= self.rules.patience:
            self._excused_until = Mono(now.mono + self.rules.reconnect)

    # Steps

    def _judge(self, worker: Worker, now: Now) -> None:
        """Its deadline has passed, and it was taken out of the queue for that."""
        if worker.status is Status.NOT_RESPONDING:
            self._apply(worker, Trigger.EXPIRE, now)
            return
        self._groups[worker.facts.group].detection.observe(max(0, now.mono - worker.deadline) / SECOND)
        self._apply(worker, Trigger.ABSENCE if worker.connection is None else Trigger.TIMEOUT, now)

    def _apply(self, worker: Worker, trigger: Trigger, now: Now) -> None:
        outcome = TRANSITIONS[worker.status][trigger]
        if not isinstance(outcome, Move):
            return
        reason = outcome.reason or worker.reason
        if outcome.to is None:
            self._forget(worker, reason, now)
            return
        before = worker.status
        worker.settle_time(now)
        self._record_change(worker, before, outcome.to, reason, now)
        group = self._groups[worker.facts.group]
        group.workers[before] -= 1
        group.workers[outcome.to] += 1
        worker.status, worker.reason, worker.since = outcome.to, reason, now.wall
        if outcome.to is not Status.ALIVE:
            worker.forget_measurements()
        if outcome.to not in DOWN:
            self._down.discard(worker.facts.worker_id)
        elif before not in DOWN:
            self._down.set(worker.facts.worker_id, _by_wall(now.wall))
        if outcome.to is Status.NOT_RESPONDING:
            self._retain(worker)
        elif before is Status.NOT_RESPONDING:
            self._set_deadline(worker, now.mono + worker.timeout)

    def _record_change(
        self, worker: Worker, before: Status | None, after: Status | None, reason: Reason, now: Now
    ) -> None:
        facts = worker.facts
        transition = Transition(facts.worker_id, facts.name, facts.group, before, after, reason, now.wall)
        worker.history = (*worker.history, transition)[-HISTORY:]
        self._groups[facts.group].changes[before, after, reason] += 1
        self._effects.append(Changed(transition))
        self._unsaved[facts.worker_id] = None

    def _add(self, facts: Facts, now: Now) -> None:
        worker = Worker(facts, Status.REGISTERED, Reason.REGISTERED, now)
        self._enter(worker).new += 1
        self._forgotten.pop(facts.worker_id, None)
        self._record_change(worker, None, BIRTH.to, Reason.REGISTERED, now)
        self._set_deadline(worker, now.mono + worker.timeout)

    def _enter(self, worker: Worker) -> Group:
        self._workers[worker.facts.worker_id] = worker
        return self._join(worker)

    def _join(self, worker: Worker) -> Group:
        name = worker.facts.group
        group = self._groups.get(name)
        if group is None:
            group = self._groups[name] = Group(name)
        self._emptied.discard(name)
        group.workers[worker.status] += 1
        return group

    def _part(self, worker: Worker, now: Mono) -> None:
        group = self._groups[worker.facts.group]
        group.workers[worker.status] -= 1
        if group.empty:
            self._emptied.set(group.name, Mono(now + self.rules.retention))

    def _forget(self, worker: Worker, reason: Reason, now: Now) -> None:
        worker_id = worker.facts.worker_id
        self._drop_socket(worker, Cause.FORGOTTEN)
        self._record_change(worker, worker.status, None, reason, now)
        self._part(worker, now.mono)
        self._deadlines.discard(worker_id)
        self._down.discard(worker_id)
        del self._workers[worker_id]
        del self._unsaved[worker_id]
        self._forgotten[worker_id] = None

    def _make_room(self, facts: Facts, now: Now, *, newcomer: bool) -> None:
        """Let the oldest go where there is no room. Both questions first: a refusal changes nothing."""
        full = newcomer and len(self._workers) >= self.rules.max_workers
        longest_down = self._down.first() if full else None
        if full and longest_down is None:
            raise RegistryFull(f"all {len(self._workers)} workers are up or pending")
        crowded = facts.group not in self._groups and len(self._groups) >= self.rules.max_groups
        longest_empty = self._emptied.first() if crowded else None
        if crowded and longest_empty is None:
            raise TooManyGroups(f"all {len(self._groups)} groups have workers")
        if longest_empty is not None:
            self._emptied.discard(longest_empty)
            del self._groups[longest_empty]
        if longest_down is not None:
            self._apply(self._workers[longest_down], Trigger.EVICT, now)

    def _rename(self, worker: Worker, facts: Facts, now: Now) -> Group:
        """Take over what a worker now says of itself; its group may be another one."""
        if facts.group == worker.facts.group:
            worker.learn(facts)
            return self._groups[facts.group]
        self._part(worker, now.mono)
        worker.learn(facts)
        return self._join(worker)

    def _seen(self, worker: Worker, now: Now) -> None:
        worker.seen, worker.last_seen = now.mono, now.wall
        self._unsaved[worker.facts.worker_id] = None
        if worker.status is Status.NOT_RESPONDING:
            self._retain(worker)

    def _drop_socket(self, worker: Worker, cause: Cause) -> None:
        if worker.connection is not None:
            self._effects.append(Disconnect(worker.connection, cause))
            worker.connection = None

    def _grant(self, worker: Worker, until: int) -> None:
        """At least until then; a worker that is not responding has no deadline of life to extend."""
        if worker.status is not Status.NOT_RESPONDING and until > self._deadline(worker):
            self._set_deadline(worker, until)

    def _deadline(self, worker: Worker) -> int:
        return self._deadlines.get(worker.facts.worker_id) or 0

    def _set_deadline(self, worker: Worker, when: int) -> None:
        worker.deadline = Mono(when)
        self._deadlines.set(worker.facts.worker_id, worker.deadline)

    def _retain(self, worker: Worker) -> None:
        rules = self.rules
        retention = rules.stopped_retention if worker.reason is Reason.SHUTDOWN else rules.retention
        self._set_deadline(worker, worker.seen + retention)


def _by_wall(at: Wall) -> Mono:
    """Wall time as a key of order: no instant of any clock, and never compared with one."""
    return Mono(round(at * SECOND))
