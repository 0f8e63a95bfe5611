"""The small chart beside a name: how it stood lately, interval by interval or run by run."""

from __future__ import annotations

import math
from collections.abc import Sequence
from enum import StrEnum
from itertools import groupby
from typing import NamedTuple

from exporter.core.model import DOWN, UP, Reason, Status, Transition, Wall

from . import words

SLOTS = 60
"""How many intervals are shown of a worker."""


class State(StrEnum):
    """How something looks, from harmless to worst. The names are classes in page.css."""

    UNKNOWN = "unknown"
    ALIVE = "alive"
    PENDING = "pending"
    STOPPED = "stopped"
    DEGRADED = "degraded"
    DISCONNECTED = "disconnected"
    NOT_RESPONDING = "not_responding"


_RANK = {state: rank for rank, state in enumerate(State)}


class Bar(NamedTuple):
    """Neighbouring slots of one state; `start` counts from the oldest, which is 0."""

    state: State
    start: int
    length: int


class Strip(NamedTuple):
    """`text` says the same in words."""

    slots: int
    bars: tuple[Bar, ...]
    text: str


def state_of(status: Status, reason: Reason) -> State:
    """A worker that said goodbye is stopped, whatever its status has become since."""
    if status in UP:
        return State.ALIVE
    if status not in DOWN:
        return State.PENDING
    return State.STOPPED if reason is Reason.SHUTDOWN else State(status.value)


def of_worker(history: Sequence[Transition], interval: float, now: Wall) -> Strip:
    """The last `SLOTS` intervals, the present one included, from a worker's transitions, oldest first.

    Intervals begin at multiples of their length, so that the strip moves on once in each and not with
    every look. One in which there was more than one state has the worst. Before the first transition
    that is kept nothing is known.
    """
    current = math.floor(now / interval)
    oldest = current - SLOTS + 1
    slots = [State.UNKNOWN] * SLOTS
    ends = [*(transition.at for transition in history[1:]), now]
    for transition, end in zip(history, ends, strict=False):  # without a history there is one end too many
        if transition.after is None:
            continue
        state = state_of(transition.after, transition.reason)
        first = max(oldest, math.floor(transition.at / interval))
        last = min(current, math.floor(end / interval))
        for slot in range(first - oldest, last - oldest + 1):
            slots[slot] = max(slots[slot], state, key=_RANK.__getitem__)
    return Strip(SLOTS, _bars(slots), _say(slots, f"the last {words.duration(SLOTS * interval)}"))


def of_runs(successes: Sequence[bool], slots: int) -> Strip:
    """The last runs of a probe, oldest first, at most `slots` of them."""
    states = [State.ALIVE if success else State.NOT_RESPONDING for success in successes]
    failed = len(states) - sum(successes)
    text = f"{failed} of the last {words.number(len(states), 'run', 'runs')} failed"
    return Strip(
        slots, _bars([State.UNKNOWN] * (slots - len(states)) + states), text if states else "No run yet"
    )


def _bars(slots: Sequence[State]) -> tuple[Bar, ...]:
    bars: list[Bar] = []
    start = 0
    for state, same in groupby(slots):
        length = len(list(same))
        bars.append(Bar(state, start, length))
        start += length
    return tuple(bars)


def _say(slots: Sequence[State], whole: str) -> str:
    found = [(state.replace("_", " "), slots.count(state)) for state in reversed(State) if state in slots]
    if len(found) == 1:
        return f"{found[0][0].capitalize()} throughout {whole}"
    shares = words.listing([f"{state} in {count}" for state, count in found])
    return f"Of {len(slots)} intervals, {whole}: {shares}"
