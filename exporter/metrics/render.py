"""From the fleet to /metrics.

Rendering happens on the event loop, a slice of workers at a time. A thread would be no kinder to the
heartbeats: while it computes, every callback of the loop waits for the interpreter to switch, up to
5 ms each, and a slice takes one or two.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any, NamedTuple

from prometheus_client import CollectorRegistry

from exporter.core.groups import GroupRow
from exporter.core.model import Checks, Facts, Reason, Row, Status, Wall, WorkerId

from .catalogue import FLEET, FLEET_TABLES, GROUP, GROUP_LABELS, LIVE, STANDING, WORKER_LABELS
from .exposition import Exposition, Format, in_pieces, negotiate
from .family import Family, label_text
from .section import Section
from .source import Source

# So many of each hold the event loop for about a millisecond; texts for three if all have 32 checks.
_TEXTS_A_TURN = 50
_ROWS_A_TURN = 50
_DISMISSALS_A_TURN = 1000


_Standing = tuple[Status, Reason, Wall, int, int, Checks]
"""What the text that is kept depends on besides the facts: status, reason, since, missed, restarts, checks.

Of a worker that stands as it did all are the same objects, which makes comparing them cheap.
"""


class _Kept(NamedTuple):
    """The text of a worker that is kept between scrapes, as long as it has these facts and stands so."""

    facts: Facts
    standing: _Standing
    labels: str
    texts: tuple[bytes, ...]  # in the order of STANDING


class Renderer:
    """Renders one source, and what there is besides it.

    What it keeps belongs to the workers of the last scrape and to no others.
    """

    def __init__(self, telemetry_registry: CollectorRegistry, sections: Sequence[Section[Any]] = ()) -> None:
        self._telemetry = telemetry_registry
        self._sections = sections
        self._kept: dict[WorkerId, _Kept] = {}
        self._under_way: dict[str, asyncio.Task[Exposition]] = {}

    async def render(self, source: Source, accept: str) -> Exposition:
        """All there is to say, in the format that the Accept header asks for.

        A scrape that finds another one of the same format under way gets the answer of that one.
        """
        form = negotiate(accept)
        task = self._under_way.get(form.content_type)
        if task is None:
            task = asyncio.create_task(self._render(source, form))
            self._under_way[form.content_type] = task
        return await asyncio.shield(task)

    async def _render(self, source: Source, form: Format) -> Exposition:
        try:
            samples = _Samples(self._sections)
            await self._add_workers(samples, source)
            async for groups in source.walk_groups():
                samples.add_groups(groups)
            samples.add_fleet(source)
            for section in self._sections:
                rows = iter(section.rows())
                while some := list(islice(rows, _ROWS_A_TURN)):
                    samples.add_rows(section, some)
                    await asyncio.sleep(0)
            # In a thread because it counts the open files of the process: with 10,000 connections
            # that takes 7 ms, most of them in the kernel.
            own = await asyncio.to_thread(form.encode, self._telemetry)
            chunks = (*samples.chunks(openmetrics=form.openmetrics), own)
            return Exposition(form.content_type, [piece async for piece in in_pieces(chunks)])
        finally:
            del self._under_way[form.content_type]

    async def _add_workers(self, samples: _Samples, source: Source) -> None:
        previous, current = self._kept, dict[WorkerId, _Kept]()
        async for rows in source.walk():
            kept: list[_Kept] = []
            written = 0
            for row in rows:
                facts, counted = row.facts, row.counted
                standing = row.status, row.reason, row.since, counted.missed, counted.restarts, row.checks
                entry = previous.get(facts.worker_id)
                # Facts are replaced as a whole: to compare them by value would take longer than to write.
                if entry is None or entry.facts is not facts or entry.standing != standing:
                    entry = _written(row, standing)
                    written += 1
                    if written % _TEXTS_A_TURN == 0:
                        await asyncio.sleep(0)
                current[facts.worker_id] = entry
                kept.append(entry)
            samples.add_workers(rows, kept)
        self._kept = current
        await _dismiss(previous)


class _Samples:
    """Sample lines, gathered by metric: they come slice by slice, and a metric must stay together."""

    def __init__(self, sections: Sequence[Section[Any]]) -> None:
        tables = (*(table for _, table in FLEET_TABLES), *(section.table for section in sections))
        self._families: list[Family[Any]] = [family for table in tables for family in table]
        self._by_name: dict[str, list[bytes]] = {family.name: [] for family in self._families}

    def add_fleet(self, source: Source) -> None:
        for family in FLEET:
            self._by_name[family.name].append(family.lines_without_labels(source).encode())

    def add_groups(self, groups: Sequence[GroupRow]) -> None:
        labels = [label_text(GROUP_LABELS, (group.name,)) for group in groups]
        for family in GROUP:
            self._by_name[family.name].append(_encoded(family.lines(labels, groups)))

    def add_workers(self, rows: Sequence[Row], kept: Sequence[_Kept]) -> None:
        for column, standing in enumerate(STANDING):
            self._by_name[standing.name].append(b"".join([entry.texts[column] for entry in kept]))
        labels = [entry.labels for entry in kept]
        for live in LIVE:
            self._by_name[live.name].append(_encoded(live.lines(labels, rows)))

    def add_rows(self, section: Section[Any], rows: Sequence[Any]) -> None:
        labels = [label_text(section.labels, section.which(row)) for row in rows]
        for family in section.table:
            self._by_name[family.name].append(_encoded(family.lines(labels, rows)))

    def chunks(self, *, openmetrics: bool) -> Iterator[bytes]:
        for family in self._families:
            yield family.header(openmetrics=openmetrics).encode()
            yield from self._by_name[family.name]


def _written(row: Row, standing: _Standing) -> _Kept:
    facts = row.facts
    labels = label_text(WORKER_LABELS, (facts.worker_id, facts.name, facts.group))
    texts = [_encoded(family.lines((labels,), (row,))) for family in STANDING]
    return _Kept(facts, standing, labels, tuple(texts))


async def _dismiss(kept: dict[WorkerId, _Kept]) -> None:
    """Empty it bit by bit: to free the text of a whole fleet that left takes milliseconds."""
    while kept:
        for _ in range(min(len(kept), _DISMISSALS_A_TURN)):
            kept.popitem()
        await asyncio.sleep(0)


def _encoded(text: str) -> bytes:
    # Half a surrogate pair in a name has no UTF-8; one such name must not cost the whole scrape.
    return text.encode(errors="replace")
