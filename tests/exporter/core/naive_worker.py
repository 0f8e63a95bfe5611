"""A worker and a group of the naive fleet: they keep what ever happened, and add it up when asked."""

from __future__ import annotations

from dataclasses import dataclass, field

from exporter.core.groups import (
    ARRIVAL_BUCKETS,
    DETECTION_BUCKETS,
    LATENCY_BUCKETS,
    Change,
    GroupRow,
    HistogramRow,
)
from exporter.core.lifecycle import POSSIBLE_CHANGES
from exporter.core.model import (
    NOTHING,
    SECOND,
    Checks,
    Facts,
    Now,
    Reason,
    Row,
    Status,
    Totals,
    Transition,
    Wall,
)


@dataclass
class NaiveWorker:
    facts: Facts
    status: Status
    reason: Reason
    since: Wall
    seen: int
    last_seen: Wall
    periods: list[tuple[int, Status, Reason]]  # each from its instant until the next one's
    deadline: int = 0
    extended: int = 0  # by stalls, since it was set
    socket: int | None = None
    down_since: float | None = None
    last_heartbeat: Wall | None = None
    last_beat: int | None = None
    forgiven: int = 0  # stalls since the last beat
    heartbeats: int = 0
    missed: int = 0
    restarts: int = 0
    carried: Totals = NOTHING
    past_known: bool = False
    history: list[Transition] = field(default_factory=list)
    offset: tuple[float, int] | None = None
    round_trip: float | None = None
    loop_lag: float | None = None
    sockets: list[int] = field(default_factory=list)  # all that it ever had
    checks: list[tuple[int, Checks]] = field(default_factory=list)  # each with the socket it was told on

    @property
    def id(self) -> str:
        return self.facts.worker_id

    @property
    def timeout(self) -> int:
        return round(self.facts.timeout * SECOND)

    @property
    def down(self) -> bool:
        return self.status in (Status.DISCONNECTED, Status.NOT_RESPONDING)

    @property
    def told_checks(self) -> Checks:
        """The last of what was told on the last socket."""
        told = [checks for socket, checks in self.checks if socket in self.sockets[-1:]]
        return told[-1] if told else ()

    @property
    def due_at(self) -> int:
        return self.deadline + self.extended

    def due_in(self, start: int, *durations: int) -> None:
        self.deadline, self.extended = start + sum(durations), 0

    def row(self, now: Now) -> Row:
        up = 0
        down: dict[Reason, int] = {}
        ends = [start for start, _, _ in self.periods[1:]] + [now.mono]
        for (start, status, reason), end in zip(self.periods, ends, strict=True):
            if status is Status.ALIVE:
                up += end - start
            if status in (Status.DISCONNECTED, Status.NOT_RESPONDING):
                down[reason] = down.get(reason, 0) + end - start
        return Row(
            facts=self.facts,
            status=self.status,
            reason=self.reason,
            since=self.since,
            last_seen=self.last_seen,
            last_heartbeat=self.last_heartbeat,
            counted=Totals(self.heartbeats, self.missed, self.restarts, up, tuple(down.items())),
            carried=self.carried,
            history=tuple(self.history[-20:]),
            clock_offset=self.offset[0] if self.offset else None,
            round_trip=self.round_trip,
            loop_lag=self.loop_lag,
            checks=self.told_checks if self.status is Status.ALIVE else (),
        )


@dataclass
class NaiveGroup:
    name: str
    empty_since: int | None = None
    heartbeats: int = 0
    late: int = 0
    new: int = 0
    returning: int = 0
    conflicts: int = 0
    changes: list[Change] = field(default_factory=list)
    latencies: list[float] = field(default_factory=list)
    arrivals: list[float] = field(default_factory=list)
    delays: list[float] = field(default_factory=list)

    def row(self, workers: list[NaiveWorker]) -> GroupRow:
        mine = [worker.status for worker in workers if worker.facts.group == self.name]
        return GroupRow(
            name=self.name,
            workers=tuple((status, mine.count(status)) for status in Status),
            heartbeats=self.heartbeats,
            late=self.late,
            registrations=(("new", self.new), ("returning", self.returning)),
            changes=tuple((change, self.changes.count(change)) for change in POSSIBLE_CHANGES),
            conflicts=self.conflicts,
            latency=histogram(LATENCY_BUCKETS, self.latencies),
            arrival=histogram(ARRIVAL_BUCKETS, self.arrivals),
            detection=histogram(DETECTION_BUCKETS, self.delays),
        )


def histogram(bounds: tuple[float, ...], values: list[float]) -> HistogramRow:
    total = 0.0
    counts = [0] * (len(bounds) + 1)
    for value in values:
        total += value
        counts[len([bound for bound in bounds if bound < value])] += 1
    return HistogramRow(bounds, tuple(counts), total)
