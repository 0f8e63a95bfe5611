"""When each probe is due."""

from __future__ import annotations

import random

import pytest

from exporter.core.model import SECOND, Mono
from exporter.probes.schedule import Schedule
from tests.support.probes import numbers

START = Mono(7 * SECOND)


def at(seconds: float) -> Mono:
    return Mono(START + round(seconds * SECOND))


def dues(schedule: Schedule, until: float, step: float = 0.001) -> list[tuple[str, float]]:
    """Who was due when, in seconds since the start, looking as often as is asked for."""
    seen = []
    for number in range(round(until / step) + 1):
        now = at(number * step)
        seen += [(due.name, round((now - START) / SECOND, 6)) for due in schedule.take(now)]
    return seen


def test_first_runs_are_spread_over_the_interval() -> None:
    """A thousand probes of the same interval are a thousandth of it apart on average."""
    schedule = Schedule(random.Random(1).random)
    for number in range(1000):
        schedule.add(f"p{number}", 10.0, START)
    tenths = [len(schedule.take(at(second))) for second in range(1, 11)]
    assert sum(tenths) == 1000
    assert max(tenths) < 140


def test_the_interval_does_not_drift() -> None:
    """It counts from when a run should have been, however late it was asked for."""
    schedule = Schedule(numbers([0.5, 0.0]))
    schedule.add("a", 10.0, START)
    assert dues(schedule, until=50, step=0.7) == [
        ("a", 5.6),
        ("a", 15.4),
        ("a", 25.2),
        ("a", 35.0),
        ("a", 45.5),
    ]


def test_each_run_is_up_to_2_percent_late_on_purpose() -> None:
    """At most a second; what one run is late does not move the next one."""
    schedule = Schedule(numbers([0.0, 1.0, 0.5, 0.0]))
    schedule.add("a", 10.0, START)
    assert dues(schedule, until=35) == [("a", 0.0), ("a", 10.2), ("a", 20.1), ("a", 30.0)]
    hourly = Schedule(numbers([0.0, 1.0]))
    hourly.add("a", 3600.0, START)
    assert dues(hourly, until=3602, step=1.0) == [("a", 0.0), ("a", 3601.0)]


def test_it_says_what_is_next() -> None:
    """Nothing, while there is nothing."""
    schedule = Schedule(numbers([0.25, 0.0]))
    assert schedule.next_due() is None
    schedule.add("a", 4.0, START)
    assert schedule.next_due() == at(1.0)
    schedule.take(at(1.0))
    assert schedule.next_due() == at(5.0)
    schedule.forget({"a", "stranger"})
    assert schedule.next_due() is None


def test_what_a_stall_held_up_keeps_its_distances() -> None:
    """Nobody catches up: it goes on as if the time had not passed, and others are as they were."""
    schedule = Schedule(numbers([0.1, 0.2, 0.3, 0.9, 0.0]))
    for name in "abcd":
        schedule.add(name, 10.0, START)
    schedule.postpone(round(5.5 * SECOND), at(6.0))
    assert dues(schedule, until=9.5) == [("a", 6.5), ("b", 7.5), ("c", 8.5), ("d", 9.0)]


def test_what_a_stall_held_up_knows_when_it_was_planned() -> None:
    """The lateness that is measured is the true one."""
    schedule = Schedule(numbers([0.1, 0.0]))
    schedule.add("a", 10.0, START)
    schedule.postpone(60 * SECOND, at(60.5))
    (due,) = schedule.take(at(61.0))
    assert due.planned == at(1.0)


@pytest.mark.parametrize(
    ("stall", "runs"),
    [
        (3.0, [4.0, 11.0, 21.0]),
        (5.5, [6.5, 21.0, 31.0]),
        (19.5, [20.5, 31.0, 41.0]),
        (60.0, [61.0, 71.0, 81.0]),
    ],
)
def test_a_stall_does_not_change_the_rhythm(stall: float, runs: list[float]) -> None:
    """Or what was spread evenly would be crowded for ever; nor are two runs closer than half an interval."""
    schedule = Schedule(numbers([0.1, 0.0]))
    schedule.add("a", 10.0, START)
    schedule.postpone(round(stall * SECOND), at(0.5 + stall))
    seen = dues(schedule, until=90, step=0.5)
    assert [second for _, second in seen][:3] == runs
