"""When each probe is due: a heap of instants, one for each probe."""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable, Collection
from typing import NamedTuple

from exporter.core.model import SECOND, Mono

_JITTER = 0.02
_LARGEST_JITTER = 1 * SECOND


class Due(NamedTuple):
    """A run that is due. `planned` is for when, before stalls moved it."""

    name: str
    planned: Mono


class _Slot:
    """The next run of one probe. `start` is an instant of its rhythm; what comes on top of it is in `due`."""

    __slots__ = ("due", "interval", "name", "planned", "start")

    def __init__(self, name: str, interval: int, start: int) -> None:
        self.name = name
        self.interval = interval
        self.start = start
        self.due = self.planned = start


class Schedule:
    """Every probe once in its interval, each at a time of its own.

    The first run is anywhere within the first interval, so that many probes are spread over it. From then on
    the interval counts from when a run should have been and not from when it was, so nothing drifts; and each
    run comes later than that by up to 2 %, at most a second, so as not to beat with what else
    happens at a fixed rhythm. `random` gives numbers from 0 to 1.
    """

    def __init__(self, random: Callable[[], float]) -> None:
        self._random = random
        self._queue: list[tuple[int, int, _Slot]] = []
        self._order = itertools.count()  # slots of the same instant are not compared

    def add(self, name: str, interval: float, now: Mono) -> None:
        """A probe that is not in here yet; the interval in seconds."""
        length = round(interval * SECOND)
        self._push(_Slot(name, length, now + round(self._random() * length)))

    def forget(self, names: Collection[str]) -> None:
        """Those whose names these are; others than those in here do no harm."""
        self._queue = [entry for entry in self._queue if entry[2].name not in names]
        heapq.heapify(self._queue)

    def next_due(self) -> Mono | None:
        return Mono(self._queue[0][0]) if self._queue else None

    def take(self, now: Mono) -> list[Due]:
        """Who is due, in order; each is put back for its next run."""
        taken = []
        while self._queue and self._queue[0][0] <= now:
            slot = heapq.heappop(self._queue)[2]
            taken.append(Due(slot.name, Mono(slot.planned)))
            # After a stall that may be more than one interval, and it should not be next to none.
            slot.start += slot.interval * ((now + slot.interval // 2 - slot.start) // slot.interval + 1)
            slot.due = slot.planned = slot.start + self._jitter(slot)
            self._push(slot)
        return taken

    def postpone(self, stall: int, now: Mono) -> None:
        """Nothing ran for so many nanoseconds until now: who became due meanwhile is as far off as then.

        They keep their distances, or all that a stall held up would run in the same instant. The runs after
        that keep to their old rhythm, or there would be a gap and a crowd in each interval from then on.
        """
        missed = []
        while self._queue and self._queue[0][0] <= now:
            missed.append(heapq.heappop(self._queue)[2])
        for slot in missed:
            slot.due += stall
            self._push(slot)

    def _push(self, slot: _Slot) -> None:
        heapq.heappush(self._queue, (slot.due, next(self._order), slot))

    def _jitter(self, slot: _Slot) -> int:
        return round(self._random() * min(_JITTER * slot.interval, _LARGEST_JITTER))
