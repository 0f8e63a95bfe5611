"""Random traces through the fleet and through a naive one: they must never tell apart."""

from __future__ import annotations

from dataclasses import replace

import hypothesis.strategies as st
import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from exporter.core.events import Beat, Close, Connect, Delete, Event, Goodbye, Register, Restore, Stall
from exporter.core.fleet import Fleet, RegistryFull, Rules, TooManyGroups, UnknownWorker
from exporter.core.lifecycle import REASONS
from exporter.core.model import (
    SECOND,
    Checks,
    Connection,
    Mono,
    Now,
    Reason,
    Record,
    Status,
    Totals,
    Wall,
    WorkerId,
)
from tests.exporter.core.naive_fleet import NaiveFleet
from tests.exporter.core.scene import Report, facts, record

RULES = Rules(
    max_workers=3,
    max_groups=2,
    retention=30 * SECOND,
    stopped_retention=10 * SECOND,
    reconnect=4 * SECOND,
    patience=2 * SECOND,
    stall_credit=6 * SECOND,
)

# Times are whole eighths of a second, which floats hold exactly: what differs, differs for a reason.
EIGHTH = SECOND // 8

ids = st.sampled_from(["a", "b", "c", "d"])
groups = st.sampled_from(["x", "y", "z"])
boots = st.sampled_from([None, "one", "two"])
timeouts = st.sampled_from([3.0, 5.0, 90.0])
moments = st.sampled_from([1, 8, 11, 12, 13, 16, 20, 24, 32])
whiles = moments | st.sampled_from([0, 40, 56, 80, 240, 480, 500])
eighths = st.none() | st.integers(-8, 8).map(lambda n: n / 8)
latencies = st.none() | st.sampled_from([-0.125, 0.0, 0.5, 3.0, 3.125, 5.0])
checks = st.none() | st.sampled_from(
    [(), (("db", "healthy"),), (("db", "unhealthy"),), (("cache", "degraded"), ("db", "healthy"))]
)
which = st.integers(0, 5)
rarely = st.sampled_from([False, False, False, False, True])
possible = st.sampled_from([(status, reason) for status in Status for reason in sorted(REASONS[status])])


