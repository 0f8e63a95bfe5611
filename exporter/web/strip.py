"""The last intervals of a worker, each with its state: the small chart beside its name."""

from __future__ import annotations

import math
from collections.abc import Sequence
from enum import StrEnum
from typing import NamedTuple

from exporter.core.model import DOWN, UP, Reason, Status, Transition, Wall

from . import words

SLOTS = 60
"""How many intervals are shown."""


class State(StrEnum):
    """What an interval looks like, from harmless to worst; the names are classes in page.css."""

    UNKNOWN = "unknown"
    ALIVE = "alive"
    PENDING = "pending"
    STOPPED = "stopped"
    DISCONNECTED = "disconnected"
    NOT_RESPONDING = "not_responding"

    @property
    def said(self) -> str:
        return self.replace("_", " ")


_RANK = {state: rank for rank, state in enumerate(State)}


class Run(NamedTuple):
    """Neighbouring intervals of one state; `start` counts from the oldest, which is 0."""

    state: State
    start: int
    length: int


class Strip(NamedTuple):
    runs: tuple[Run, ...]
    text: str


def state_of(status: Status, reason: Reason) -> State:
    """A worker that said goodbye is stopped, whatever its status has become since."""
    if status in UP:
        return State.ALIVE
    if status not in DOWN:
        return State.PENDING
    return State.STOPPED if reason is Reason.SHUTDOWN else State(status.value)


def strip(history: Sequence[Transition], interval: float, now: Wall) -> Strip:
    """The last `SLOTS` intervals, the present one included, from a worker's transitions, oldest first.

    Intervals begin at multiples of their length, so that the strip moves on once in each and not with
    every look. One in which there was more than one state has the worst. Before the first transition
    that is kept nothing is known.
    """
    current = math.floor(now / interval)
    oldest = current - SLOTS + 1
    slots = [State.UNKNOWN] * SLOTS
    for number, transition in enumerate(history):
        if transition.after is None:
            continue
        state = state_of(transition.after, transition.reason)
        until = history[number + 1].at if number + 1 < len(history) else now
        first = max(oldest, math.floor(transition.at / interval))
        last = min(current, math.floor(until / interval))
        for slot in range(first - oldest, last - oldest + 1):
            slots[slot] = max(slots[slot], state, key=_RANK.__getitem__)
    return Strip(_runs(slots), _text(slots, interval))


def _runs(slots: Sequence[State]) -> tuple[Run, ...]:
    runs: list[Run] = []
    for number, state in enumerate(slots):
        if runs and runs[-1].state is state:
            runs[-1] = runs[-1]._replace(length=runs[-1].length + 1)
        else:
            runs.append(Run(state, number, 1))
    return tuple(runs)


def _text(slots: Sequence[State], interval: float) -> str:
    whole = f"the last {words.duration(SLOTS * interval)}"
    present = [state for state in reversed(State) if state in slots]
    if len(present) == 1:
        return f"{present[0].said.capitalize()} throughout {whole}"
    shares = words.listing([f"{state.said} in {slots.count(state)}" for state in present])
    return f"Of the {SLOTS} intervals of {whole}: {shares}"
