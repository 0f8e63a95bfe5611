"""The whole fleet, worst first, as all see it who look at about the same time.

snapshot = await roster.snapshot()      one walk, shared
part = await snapshot.part(wanted)      those that match, and the page of them that is asked for
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from enum import IntEnum
from typing import NamedTuple, Protocol

from exporter.core.model import SECOND, Checks, Mono, Now, Reason, Row, Status

from .arrangement import Arrangement, Entry, Part

SHARED = SECOND // 4
"""So old may a snapshot be that a look gets, in nanoseconds: many viewers cost one walk."""

_ANSWERS = 32
"""Different filters that a snapshot remembers the answers to."""


class Fleet(Protocol):
    """What is asked of the monitor."""

    def now(self) -> Now: ...

    def walk(self) -> AsyncIterator[Sequence[Row]]: ...


class Severity(IntEnum):
    """Who comes first. Of those that are down, whoever went down last; of all others, by name."""

    LOST = 0
    CUT_OFF = 1
    UNHEALTHY = 2
    PENDING = 3
    DEGRADED = 4
    STOPPED = 5
    WELL = 6


_NEWEST_FIRST = (Severity.LOST, Severity.CUT_OFF, Severity.STOPPED)


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
        if not self.text:
            return True
        part = self.text.casefold()  # and no loop: of 10,000 workers each is asked
        return (
            part in facts.name.casefold()
            or part in facts.worker_id.casefold()
            or part in facts.host.casefold()
        )


class Tally(NamedTuple):
    """How many workers there are, by status and by what a person would say first."""

    statuses: tuple[tuple[Status, int], ...]
    severities: tuple[tuple[Severity, int], ...]

    @property
    def total(self) -> int:
        return sum(count for _, count in self.statuses)

    def of(self, *severities: Severity) -> int:
        return sum(count for severity, count in self.severities if severity in severities)


class Snapshot:
    """All workers at one instant, more or less: a walk takes as long as others leave it."""

    def __init__(self, at: Mono, tally: Tally, everybody: Arrangement[Row]) -> None:
        self.at = at
        self.tally = tally
        self._everybody = everybody
        self._answers: dict[Wanted, Arrangement[Row]] = {Wanted(): everybody}

    async def part(self, wanted: Wanted) -> Part[Row]:
        """The page that is wanted, or the last one there is."""
        condition = wanted._replace(page=1)
        matching = self._answers.get(condition)
        if matching is None:
            matching = await self._everybody.only(condition.matches)
            if len(self._answers) < _ANSWERS:
                self._answers[condition] = matching
        return await matching.part(wanted.page)


class Roster:
    """Takes the snapshots. A look that finds a walk under way waits for that one."""

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
            statuses = dict.fromkeys(Status, 0)
            severities = [0] * len(Severity)
            slices: list[list[Entry[Row]]] = []
            async for rows in self._fleet.walk():
                alive = 0
                entries: list[Entry[Row]] = []
                for row in rows:
                    # An enumeration is slow to look up by, so what most workers are is counted apart.
                    if row.status is Status.ALIVE:
                        alive += 1
                    else:
                        statuses[row.status] += 1
                    how = severity(row)
                    severities[how] += 1
                    newest = -row.since if how in _NEWEST_FIRST else 0.0
                    entries.append(((int(how), newest, row.facts.name.casefold(), row.facts.worker_id), row))
                statuses[Status.ALIVE] += alive
                entries.sort()
                slices.append(entries)
            tally = Tally(tuple(statuses.items()), tuple(zip(Severity, severities, strict=True)))
            self._latest = Snapshot(began, tally, Arrangement(slices))
            return self._latest
        finally:
            self._under_way = None


def severity(row: Row) -> Severity:
    status = row.status
    if status is Status.ALIVE:
        return _worst(row.checks) if row.checks else Severity.WELL
    if status is Status.REGISTERED or status is Status.CONNECTED:
        return Severity.PENDING
    if row.reason is Reason.SHUTDOWN:
        return Severity.STOPPED
    return Severity.LOST if status is Status.NOT_RESPONDING else Severity.CUT_OFF


def _worst(checks: Checks) -> Severity:
    worst = Severity.WELL
    for _, state in checks:
        if state == "unhealthy":
            return Severity.UNHEALTHY
        if state == "degraded":
            worst = Severity.DEGRADED
    return worst
