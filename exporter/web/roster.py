"""The whole fleet, worst first, as all see it who look at about the same time.

snapshot = await roster.snapshot()      one walk, shared
part = await snapshot.part(wanted)      those that match, and the page of them that is asked for
"""

from __future__ import annotations

import asyncio
import heapq
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Sequence
from enum import IntEnum
from itertools import islice
from typing import NamedTuple, Protocol

from exporter.core.model import DOWN, SECOND, UP, Mono, Now, Reason, Row, Status

PAGE = 50
"""Workers on a page."""

SHARED = SECOND // 4
"""So old may a snapshot be that a look gets, in nanoseconds: many viewers cost one walk."""

_PARTS = 32
"""Different filters that a snapshot remembers the answers to."""

_A_TURN = 500
"""Workers that are filtered, or put in order, before others have their turn."""


class Fleet(Protocol):
    """What is asked of the monitor."""

    def now(self) -> Now: ...

    def walk(self) -> AsyncIterator[Sequence[Row]]: ...


class Severity(IntEnum):
    """Who comes first."""

    LOST = 0
    CUT_OFF = 1
    UNHEALTHY = 2
    PENDING = 3
    DEGRADED = 4
    STOPPED = 5
    WELL = 6


class Wanted(NamedTuple):
    """Which workers: part of an id, name or host; a status; a group. And which page of them, from 1."""

    text: str = ""
    status: Status | None = None
    group: str | None = None
    page: int = 1

    def matches(self, row: Row) -> bool:
        facts = row.facts
        if self.status is not None and row.status is not self.status:
            return False
        if self.group is not None and facts.group != self.group:
            return False
        part = self.text.casefold()
        return any(part in text.casefold() for text in (facts.name, facts.worker_id, facts.host))


class Part(NamedTuple):
    """One page of those that match; `first` counts from 1, and `page` is one that there is."""

    rows: Sequence[Row]
    first: int
    matching: int
    page: int
    pages: int


class Tally(NamedTuple):
    """How many there are, by status and by what a person would say first."""

    statuses: tuple[tuple[Status, int], ...]
    severities: tuple[tuple[Severity, int], ...]

    @property
    def total(self) -> int:
        return sum(number for _, number in self.statuses)

    def of(self, *severities: Severity) -> int:
        return sum(number for severity, number in self.severities if severity in severities)


_Entry = tuple[int, float, str, str, Row]
"""A row behind what it is ordered by; ids differ, so that rows are never compared."""


def severity(row: Row) -> Severity:
    if row.status in UP:
        states = {state for _, state in row.checks}
        if "unhealthy" in states:
            return Severity.UNHEALTHY
        return Severity.DEGRADED if "degraded" in states else Severity.WELL
    if row.status not in DOWN:
        return Severity.PENDING
    if row.reason is Reason.SHUTDOWN:
        return Severity.STOPPED
    return Severity.LOST if row.status is Status.NOT_RESPONDING else Severity.CUT_OFF


class Snapshot:
    """All workers at one instant, more or less: a walk takes as long as others leave it."""

    def __init__(self, at: Mono, tally: Tally, everybody: _Ordered) -> None:
        self.at = at
        self.tally = tally
        self._everybody = everybody
        self._parts: dict[Wanted, _Ordered] = {}

    async def part(self, wanted: Wanted) -> Part:
        """Costs what it takes to bring the pages up to this one in order, and to filter once."""
        ordered = await self._matching(wanted._replace(page=1))
        pages = max(1, -(-len(ordered) // PAGE))
        page = min(max(1, wanted.page), pages)
        start = (page - 1) * PAGE
        rows = await ordered.slice(start, start + PAGE)
        return Part(rows, min(start + 1, len(ordered)), len(ordered), page, pages)

    async def _matching(self, wanted: Wanted) -> _Ordered:
        if wanted == Wanted():
            return self._everybody
        found = self._parts.get(wanted)
        if found is None:
            slices = []
            for entries in self._everybody.slices:
                for start in range(0, len(entries), _A_TURN):
                    some = entries[start : start + _A_TURN]
                    slices.append([entry for entry in some if wanted.matches(entry[-1])])
                    await asyncio.sleep(0)
            found = _Ordered(slices)
            if len(self._parts) < _PARTS:
                self._parts[wanted] = found
        return found


class _Ordered:
    """Sorted slices that are merged as far as somebody looks."""

    def __init__(self, slices: Sequence[list[_Entry]]) -> None:
        self.slices = slices
        self._length = sum(map(len, slices))
        self._merged: Iterator[_Entry] = heapq.merge(*slices)
        self._ready: list[Row] = []

    def __len__(self) -> int:
        return self._length

    async def slice(self, start: int, end: int) -> Sequence[Row]:
        while len(self._ready) < min(end, self._length):
            some = min(_A_TURN, end - len(self._ready))
            self._ready.extend(entry[-1] for entry in islice(self._merged, some))
            await asyncio.sleep(0)
        return self._ready[start:end]


class Roster:
    """Takes the snapshots; a look that finds a walk under way waits for that one."""

    def __init__(self, fleet: Fleet) -> None:
        self._fleet = fleet
        self._latest: Snapshot | None = None
        self._under_way: asyncio.Task[Snapshot] | None = None

    async def snapshot(self) -> Snapshot:
        latest = self._latest
        if latest is not None and self._fleet.now().mono - latest.at < SHARED:
            return latest
        if self._under_way is None:
            self._under_way = asyncio.create_task(self._take(), name="roster")
        return await asyncio.shield(self._under_way)

    async def _take(self) -> Snapshot:
        try:
            began = self._fleet.now().mono
            statuses: Counter[Status] = Counter()
            severities: Counter[Severity] = Counter()
            slices: list[list[_Entry]] = []
            async for rows in self._fleet.walk():
                entries = [_entry(row) for row in rows]
                statuses.update(row.status for row in rows)
                severities.update(Severity(entry[0]) for entry in entries)
                entries.sort()
                slices.append(entries)
            tally = Tally(
                tuple((status, statuses[status]) for status in Status),
                tuple((severity, severities[severity]) for severity in Severity),
            )
            self._latest = Snapshot(began, tally, _Ordered(slices))
            return self._latest
        finally:
            self._under_way = None


def _entry(row: Row) -> _Entry:
    """By severity; who went down last is first among those that are down; the others by name."""
    how = severity(row)
    newest = -row.since if how in (Severity.LOST, Severity.CUT_OFF, Severity.STOPPED) else 0.0
    return (how.value, newest, row.facts.name.casefold(), row.facts.worker_id, row)
