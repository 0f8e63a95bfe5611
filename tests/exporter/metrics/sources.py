"""Something to render: any rows one likes, or a real fleet under a clock that jumps."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Any

from prometheus_client import CollectorRegistry

from exporter.core.events import Event
from exporter.core.fleet import TURN, Fleet, Rules
from exporter.core.groups import GroupRow
from exporter.core.model import NOTHING, Now, Reason, Row, Status, Wall
from exporter.metrics.render import Renderer
from exporter.metrics.source import Source
from exporter.monitor import GROUPS_A_TURN
from tests.support.clock import FakeClock
from tests.support.fleets import facts

TEXT = "text/plain; version=0.0.4"
OPENMETRICS = "application/openmetrics-text; version=1.0.0"


@dataclass
class Listed:
    """A source of rows that no fleet has to vouch for. Counts how often it was walked."""

    rows: Sequence[Row] = ()
    group_rows: Sequence[GroupRow] = ()
    warming: bool = False
    max_workers: int = 20_000
    walks: int = 0

    def now(self) -> Now:
        return FakeClock().now()

    async def walk(self) -> AsyncIterator[Sequence[Row]]:
        self.walks += 1
        for start in range(0, len(self.rows), TURN):
            yield self.rows[start : start + TURN]
            await asyncio.sleep(0)

    async def walk_groups(self) -> AsyncIterator[Sequence[GroupRow]]:
        for start in range(0, len(self.group_rows), GROUPS_A_TURN):
            yield self.group_rows[start : start + GROUPS_A_TURN]
            await asyncio.sleep(0)

    def warming_up(self) -> bool:
        return self.warming


class Watched:
    """A source over a real fleet, without the shell around it: nothing here ever stalls."""

    def __init__(self, **rules: int) -> None:
        self.clock = FakeClock()
        self.fleet = Fleet(Rules(**rules))
        self.max_workers = Rules(**rules).max_workers

    def happen(self, *events: Event) -> None:
        for event in events:
            self.fleet.receive(event, self.clock.now())
        self.fleet.effects()

    def after(self, seconds: float) -> None:
        """Let time pass, then judge until nobody is left to judge."""
        self.clock.move(seconds)
        while self.fleet.advance(self.clock.now()):
            pass
        self.fleet.effects()

    def now(self) -> Now:
        return self.clock.now()

    async def walk(self) -> AsyncIterator[Sequence[Row]]:
        ids = self.fleet.ids()
        for start in range(0, len(ids), TURN):
            yield self.fleet.rows(ids[start : start + TURN], self.clock.now())
            await asyncio.sleep(0)

    async def walk_groups(self) -> AsyncIterator[Sequence[GroupRow]]:
        yield self.fleet.groups(self.fleet.group_names())

    def warming_up(self) -> bool:
        return self.fleet.warming_up(self.clock.now())


def row(worker_id: str = "w1", *, about: dict[str, Any] | None = None, **changes: Any) -> Row:
    """A worker that has just registered, unless `changes` say otherwise; `about` changes its facts."""
    given = Row(
        facts(worker_id, **(about or {})),
        status=Status.REGISTERED,
        reason=Reason.REGISTERED,
        since=Wall(1_700_000_000.0),
        last_seen=Wall(1_700_000_000.0),
        last_heartbeat=None,
        counted=NOTHING,
        carried=NOTHING,
        history=(),
        clock_offset=None,
        round_trip=None,
        loop_lag=None,
        checks=(),
    )
    return given._replace(**changes)


async def rendered(source: Source, accept: str = TEXT, renderer: Renderer | None = None) -> str:
    """The whole answer to a scrape, without the exporter's own counters unless the renderer has some."""
    exposition = await (renderer or Renderer(CollectorRegistry())).render(source, accept)
    return b"".join(exposition.pieces).decode()


def samples(text: str, name: str) -> list[str]:
    """The sample lines of one series name."""
    return [line for line in text.splitlines() if line.startswith((f"{name}{{", f"{name} "))]
