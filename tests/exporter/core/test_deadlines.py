"""The queue of deadlines, also against a plain dictionary."""

from __future__ import annotations

from unittest import mock

import hypothesis.strategies as st
from hypothesis import given, settings

from exporter.core.deadlines import Deadlines
from exporter.core.model import Mono


def deadlines(**when: int) -> Deadlines[str]:
    queue: Deadlines[str] = Deadlines()
    for key, instant in when.items():
        queue.set(key, Mono(instant))
    return queue


def test_nothing_is_due_in_an_empty_queue() -> None:
    """Without deadlines there is no next, no first and nothing due."""
    queue = deadlines()
    assert (len(queue), queue.next(), queue.first(), list(queue.due(Mono(10), 10))) == (0, None, None, [])


def test_due_at_the_very_instant() -> None:
    """A deadline is due at its instant and not a nanosecond earlier, and is taken out."""
    queue = deadlines(a=10)
    assert list(queue.due(Mono(9), 10)) == []
    assert list(queue.due(Mono(10), 10)) == ["a"]
    assert (len(queue), queue.get("a"), list(queue.due(Mono(10), 10))) == (0, None, [])


def test_due_in_order() -> None:
    """Whoever is due first comes first; at the same instant by name."""
    assert list(deadlines(late=3, b=2, a=2, first=1).due(Mono(3), 10)) == ["first", "a", "b", "late"]


def test_due_stops_at_the_limit() -> None:
    """No more than `limit` are looked at; the rest is due the next time."""
    queue = deadlines(a=1, b=2, c=3)
    assert list(queue.due(Mono(9), 2)) == ["a", "b"]
    assert queue.next() == 3
    assert list(queue.due(Mono(9), 2)) == ["c"]


def test_due_one_by_one() -> None:
    """A key is taken out when it is handed over; whoever stops half-way finds the rest the next time."""
    queue = deadlines(a=1, b=2)
    assert next(queue.due(Mono(9), 10)) == "a"
    assert (queue.get("a"), queue.get("b")) == (None, 2)
    assert list(queue.due(Mono(9), 10)) == ["b"]


def test_due_while_deadlines_are_set() -> None:
    """What is set meanwhile, and is due already, comes as well."""
    queue = deadlines(a=1, b=5)
    due = []
    for key in queue.due(Mono(9), 10):
        due.append(key)
        if key == "a":
            queue.set("c", Mono(3))
            queue.set("d", Mono(10))
    assert due == ["a", "c", "b"]


def test_the_limit_counts_what_was_postponed() -> None:
    """Finding that a deadline has moved is work too, so the limit holds for it."""
    queue = deadlines(a=1, b=2)
    queue.set("a", Mono(5))
    assert list(queue.due(Mono(3), 1)) == []
    assert list(queue.due(Mono(3), 1)) == ["b"]


def test_a_later_deadline_replaces_an_earlier() -> None:
    """Postponed, a key is not due at its old instant, only at its new one."""
    queue = deadlines(a=1)
    queue.set("a", Mono(5))
    assert list(queue.due(Mono(4), 10)) == []
    assert queue.next() == 5
    assert list(queue.due(Mono(5), 10)) == ["a"]


def test_an_earlier_deadline_replaces_a_later() -> None:
    """Brought forward, a key is due once, at its new instant."""
    queue = deadlines(a=5)
    queue.set("a", Mono(1))
    assert list(queue.due(Mono(1), 10)) == ["a"]
    assert list(queue.due(Mono(9), 10)) == []


def test_a_discarded_deadline_is_never_due() -> None:
    """Discarded, a key is gone; discarding an unknown one does nothing."""
    queue = deadlines(a=1)
    queue.discard("a")
    queue.discard("stranger")
    assert (len(queue), queue.first(), list(queue.due(Mono(9), 10))) == (0, None, [])


