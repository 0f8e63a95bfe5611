"""The pages: each looks at what it is about and puts that into words and HTML."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import urlencode

from exporter.core.model import Status
from exporter.monitor import Monitor

from . import view
from .frame import Frame
from .page import Look
from .roster import PAGE, Part, Roster, Wanted


class WorkersPage:
    """All workers, filtered, worst first, a page of them at a time."""

    def __init__(self, frame: Frame, roster: Roster, monitor: Monitor, wanted: Wanted, root: str) -> None:
        self._frame = frame
        self._roster = roster
        self._monitor = monitor
        self._wanted = wanted
        self._root = root

    async def look(self) -> Look:
        snapshot = await self._roster.snapshot()
        part = await snapshot.part(self._wanted)
        frame, tally, now = self._frame, snapshot.tally, self._frame.now()
        tone = view.fleet_tone(tally, warming_up=frame.condition().warming_up)
        choices = tuple(view.status_choices(tally, self._wanted))
        regions = {
            "title": frame.region("title", tone.sentence),
            "about": frame.about(),
            "sentence": frame.region("sentence", tone),
            "counts": frame.region("counts", choices, query(self._wanted._replace(status=None, page=1))),
            "extent": frame.region("extent", view.extent(part, tally)),
            "pager": frame.region("pager", part.page, part.pages, query(self._wanted._replace(page=1))),
        }
        for number in range(PAGE):
            shown = number < len(part.rows)
            regions[f"row-{number}"] = (
                frame.region("worker_cells", view.line(part.rows[number], now), self._root) if shown else ""
            )
        return Look(regions, _beats(part))

    def document(self, look: Look) -> str:
        return self._frame.document(
            "workers.html",
            look,
            self._root,
            wanted=self._wanted,
            statuses=view.STATUS_NAMES,
            groups=view.group_choices(self._monitor.fleet.group_names(), self._wanted),
        )


def wanted(parameters: Mapping[str, str]) -> Wanted:
    """What a query asks for. What makes no sense in it is as if it were not there."""
    status, page = parameters.get("status", ""), parameters.get("page", "")
    return Wanted(
        text=parameters.get("q", "").strip(),
        status=Status(status) if status in set(Status) else None,
        group=parameters.get("group") or None,
        page=max(1, int(page)) if page.isdecimal() and len(page) < 10 else 1,
    )


def query(asked: Wanted) -> str:
    """The query that asks for it, without `?`."""
    given = {
        "q": asked.text,
        "status": asked.status or "",
        "group": asked.group or "",
        "page": "" if asked.page == 1 else str(asked.page),
    }
    return urlencode({name: value for name, value in given.items() if value})


def _beats(part: Part) -> dict[str, float]:
    return {row.facts.worker_id: row.last_heartbeat for row in part.rows if row.last_heartbeat is not None}
