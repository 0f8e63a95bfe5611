"""Who has to be looked at when: a heap with lazy deletion and lazy postponement.

A heartbeat postpones a deadline thousands of times a second, and a deadline that is postponed need
not move in the heap: it is enough to put it back when its old place comes up. So `set` to a later
instant is two dictionary look-ups, the heap holds one live entry per key, and each entry moves once
per timeout instead of once per heartbeat. Entries left by `discard`, or by a `set` to an earlier
instant, are dropped when they come up, or all together once they outnumber the live ones.
"""

from __future__ import annotations

from collections.abc import Iterator
from heapq import heapify, heappop, heappush, heapreplace
from typing import Generic, TypeVar

from .model import Mono

K = TypeVar("K", bound=str)

_SLACK = 64
"""Below this many dead entries a clean-up is not worth its loop."""


class Deadlines(Generic[K]):
    def __init__(self) -> None:
        self._when: dict[K, int] = {}
        self._entry: dict[K, int] = {}  # where each key's live entry stands in the heap: at or before _when
        self._heap: list[tuple[int, K]] = []
        self._shift = 0  # all times inside are without it, so that shifting costs one addition

    def __len__(self) -> int:
        return len(self._when)

    def set(self, key: K, when: Mono) -> None:
        """Put the deadline of `key` at `when`, wherever it was."""
        inside = when - self._shift
        self._when[key] = inside
        entry = self._entry.get(key)
        if entry is None or inside < entry:
            self._entry[key] = inside
            heappush(self._heap, (inside, key))
            if len(self._heap) > 2 * len(self._when) + _SLACK:
                self._clean_up()

    def get(self, key: K) -> Mono | None:
        """The deadline of `key` with all shifts, or None."""
        inside = self._when.get(key)
        return None if inside is None else Mono(inside + self._shift)

    def discard(self, key: K) -> None:
        if self._when.pop(key, None) is not None:
            del self._entry[key]

    def next(self) -> Mono | None:
        """An instant before which nothing is due: the next deadline, or earlier; None without any."""
        return Mono(self._heap[0][0] + self._shift) if self._heap else None

    def first(self) -> K | None:
        """The key whose deadline comes first, or None."""
        while self._heap:
            inside, key = self._heap[0]
            if self._entry.get(key) != inside:
                heappop(self._heap)
            elif self._when[key] != inside:
                self._put_back(key)
            else:
                return key
        return None

    def due(self, now: Mono, limit: int) -> Iterator[K]:
        """Take out, one by one, the keys whose deadline is at or before `now`, looking at `limit` entries.

        There may be more: `next()` tells. A key leaves when it is handed over, so that whoever fails
        on it leaves the others in their places.
        """
        inside = now - self._shift
        while limit > 0 and self._heap and self._heap[0][0] <= inside:
            limit -= 1
            entry, key = self._heap[0]
            if self._entry.get(key) != entry:
                heappop(self._heap)
            elif self._when[key] > entry:
                self._put_back(key)
            else:
                heappop(self._heap)
                del self._when[key], self._entry[key]
                yield key

    def shift(self, lag: int) -> None:
        """Postpone every deadline by `lag` nanoseconds."""
        self._shift += lag

    def _put_back(self, key: K) -> None:
        self._entry[key] = self._when[key]
        heapreplace(self._heap, (self._when[key], key))

    def _clean_up(self) -> None:
        self._entry = dict(self._when)
        self._heap = [(when, key) for key, when in self._when.items()]
        heapify(self._heap)
