"""What is counted by group: plain integers and bisected buckets, cheap enough for every heartbeat."""

from __future__ import annotations

from bisect import bisect_left
from typing import NamedTuple

from .lifecycle import POSSIBLE_CHANGES
from .model import Reason, Status

LATENCY_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)
ARRIVAL_BUCKETS = (0.1, 0.25, 0.5, 1.0, 2.0, 4.0, 4.5, 5.0, 5.5, 6.0, 7.5, 10.0, 15.0, 30.0, 60.0, 300.0)
DETECTION_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 15.0, 60.0)
"""Upper bounds in seconds. Arrivals are finest around the default interval of 5 s."""

Change = tuple[Status | None, Status | None, Reason]


class HistogramRow(NamedTuple):
    """A histogram at one instant: `counts` has one more element than `bounds`, for +Inf; not cumulative."""

    bounds: tuple[float, ...]
    counts: tuple[int, ...]
    sum: float


class Histogram:
    __slots__ = ("bounds", "counts", "sum")

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.sum = 0.0

    def observe(self, value: float) -> None:
        """Count a value; a bound belongs to its own bucket, as `le` demands."""
        self.counts[bisect_left(self.bounds, value)] += 1
        self.sum += value

    def row(self) -> HistogramRow:
        return HistogramRow(self.bounds, tuple(self.counts), self.sum)


class GroupRow(NamedTuple):
    """A group at one instant. Immutable."""

    name: str
    workers: tuple[tuple[Status, int], ...]
    heartbeats: int
    late: int
    registrations: tuple[tuple[str, int], ...]
    changes: tuple[tuple[Change, int], ...]
    conflicts: int
    latency: HistogramRow
    arrival: HistogramRow
    detection: HistogramRow


class Group:
    """The counters of one group, alive from its first worker until retention after its last."""

    __slots__ = (
        "arrival",
        "changes",
        "conflicts",
        "detection",
        "heartbeats",
        "late",
        "latency",
        "name",
        "new",
        "returning",
        "workers",
    )

    def __init__(self, name: str) -> None:
        self.name = name
        self.workers = dict.fromkeys(Status, 0)
        self.heartbeats = 0
        self.late = 0
        self.new = 0
        self.returning = 0
        self.changes: dict[Change, int] = dict.fromkeys(POSSIBLE_CHANGES, 0)
        self.conflicts = 0
        self.latency = Histogram(LATENCY_BUCKETS)
        self.arrival = Histogram(ARRIVAL_BUCKETS)
        self.detection = Histogram(DETECTION_BUCKETS)

    @property
    def empty(self) -> bool:
        return not any(self.workers.values())

    def row(self) -> GroupRow:
        return GroupRow(
            self.name,
            tuple(self.workers.items()),
            self.heartbeats,
            self.late,
            (("new", self.new), ("returning", self.returning)),
            tuple(self.changes.items()),
            self.conflicts,
            self.latency.row(),
            self.arrival.row(),
            self.detection.row(),
        )
