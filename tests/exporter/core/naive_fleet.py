"""A fleet once more, as slow and as plain as the text that it follows: the oracle of the model test.

Written from the description of a worker's life and not from the code: no transition table, no heap,
no running totals. Every question is answered by looking at every worker. Only the values that go in
and come out are shared with the real one.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from fractions import Fraction
from math import ceil

from exporter.core import events
from exporter.core.effects import Cause, Changed, Conflict, Discarded, Disconnect, Effect, Unusable
from exporter.core.fleet import RegistryFull, Rules, TooManyGroups, UnknownWorker
from exporter.core.model import SECOND, Connection, Facts, Now, Reason, Record, Row, Status, Transition
from tests.exporter.core.naive_worker import NaiveGroup, NaiveWorker


class NaiveFleet:
    def __init__(self, rules: Rules) -> None:
        self.rules = rules
        self.workers: list[NaiveWorker] = []
        self.groups: list[NaiveGroup] = []
        self.effects: list[Effect] = []
        self.unsaved: list[str] = []
        self.forgotten: list[str] = []
        self.warm_up: list[int] = []  # until when each restored worker may take to come back
        self.credit = rules.stall_credit
        self.last_stall: int | None = None
        self.excused_until = 0

    # Looking

    def find(self, worker_id: str) -> NaiveWorker | None:
        return next((worker for worker in self.workers if worker.id == worker_id), None)

    def known(self, worker_id: str) -> NaiveWorker:
        worker = self.find(worker_id)
        if worker is None:
            raise UnknownWorker(worker_id)
        return worker

    def group(self, name: str) -> NaiveGroup | None:
        return next((group for group in self.groups if group.name == name), None)

    def group_of(self, worker: NaiveWorker) -> NaiveGroup:
        group = self.group(worker.facts.group)
        assert group is not None, "a worker's group is there as long as the worker"
        return group

    def first_due(self) -> int | None:
        """The instant of the first thing that has to be done."""
        instants = [worker.due_at for worker in self.workers]
        instants += [
            group.empty_since + self.rules.retention for group in self.groups if group.empty_since is not None
        ]
        return min(instants, default=None)

    # What happens

    def receive(self, event: events.Event, now: Now) -> None:
        match event:
            case events.Register(facts):
                self.register(facts, now)
            case events.Connect(worker_id, connection):
                self.connect(self.known(worker_id), connection, now)
            case events.Beat(worker_id, connection, report):
                worker = self.known(worker_id)
                if self.is_current(worker, connection):
                    self.beat(worker, report, now)
            case events.Goodbye(worker_id, connection, leave):
                worker = self.known(worker_id)
                if self.is_current(worker, connection):
                    self.goodbye(worker, leave, now)
            case events.Close(worker_id, connection):
                worker = self.known(worker_id)
                if self.is_current(worker, connection):
                    self.close(worker, now)
            case events.Delete(worker_id):
                self.forget(self.known(worker_id), Reason.DELETED, now)
            case events.Restore(records):
                for record in records:
                    self.restore(record, now)
            case events.Stall(lag):
                self.stall(lag, now)

    def is_current(self, worker: NaiveWorker, connection: int) -> bool:
        if worker.socket == connection:
            return True
        self.effects.append(Discarded(Unusable.STALE_CONNECTION))
        return False

    def register(self, facts: Facts, now: Now) -> None:
        worker = self.find(facts.worker_id)
        self.make_room(worker is None, facts.group, now)
        if worker is None:
            self.newcomer(facts, now)
            return
        old_boot = worker.facts.boot_id
        if facts.boot_id is None:
            facts = replace(facts, boot_id=old_boot)
        self.learn(worker, facts, now)
        group = self.group_of(worker)
        group.returning += 1
        self.sign_of_life(worker, now)
        if old_boot is None or facts.boot_id == old_boot:
            return
        if worker.status is Status.ALIVE and worker.socket is not None:
            group.conflicts += 1
            self.effects.append(Conflict(worker.facts.worker_id))
            return
        self.change(worker, Status.REGISTERED, Reason.RESTART, now)
        self.hang_up(worker, Cause.REPLACED)
        worker.restarts += 1
        worker.last_beat = None
        worker.due_in(now.mono, worker.timeout)

    def newcomer(self, facts: Facts, now: Now) -> None:
        worker = NaiveWorker(
            facts,
            Status.REGISTERED,
            Reason.REGISTERED,
            since=now.wall,
            seen=now.mono,
            last_seen=now.wall,
            periods=[(now.mono, Status.REGISTERED, Reason.REGISTERED)],
        )
        worker.due_in(now.mono, worker.timeout)
        self.enter(worker)
        self.group_of(worker).new += 1
        self.tell(worker, None, Status.REGISTERED, Reason.REGISTERED, now)
        if facts.worker_id in self.forgotten:
            self.forgotten.remove(facts.worker_id)

    def make_room(self, newcomer: bool, group: str, now: Now) -> None:
        leaving: NaiveWorker | None = None
        if newcomer and len(self.workers) >= self.rules.max_workers:
            down = [worker for worker in self.workers if worker.down]
            if not down:
                raise RegistryFull
            leaving = min(down, key=lambda worker: (worker.down_since, worker.id))
        if self.group(group) is None and len(self.groups) >= self.rules.max_groups:
            empty = [each for each in self.groups if each.empty_since is not None]
            if not empty:
                raise TooManyGroups
            self.groups.remove(min(empty, key=lambda each: (each.empty_since, each.name)))
        if leaving is not None:
            self.forget(leaving, Reason.EVICTED, now)

    def connect(self, worker: NaiveWorker, connection: int, now: Now) -> None:
        self.hang_up(worker, Cause.REPLACED)
        worker.socket = connection
        worker.sockets.append(connection)
        self.sign_of_life(worker, now)
        was_not_responding = worker.status is Status.NOT_RESPONDING
        if worker.status in (Status.REGISTERED, Status.DISCONNECTED, Status.NOT_RESPONDING):
            self.change(worker, Status.CONNECTED, Reason.CONNECTED, now)
        if was_not_responding or now.mono + worker.timeout > worker.due_at:
            worker.due_in(now.mono, worker.timeout)

    def beat(self, worker: NaiveWorker, report: events.Report, now: Now) -> None:
        group = self.group_of(worker)
        interval = round(worker.facts.interval * SECOND)
        if worker.last_beat is not None:
            gap = max(0, now.mono - worker.last_beat - worker.forgiven)
            group.arrivals.append(gap / SECOND)
            if Fraction(gap, interval) > Fraction(3, 2):
                group.late += 1
            worker.missed += max(0, ceil(Fraction(gap, interval) - Fraction(1, 2)) - 1)
        worker.last_beat, worker.forgiven = now.mono, 0
        worker.last_heartbeat = now.wall
        worker.heartbeats += 1
        group.heartbeats += 1
        self.sign_of_life(worker, now)
        worker.due_in(now.mono, worker.timeout)
        self.measure(worker, report, now)
        if worker.status is not Status.ALIVE:
            self.change(worker, Status.ALIVE, Reason.HEARTBEAT, now)

    def measure(self, worker: NaiveWorker, report: events.Report, now: Now) -> None:
        if report.rtt is not None:
            worker.round_trip = report.rtt
        if report.loop_lag is not None:
            worker.loop_lag = report.loop_lag
        if report.checks is not None:
            worker.checks.append((worker.sockets[-1], report.checks))
        if report.clock_offset is not None:
            worker.offset = (report.clock_offset, now.mono)
        if report.sent_at is None or worker.offset is None or now.mono - worker.offset[1] > 60 * SECOND:
            return
        latency = now.wall - (report.sent_at - worker.offset[0])
        if latency < 0 or latency > worker.facts.timeout:
            self.effects.append(Discarded(Unusable.LATENCY))
        else:
            self.group_of(worker).latencies.append(latency)

    def goodbye(self, worker: NaiveWorker, leave: bool, now: Now) -> None:
        worker.socket = None
        worker.last_beat = None
        self.sign_of_life(worker, now)
        if leave:
            self.forget(worker, Reason.LEAVE, now)
        elif worker.status in (Status.CONNECTED, Status.ALIVE):
            self.change(worker, Status.DISCONNECTED, Reason.SHUTDOWN, now)

    def close(self, worker: NaiveWorker, now: Now) -> None:
        worker.socket = None
        if worker.status is Status.NOT_RESPONDING:
            return
        if now.mono >= self.excused_until:
            self.change(worker, Status.DISCONNECTED, Reason.CONNECTION_LOST, now)
        elif now.mono + worker.timeout + self.rules.reconnect > worker.due_at:
            worker.due_in(now.mono, worker.timeout, self.rules.reconnect)

    def restore(self, record: Record, now: Now) -> None:
        worker = self.find(record.facts.worker_id)
        if worker is None:
            if record.facts.worker_id not in self.forgotten:
                self.revive(record, now)
        elif not worker.past_known:
            worker.past_known = True
            worker.carried = record.totals
            worker.history = [*record.history, *worker.history]
            self.save_later(worker)

    def revive(self, record: Record, now: Now) -> None:
        lost_before = record.status is Status.NOT_RESPONDING
        silence = max(0, round((now.wall - record.last_seen) * SECOND)) if lost_before else 0
        worker = NaiveWorker(
            record.facts,
            record.status,
            record.reason,
            since=record.since,
            seen=now.mono - silence,
            last_seen=record.last_seen,
            periods=[(now.mono, record.status, record.reason)],
            last_heartbeat=record.last_heartbeat,
            carried=record.totals,
            past_known=True,
            history=list(record.history),
        )
        if worker.down:
            worker.down_since = record.since
        if worker.status is Status.NOT_RESPONDING:
            self.retain(worker)
        else:
            worker.due_in(now.mono, worker.timeout, self.rules.reconnect)
            self.warm_up.append(worker.deadline)
        self.enter(worker)

    def stall(self, lag: int, now: Now) -> None:
        if self.last_stall is not None:
            awake = max(0, now.mono - self.last_stall - lag)
            self.credit = min(self.rules.stall_credit, self.credit + awake // 5)
        self.last_stall = now.mono
        forgiven = self.credit > 0
        self.credit = max(-self.rules.stall_credit, self.credit - lag)
        if not forgiven:
            return
        for worker in self.workers:
            worker.extended += lag
            worker.forgiven += lag
        self.warm_up = [until + lag for until in self.warm_up]
        if lag >= self.rules.patience:
            self.excused_until = now.mono + self.rules.reconnect

    # Time

    def advance(self, now: Now) -> None:
        while due := [worker for worker in self.workers if worker.due_at <= now.mono]:
            self.judge(min(due, key=lambda worker: (worker.due_at, worker.id)), now)
        self.groups = [
            group
            for group in self.groups
            if group.empty_since is None or group.empty_since + self.rules.retention > now.mono
        ]

    def judge(self, worker: NaiveWorker, now: Now) -> None:
        if worker.status is Status.NOT_RESPONDING:
            self.forget(worker, Reason.EXPIRED, now)
            return
        self.group_of(worker).delays.append(max(0, now.mono - worker.deadline) / SECOND)
        if worker.status is Status.REGISTERED:
            reason = Reason.NEVER_CONNECTED
        elif worker.status is Status.DISCONNECTED:
            reason = worker.reason
        elif worker.socket is not None:
            reason = Reason.TIMEOUT
        else:
            reason = Reason.CONNECTION_LOST
        self.change(worker, Status.NOT_RESPONDING, reason, now)
        self.retain(worker)

    # Steps

    def enter(self, worker: NaiveWorker) -> None:
        self.workers.append(worker)
        self.join(worker)

    def join(self, worker: NaiveWorker) -> None:
        if self.group(worker.facts.group) is None:
            self.groups.append(NaiveGroup(worker.facts.group))
        self.group_of(worker).empty_since = None

    def learn(self, worker: NaiveWorker, facts: Facts, now: Now) -> None:
        old = self.group_of(worker)
        worker.facts = facts
        if facts.group != old.name:
            self.note_if_empty(old, now)
            self.join(worker)

    def note_if_empty(self, group: NaiveGroup, now: Now) -> None:
        if all(worker.facts.group != group.name for worker in self.workers):
            group.empty_since = now.mono

    def sign_of_life(self, worker: NaiveWorker, now: Now) -> None:
        worker.seen, worker.last_seen = now.mono, now.wall
        self.save_later(worker)
        if worker.status is Status.NOT_RESPONDING:
            self.retain(worker)

    def retain(self, worker: NaiveWorker) -> None:
        stopped = worker.reason is Reason.SHUTDOWN
        worker.due_in(worker.seen, self.rules.stopped_retention if stopped else self.rules.retention)

    def hang_up(self, worker: NaiveWorker, cause: Cause) -> None:
        if worker.socket is not None:
            self.effects.append(Disconnect(Connection(worker.socket), cause))
            worker.socket = None

    def save_later(self, worker: NaiveWorker) -> None:
        if worker.id not in self.unsaved:
            self.unsaved.append(worker.id)

    def tell(
        self, worker: NaiveWorker, before: Status | None, after: Status | None, reason: Reason, now: Now
    ) -> None:
        facts = worker.facts
        transition = Transition(facts.worker_id, facts.name, facts.group, before, after, reason, now.wall)
        worker.history.append(transition)
        self.group_of(worker).changes.append((before, after, reason))
        self.effects.append(Changed(transition))
        self.save_later(worker)

    def change(self, worker: NaiveWorker, status: Status, reason: Reason, now: Now) -> None:
        was_down = worker.down
        self.tell(worker, worker.status, status, reason, now)
        worker.status, worker.reason, worker.since = status, reason, now.wall
        worker.periods.append((now.mono, status, reason))
        if not worker.down:
            worker.down_since = None
        elif not was_down:
            worker.down_since = now.wall
        if status is not Status.ALIVE:
            worker.offset = worker.round_trip = worker.loop_lag = None

    def forget(self, worker: NaiveWorker, reason: Reason, now: Now) -> None:
        self.hang_up(worker, Cause.FORGOTTEN)
        self.tell(worker, worker.status, None, reason, now)
        group = self.group_of(worker)
        self.workers.remove(worker)
        self.note_if_empty(group, now)
        self.unsaved.remove(worker.id)
        if worker.id not in self.forgotten:
            self.forgotten.append(worker.id)

    # The store

    def take_unsaved(self, now: Now) -> list[Row]:
        taken, self.unsaved = self.unsaved, []
        return [self.known(worker_id).row(now) for worker_id in taken]

    def take_forgotten(self) -> list[str]:
        taken, self.forgotten = self.forgotten, []
        return taken

    def not_saved(self, ids: Iterable[str]) -> None:
        for worker_id in ids:
            worker = self.find(worker_id)
            if worker is not None:
                self.save_later(worker)
            elif worker_id not in self.forgotten:
                self.forgotten.append(worker_id)

    def all_unsaved(self) -> None:
        for worker in self.workers:
            self.save_later(worker)
