"""Many rows in order, a page of them at a time, without ever holding the event loop to sort them all."""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from typing import Any, Generic, NamedTuple, TypeVar

R = TypeVar("R")

PAGE = 50
"""Rows on a page."""

_A_TURN = 200
"""Rows that are merged or filtered before others have their turn; about a millisecond."""

Entry = tuple[tuple[Any, ...], R]
"""A row behind its key. No two keys are equal, so that rows are never compared."""


class Part(NamedTuple, Generic[R]):
    """One page of rows. `first` counts from 1; `page`, from 1 as well, is one that there is."""

    rows: Sequence[R]
    first: int
    total: int
    page: int
    pages: int


class Arrangement(Generic[R]):
    """Slices, each of them in order, that are merged as far as somebody looks."""

    def __init__(self, slices: Sequence[Sequence[Entry[R]]]) -> None:
        self._slices = slices
        self._total = sum(map(len, slices))
        self._merged: Iterator[Entry[R]] = heapq.merge(*slices)
        self._ready: list[R] = []

    async def part(self, page: int) -> Part[R]:
        """The page of that number, or the last one if there are not so many."""
        pages = max(1, -(-self._total // PAGE))
        page = min(max(1, page), pages)
        start = (page - 1) * PAGE
        end = min(start + PAGE, self._total)
        while len(self._ready) < end:
            some = islice(self._merged, min(_A_TURN, end - len(self._ready)))
            self._ready.extend(row for _, row in some)
            await asyncio.sleep(0)
        return Part(self._ready[start:end], start + 1 if self._total else 0, self._total, page, pages)

    async def only(self, matches: Callable[[R], bool]) -> Arrangement[R]:
        """Those that match, in the same order."""
        slices = []
        for entries in self._slices:
            for start in range(0, len(entries), _A_TURN):
                slices.append([entry for entry in entries[start : start + _A_TURN] if matches(entry[1])])
                await asyncio.sleep(0)
        return Arrangement([some for some in slices if some])