class Traces(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.mono = 7_000_003 * SECOND
        self.wall = 1_700_000_000.0
        self.real = Fleet(RULES)
        self.naive = NaiveFleet(RULES)
        self.sockets: list[tuple[WorkerId, Connection]] = []  # the latest first, whatever became of them
        self.opened = 0
        self.store: dict[WorkerId, Record] = {}

    @property
    def now(self) -> Now:
        return Now(Mono(self.mono), Wall(self.wall))

    @property
    def open_sockets(self) -> list[tuple[WorkerId, Connection]]:
        return [
            (worker.facts.worker_id, Connection(worker.socket))
            for worker in self.naive.workers
            if worker.socket is not None
        ]

    def happen(self, event: Event) -> None:
        assert outcome(self.real, event, self.now) == outcome(self.naive, event, self.now)

    # What workers do

    @rule(worker_id=ids, group=groups, boot_id=boots, timeout=timeouts)
    def register(self, worker_id: str, group: str, boot_id: str | None, timeout: float) -> None:
        self.happen(Register(facts(worker_id, group=group, boot_id=boot_id, timeout=timeout)))

    @rule(worker_id=ids, group=groups, boot_id=boots, timeout=timeouts)
    def come_alive(self, worker_id: str, group: str, boot_id: str | None, timeout: float) -> None:
        self.register(worker_id, group, boot_id, timeout)
        self.connect_whoever(worker_id)
        self.happen(Beat(*self.sockets[0], Report()))

    @precondition(lambda self: self.naive.workers)
    @rule(which=which, boot_id=boots)
    def register_again(self, which: int, boot_id: str | None) -> None:
        known = self.naive.workers[which % len(self.naive.workers)].facts
        self.happen(Register(replace(known, boot_id=boot_id)))

    @rule(worker_id=ids)
    def connect_whoever(self, worker_id: str) -> None:
        self.opened += 1
        self.sockets.insert(0, (WorkerId(worker_id), Connection(self.opened)))
        self.happen(Connect(*self.sockets[0]))

    @precondition(lambda self: self.naive.workers)
    @rule(which=which)
    def connect(self, which: int) -> None:
        self.connect_whoever(self.naive.workers[which % len(self.naive.workers)].id)

    @precondition(lambda self: self.open_sockets)
    @rule(which=which, latency=latencies, offset=eighths, rtt=eighths, lag=eighths, checks=checks)
    def beat(
        self,
        which: int,
        latency: float | None,
        offset: float | None,
        rtt: float | None,
        lag: float | None,
        checks: Checks | None,
    ) -> None:
        worker_id, connection = self.open_sockets[which % len(self.open_sockets)]
        known = self.naive.known(worker_id).offset
        ahead = offset if offset is not None else known[0] if known else 0.0
        sent_at = None if latency is None else self.wall + ahead - latency
        self.happen(Beat(worker_id, connection, Report(sent_at, rtt, offset, lag, checks)))

    @precondition(lambda self: self.open_sockets)
    @rule(times=st.integers(1, 4), pause=moments, which=which)
    def beat_on(self, times: int, pause: int, which: int) -> None:
        worker_id, connection = self.open_sockets[which % len(self.open_sockets)]
        for _ in range(times):
            self.wait(pause)
            self.happen(Beat(worker_id, connection, Report()))

    @precondition(lambda self: self.open_sockets)
    @rule(which=which, leave=rarely)
    def goodbye(self, which: int, leave: bool) -> None:
        self.happen(Goodbye(*self.open_sockets[which % len(self.open_sockets)], leave))

    @precondition(lambda self: self.open_sockets)
    @rule(which=which)
    def close(self, which: int) -> None:
        self.happen(Close(*self.open_sockets[which % len(self.open_sockets)]))

    @precondition(lambda self: self.sockets)
    @rule(which=st.integers(0, 20), kind=st.sampled_from(["beat", "close", "goodbye", "leave"]))
    def news_of_any_socket(self, which: int, kind: str) -> None:
        worker_id, connection = self.sockets[which % len(self.sockets)]
        if kind == "beat":
            self.happen(Beat(worker_id, connection, Report()))
        elif kind == "close":
            self.happen(Close(worker_id, connection))
        else:
            self.happen(Goodbye(worker_id, connection, kind == "leave"))

    @rule(worker_id=ids, really=rarely)
    def delete(self, worker_id: str, really: bool) -> None:
        if really:
            self.happen(Delete(WorkerId(worker_id)))

    # What time does

    @rule(eighths=whiles)
    def judge_after(self, eighths: int) -> None:
        self.wait(eighths)
        while self.real.advance(self.now):
            pass
        self.naive.advance(self.now)
        following = self.real.next_deadline()
        assert following is None or following > self.mono

    @rule(eighths=whiles)
    def wait(self, eighths: int) -> None:
        """Nobody is judged, as when the timer is late."""
        self.mono += eighths * EIGHTH
        self.wall += eighths / 8

    @rule(eighths=moments, more=st.sampled_from([0, 0, 8]), cut=st.booleans(), which=which)
    def stall(self, eighths: int, more: int, cut: bool, which: int) -> None:
        """More may be reported than passed since the last frame, and an agent may have hung up."""
        self.wait(eighths)
        self.happen(Stall((eighths + more) * EIGHTH))
        if cut and self.open_sockets:
            self.close(which)

    @rule(eighths=st.integers(-400, 400), really=rarely)
    def set_the_wall_clock(self, eighths: int, really: bool) -> None:
        if really:
            self.wall += eighths / 8

    # What a store does

    @rule(succeeds=st.booleans())
    def save(self, succeeds: bool) -> None:
        rows, gone = self.real.take_unsaved(self.now), self.real.take_forgotten()
        assert rows == self.naive.take_unsaved(self.now)
        assert gone == self.naive.take_forgotten()
        if succeeds:
            self.store |= {row.facts.worker_id: row.record() for row in rows}
            for worker_id in gone:
                self.store.pop(worker_id, None)
        else:
            failed = [*(row.facts.worker_id for row in rows), *gone]
            self.real.not_saved(failed)
            self.naive.not_saved(failed)

    @rule(really=rarely)
    def the_store_has_lost_everything(self, really: bool) -> None:
        if really:
            self.store.clear()
            self.real.all_unsaved()
            self.naive.all_unsaved()

    @rule()
    def restore(self) -> None:
        self.happen(Restore(tuple(self.store.values())))

    @rule(
        worker_id=ids,
        group=groups,
        standing=possible,
        ago=st.sampled_from([-1.0, 0.0, 4.0, 9.0, 100.0]),
        lasting=st.sampled_from([0.0, 1.0, 5.0]),
    )
    def restore_somebody(
        self, worker_id: str, group: str, standing: tuple[Status, Reason], ago: float, lasting: float
    ) -> None:
        totals = Totals(5, 4, 3, 2, ((Reason.TIMEOUT, 1),))
        about = {"worker_id": worker_id, "group": group, "boot_id": "one"}
        seen = self.wall - ago
        self.happen(Restore((record(*standing, seen=seen, since=seen - lasting, totals=totals, **about),)))

    @rule(away=whiles, really=rarely)
    def restart_the_exporter(self, away: int, really: bool) -> None:
        """Its monotonic clock starts elsewhere, and its sockets are gone."""
        if really:
            self.mono += 1_000_003 * SECOND
            self.wall += away / 8
            self.real, self.naive = Fleet(RULES), NaiveFleet(RULES)
            self.restore()

    # What must hold

    @invariant()
    def cannot_be_told_apart(self) -> None:
        real, naive, now = self.real, self.naive, self.now
        assert real.effects() == naive.effects
        naive.effects.clear()
        snapshot = real.snapshot(now)
        assert list(snapshot.workers) == [worker.row(now) for worker in naive.workers]
        assert list(snapshot.groups) == [group.row(naive.workers) for group in naive.groups]
        assert snapshot.warming_up == any(now.mono < until for until in naive.warm_up)
        assert (real.ids(), len(real)) == ([worker.id for worker in naive.workers], len(naive.workers))
        assert real.unsaved == len(naive.unsaved) + len(naive.forgotten)

    @invariant()
    def next_deadline_is_never_late(self) -> None:
        first, predicted = self.naive.first_due(), self.real.next_deadline()
        assert first is None or (predicted is not None and predicted <= first)


def outcome(fleet: Fleet | NaiveFleet, event: Event, now: Now) -> type[Exception] | None:
    try:
        fleet.receive(event, now)
    except (UnknownWorker, RegistryFull, TooManyGroups) as refusal:
        return type(refusal)
    return None


def run(examples: int, steps: int) -> None:
    run_state_machine_as_test(
        Traces,
        settings=settings(
            max_examples=examples,
            stateful_step_count=steps,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )


def test_traces() -> None:
    """Whatever happens, in whatever order, the fleet does what the naive one does."""
    run(examples=100, steps=50)


@pytest.mark.slow
def test_many_long_traces() -> None:
    """The same with more patience."""
    run(examples=600, steps=80)
