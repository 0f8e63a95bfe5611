"""What pages promise to whoever delivers them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, cast

import pytest

from exporter.actions.acting import Acting
from exporter.core.acting import ActionRow
from exporter.core.probing import ProbeRow
from exporter.probes.probing import Probing
from exporter.web import assets
from exporter.web.frame import Condition, Frame, Links
from exporter.web.pages import ActionsPage, ProbesPage
from exporter.web.probe_view import UP, Wanted
from tests.exporter.web.markup import Markup
from tests.exporter.web.rows import T0, action, outcome, probe
from tests.support.application import running
from tests.support.clock import FakeClock


class Listed:
    """Probes or actions, as a page asks for them."""

    def __init__(self, rows: list[Any]) -> None:
        self._rows = rows
        self.hold = None
        self.journal = self

    def each(self) -> Iterator[ProbeRow]:
        return iter(self._rows)

    def rows(self) -> Iterator[ActionRow]:
        return iter(self._rows)

    def newest(self, limit: int) -> list[Any]:
        return [("action 7", outcome(at=T0 - number)) for number in range(limit)]


def frame() -> Frame:
    condition = Condition(loading=False, warming_up=False, store_problem="")
    return Frame(lambda: condition, Links(), assets.read(), workers=True, now=lambda: FakeClock().now().wall)


@pytest.mark.parametrize("path", ["/", "/status/workers/w"])
async def test_time_and_heartbeats_alone_change_nothing(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """So a quiet fleet costs its viewers nothing but the instants of its heartbeats."""
    looks: list[Any] = []
    document = Frame.document

    def keep(self: Frame, template: str, look: Any, *rest: Any, **values: Any) -> str:
        looks.append(look)
        return document(self, template, look, *rest, **values)

    monkeypatch.setattr(Frame, "document", keep)
    async with running() as exporter:
        await exporter.register(worker_id="w", heartbeat_interval=1000, heartbeat_timeout=3600)
        socket = await exporter.connect("w")
        await socket.send({"type": "heartbeat", "checks": {"db": "healthy"}})
        await exporter.clock.jump(130)
        await exporter.http.get(path)
        await socket.send({"type": "heartbeat"})
        await exporter.clock.jump(20)
        await exporter.http.get(path)
        await socket.drop()
    before, after = looks
    assert (before.beats["w"], after.beats["w"]) == (pytest.approx(T0, abs=1), pytest.approx(T0 + 130, abs=1))
    changed = {name for name in before.regions if before.regions[name] != after.regions[name]}
    assert changed == (set() if path == "/" else {"figures"})  # which counts heartbeats


async def test_a_place_for_each_line() -> None:
    """There are as many as a page has room for, so that a line that changes is all that is sent."""
    rows = [probe(f"p{number:03d}", number % 2 == 0) for number in range(120)]
    page = ProbesPage(frame(), cast(Probing, Listed(rows)), Wanted(standing=UP, page=2), "../")
    look = await page.look()
    places = [name for name in look.regions if name.startswith("row-")]
    assert places == [f"row-{number}" for number in range(50)]
    assert [bool(look.regions[name]) for name in places] == [True] * 10 + [False] * 40
    assert look.regions["extent"] == "51 to 60 of 60 that match, of 120 probes in all"
    read = Markup(page.document(look))
    assert read.problems == []
    assert [link for link in read.links if "/probes/p" in link] == [
        f"../status/probes/p{number:03d}" for number in range(100, 120, 2)
    ]


async def test_many_actions() -> None:
    """In the order of the configuration, a page at a time, with the latest runs of all."""
    rows = [action(f"action {number}") for number in range(60)]
    page = ActionsPage(frame(), cast(Acting, Listed(rows)), 2, "../")
    look = await page.look()
    read = Markup(page.document(look))
    assert read.problems == []
    assert look.regions["extent"] == "51 to 60 of 60 actions"
    assert read.links.count("../status/actions/action%207") == 20
    assert [link for link in read.links if "actions/action%205" in link] == [
        f"../status/actions/action%20{number}" for number in range(50, 60)
    ]
    assert "?page=1" in read.links
