"""The pages: each looks at what it is about and puts it into words and HTML."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple, TypeVar

from exporter.actions.acting import Acting
from exporter.core.acting import ActionRow
from exporter.core.model import WorkerId
from exporter.core.probing import KEPT, ProbeRow
from exporter.monitor import Monitor
from exporter.probes.probing import Probing

from . import action_view, probe_view, query, strip, view
from .arrangement import PAGE, Arrangement, Entry
from .frame import Frame
from .page import Look
from .roster import Roster, Wanted

T = TypeVar("T")

_ROWS_A_TURN = 50
"""Probes or actions that are looked at before others have their turn."""

_LINES_A_TURN = 10
"""Lines that are put into words and HTML before others have theirs; about two milliseconds."""

_RUNS = 20
"""Runs of actions on a page: with what each of them said it is some 8 KiB."""


class WorkersPage:
    """All workers that are wanted, worst first, some of them at a time."""

    def __init__(self, frame: Frame, roster: Roster, monitor: Monitor, wanted: Wanted, root: str) -> None:
        self._frame = frame
        self._roster = roster
        self._monitor = monitor
        self._wanted = wanted
        self._root = root

    async def look(self) -> Look:
        snapshot = await self._roster.snapshot()
        part = await snapshot.part(self._wanted)
        frame, wanted, now = self._frame, self._wanted, self._frame.now()
        tone = view.fleet(snapshot.tally, warming_up=frame.condition().warming_up)
        return Look(
            {
                **_head(frame, tone),
                "counts": frame.region("counts", view.statuses(snapshot.tally, wanted), query.counts(wanted)),
                **await _rows(frame, "worker_cells", part.rows, lambda row: view.line(row, now), self._root),
                "extent": frame.region("text", view.extent(part, snapshot.tally.total, "worker", "workers")),
                "pager": frame.region("pager", part.page, part.pages, query.pages(wanted)),
            },
            {row.facts.worker_id: row.last_heartbeat for row in part.rows if row.last_heartbeat is not None},
        )

    def document(self, look: Look) -> str:
        names = view.groups(self._monitor.fleet.group_names(), self._wanted)
        return self._frame.document(
            "workers.html",
            look,
            self._root,
            wanted=self._wanted,
            statuses=view.STATUS_NAMES,
            groups=names,
            slots=strip.SLOTS,
        )


class WorkerPage:
    def __init__(self, frame: Frame, monitor: Monitor, worker_id: str, root: str) -> None:
        self._frame = frame
        self._monitor = monitor
        self._worker_id = WorkerId(worker_id)
        self._root = root

    async def look(self) -> Look | None:
        await self._monitor.settle()
        row = self._monitor.row(self._worker_id)
        if row is None:
            return None
        frame = self._frame
        chart = strip.of_worker(row.history, row.facts.interval, frame.now())
        worker_id = row.facts.worker_id
        beats: dict[str, float] = {} if row.last_heartbeat is None else {worker_id: row.last_heartbeat}
        return Look(
            {
                **_head(frame, view.worker(row)),
                "name": frame.region("text", row.facts.name),
                "standing": frame.region("worker_standing", view.badge(row), worker_id, bool(beats)),
                "strip": frame.region("chart", chart),
                "facts": frame.region("facts", view.facts(row)),
                "figures": frame.region("facts", view.figures(row)),
                "checks": frame.region("checks", view.check_badges(row)),
                "links": frame.region("worker_links", frame.links, self._root, worker_id, row.facts.group),
                "changes": frame.region("changes", view.changes(row.history)),
            },
            beats,
        )

    def document(self, look: Look) -> str:
        return self._frame.document("worker.html", look, self._root, slots=strip.SLOTS)


class ProbesPage:
    """All probes that are wanted, worst first, some of them at a time."""

    def __init__(self, frame: Frame, probing: Probing, wanted: probe_view.Wanted, root: str) -> None:
        self._frame = frame
        self._probing = probing
        self._wanted = wanted
        self._root = root

    async def look(self) -> Look:
        counts: Counter[probe_view.Standing] = Counter()
        slices: list[list[Entry[ProbeRow]]] = []
        for rows in _in_turns(self._probing.each()):
            counts.update(map(probe_view.standing, rows))
            slices.append(sorted((probe_view.key(row), row) for row in rows if self._wanted.matches(row)))
            await asyncio.sleep(0)
        part = await Arrangement(slices).part(self._wanted.page)
        frame, wanted = self._frame, self._wanted
        regions = {
            **_head(frame, probe_view.probes(counts)),
            "counts": frame.region("counts", probe_view.choices(counts, wanted), query.counts(wanted)),
            **await _rows(frame, "probe_cells", part.rows, probe_view.line, self._root),
            "extent": frame.region("text", view.extent(part, counts.total(), "probe", "probes")),
            "pager": frame.region("pager", part.page, part.pages, query.pages(wanted)),
        }
        return Look(regions, {})

    def document(self, look: Look) -> str:
        return self._frame.document(
            "probes.html",
            look,
            self._root,
            wanted=self._wanted,
            standings=probe_view.STANDINGS,
            slots=KEPT,
        )


class ProbePage:
    def __init__(self, frame: Frame, probing: Probing, name: str, root: str) -> None:
        self._frame = frame
        self._probing = probing
        self._name = name
        self._root = root

    async def look(self) -> Look | None:
        row = self._probing.row(self._name)
        if row is None:
            return None
        frame = self._frame
        regions = {
            **_head(frame, probe_view.probe(row)),
            "standing": frame.region("standing", probe_view.badge(row)),
            "strip": frame.region("chart", probe_view.runs_strip(row)),
            "facts": frame.region("facts", probe_view.facts(row)),
            "results": frame.region("results", probe_view.runs(row.history.latest)),
            "failures": frame.region("results", probe_view.runs(probe_view.earlier_failures(row))),
        }
        return Look(regions, {})

    def document(self, look: Look) -> str:
        return self._frame.document("probe.html", look, self._root, name=self._name, slots=KEPT)


class ActionsPage:
    """All actions in the order of the configuration, some of them at a time, and the latest runs of all."""

    def __init__(self, frame: Frame, acting: Acting, page: int, root: str) -> None:
        self._frame = frame
        self._acting = acting
        self._page = page
        self._root = root

    async def look(self) -> Look:
        rows: list[ActionRow] = []
        for some in _in_turns(self._acting.rows()):
            rows += some
            await asyncio.sleep(0)
        frame, hold = self._frame, self._acting.hold
        part = await Arrangement([[((number,), row) for number, row in enumerate(rows)]]).part(self._page)
        runs = action_view.runs(self._acting.journal.newest(_RUNS))
        return Look(
            {
                **_head(frame, action_view.actions(rows, hold)),
                "brake": frame.region("text", action_view.brake(hold)),
                **await _rows(
                    frame,
                    "action_cells",
                    part.rows,
                    lambda row: action_view.line(row, held=hold is not None),
                    self._root,
                ),
                "extent": frame.region("text", view.extent(part, len(rows), "action", "actions")),
                "pager": frame.region("pager", part.page, part.pages, ""),
                "runs": frame.region("runs", runs, self._root),
            },
            {},
        )

    def document(self, look: Look) -> str:
        return self._frame.document("actions.html", look, self._root)


class ActionPage:
    def __init__(self, frame: Frame, acting: Acting, name: str, root: str) -> None:
        self._frame = frame
        self._acting = acting
        self._name = name
        self._root = root

    async def look(self) -> Look | None:
        row = next((row for row in self._acting.rows() if row.name == self._name), None)
        if row is None:
            return None
        frame, held = self._frame, self._acting.hold is not None
        mine = [(name, outcome) for name, outcome in self._acting.journal.newest() if name == self._name]
        regions = {
            **_head(frame, action_view.action(row, held=held)),
            "standing": frame.region("standing", action_view.badge(row)),
            "facts": frame.region("facts", action_view.facts(row)),
            "runs": frame.region("runs_with_output", action_view.runs(mine[:_RUNS])),
        }
        return Look(regions, {})

    def document(self, look: Look) -> str:
        return self._frame.document("action.html", look, self._root, name=self._name)


def _head(frame: Frame, tone: view.Tone) -> dict[str, str]:
    """What all pages have."""
    return {
        "title": frame.region("title", tone.sentence),
        "about": frame.region("about", frame.condition()),
        "sentence": frame.region("sentence", tone),
    }


async def _rows(
    frame: Frame, macro: str, rows: Sequence[T], line: Callable[[T], NamedTuple], root: str
) -> dict[str, str]:
    """A region for each place on a page: one worker that changes is one region that does."""
    regions = {}
    for place in range(PAGE):
        shown = place < len(rows)
        regions[f"row-{place}"] = frame.line(macro, line(rows[place]), root) if shown else ""
        if place % _LINES_A_TURN == _LINES_A_TURN - 1:
            await asyncio.sleep(0)
    return regions


def _in_turns(rows: Iterable[T]) -> Iterable[list[T]]:
    some: list[T] = []
    for row in rows:
        some.append(row)
        if len(some) == _ROWS_A_TURN:
            yield some
            some = []
    yield some
