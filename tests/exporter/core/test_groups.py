"""What is counted by group."""

from __future__ import annotations

import pytest

from exporter.core.groups import (
    ARRIVAL_BUCKETS,
    DETECTION_BUCKETS,
    LATENCY_BUCKETS,
    Group,
    GroupRow,
    Histogram,
    HistogramRow,
)
from exporter.core.lifecycle import POSSIBLE_CHANGES
from exporter.core.model import Status


def test_a_value_on_a_bound_belongs_to_its_bucket() -> None:
    """Bounds are inclusive, as `le` says, and above the last one there is one bucket more."""
    histogram = Histogram((1.0, 2.0))
    for value in (0.0, 1.0, 1.5, 2.0, 2.5, 100.0):
        histogram.observe(value)
    assert histogram.row() == HistogramRow((1.0, 2.0), (2, 2, 2), 107.0)


@pytest.mark.parametrize("bounds", [LATENCY_BUCKETS, ARRIVAL_BUCKETS, DETECTION_BUCKETS])
def test_bounds_ascend(bounds: tuple[float, ...]) -> None:
    """Bounds are finite, distinct and in order: the bucket of a value is found by bisection."""
    assert list(bounds) == sorted(set(bounds))
    assert bounds[0] > 0.0
    assert bounds[-1] < float("inf")


def test_everything_known_starts_at_zero() -> None:
    """A new group has each status, each possible change and each histogram at 0."""
    assert Group("g").row() == GroupRow(
        name="g",
        workers=tuple((status, 0) for status in Status),
        heartbeats=0,
        late=0,
        registrations=(("new", 0), ("returning", 0)),
        changes=tuple((change, 0) for change in POSSIBLE_CHANGES),
        conflicts=0,
        latency=HistogramRow(LATENCY_BUCKETS, (0,) * 13, 0.0),
        arrival=HistogramRow(ARRIVAL_BUCKETS, (0,) * 17, 0.0),
        detection=HistogramRow(DETECTION_BUCKETS, (0,) * 14, 0.0),
    )


def test_a_group_is_empty_without_workers() -> None:
    """Workers in any status keep a group from being empty."""
    group = Group("g")
    assert group.empty
    for status in Status:
        group.workers[status] = 1
        assert not group.empty
        group.workers[status] = 0


def test_a_row_does_not_change_afterwards() -> None:
    """A row is of one instant: what is counted later is not in it."""
    group = Group("g")
    before = group.row()
    group.heartbeats += 1
    group.workers[Status.ALIVE] += 1
    group.latency.observe(0.5)
    group.changes[POSSIBLE_CHANGES[0]] += 1
    assert before == Group("g").row()
    assert group.row() != before