def test_set_again_after_a_discard() -> None:
    """A key that comes back at the same instant is due once."""
    queue = deadlines(a=1)
    queue.discard("a")
    queue.set("a", Mono(1))
    assert list(queue.due(Mono(1), 10)) == ["a"]
    assert list(queue.due(Mono(1), 10)) == []


def test_shifting() -> None:
    """A shift postpones what is set, and nothing that is set later."""
    queue = deadlines(a=10)
    queue.shift(5)
    queue.set("b", Mono(12))
    assert (queue.get("a"), queue.get("b"), queue.next()) == (15, 12, 12)
    assert list(queue.due(Mono(14), 10)) == ["b"]
    assert list(queue.due(Mono(15), 10)) == ["a"]


def test_first_passes_over_what_was_postponed_and_discarded() -> None:
    """The first key is that of the earliest deadline as it is now."""
    queue = deadlines(gone=1, moved=2, first=3)
    queue.discard("gone")
    queue.set("moved", Mono(4))
    assert queue.first() == "first"
    assert len(queue) == 2


def test_memory_stays_bounded_when_deadlines_are_brought_forward() -> None:
    """What earlier calls left behind is cleaned up before it outnumbers what is alive by much."""
    queue = deadlines(a=100_000, b=5)
    queue.set("b", Mono(50_000))
    for instant in range(10_000, 0, -1):
        queue.set("a", Mono(instant))
    assert len(queue._heap) < 100
    assert list(queue.due(Mono(100_000), 1_000)) == ["a", "b"]


keys = st.sampled_from("abcd")
instants = st.integers(0, 30)
steps = st.one_of(
    st.tuples(st.just("set"), keys, instants),
    st.tuples(st.just("discard"), keys, st.none()),
    st.tuples(st.just("first"), st.none(), st.none()),
    st.tuples(st.just("due"), st.none(), instants),
    st.tuples(st.just("shift"), st.none(), st.integers(0, 5)),
)


@settings(deadline=None)
@given(st.lists(steps, max_size=60), st.sampled_from([0, 64]))
def test_like_a_dictionary(trace: list[tuple[str, str, int]], slack: int) -> None:
    """Whatever is done to it, cleaned up often or never, it tells what a dictionary would tell."""
    with mock.patch("exporter.core.deadlines._SLACK", slack):
        compare_with_a_dictionary(trace)


def compare_with_a_dictionary(trace: list[tuple[str, str, int]]) -> None:
    queue: Deadlines[str] = Deadlines()
    plain: dict[str, int] = {}
    for step, key, number in trace:
        if step == "set":
            queue.set(key, Mono(number))
            plain[key] = number
        elif step == "discard":
            queue.discard(key)
            plain.pop(key, None)
        elif step == "shift":
            queue.shift(number)
            plain = {each: instant + number for each, instant in plain.items()}
        elif step == "due":
            due = sorted(
                (each for each in plain if plain[each] <= number), key=lambda each: (plain[each], each)
            )
            assert list(queue.due(Mono(number), 1_000)) == due
            plain = {each: instant for each, instant in plain.items() if instant > number}
        else:
            first = min(plain, key=lambda each: (plain[each], each), default=None)
            assert queue.first() == first
        assert len(queue) == len(plain)
        assert {each: queue.get(each) for each in "abcd"} == {each: plain.get(each) for each in "abcd"}
        following = queue.next()
        if plain:
            assert following is not None
            assert following <= min(plain.values())


@settings(deadline=None)
@given(st.lists(st.tuples(keys, instants), max_size=40), st.integers(1, 3))
def test_due_in_turns(sets: list[tuple[str, int]], limit: int) -> None:
    """Asked for little at a time, as long as `next` says so, the queue gives all that is due, in order."""
    queue: Deadlines[str] = Deadlines()
    for key, instant in sets:
        queue.set(key, Mono(instant))
    plain = dict(sets)
    due: list[str] = []
    while (following := queue.next()) is not None and following <= 15:
        due += queue.due(Mono(15), limit)
    expected = [key for key in plain if plain[key] <= 15]
    assert due == sorted(expected, key=lambda key: (plain[key], key))
