"""What viewers of a page are sent, how often, and when they are let go."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import json
import logging
import re
import weakref
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any, NamedTuple

import pytest
from prometheus_client import CollectorRegistry
from starlette.requests import Request
from starlette.types import Message

from exporter.core.effects import Conflict
from exporter.core.model import WorkerId
from exporter.hang_up import EXTENSION
from exporter.telemetry import Telemetry
from exporter.web.live import MOST_VIEWERS, PING, REST, ROUND, TICK, Live, wanted
from exporter.web.page import Look
from tests.support.clock import FakeClock, settle

START = 1_700_000_000.0
SOMETHING = Conflict(WorkerId("w"))
RETRY = "retry: 2000\r\n\r\n"


class StillPage:
    """A page that looks as it is told to, and counts how often it was looked at, `takes` seconds each."""

    def __init__(self, clock: FakeClock, takes: float = 0.0) -> None:
        self.regions: dict[str, str] = {"head": "all is well", "foot": "v1"}
        self.beats: dict[str, float] = {}
        self.there = True
        self.looked = 0
        self.meanwhile: Callable[[], None] = lambda: None
        self._clock = clock
        self._takes = takes

    async def look(self) -> Look | None:
        self.looked += 1
        self._clock.move(self._takes)
        self.meanwhile()
        if "broken" in self.regions:
            raise RuntimeError("broken")
        return Look(dict(self.regions), dict(self.beats)) if self.there else None

    def document(self, look: Look) -> str:
        raise AssertionError("a stream has no document")


class Browser:
    """The other end of a stream; reads as long as `reads` is set. Unlike a browser it never asks again."""

    def __init__(self, server: Live, page: StillPage, address: str = "/", *, offers: bool = True) -> None:
        self.reads = asyncio.Event()
        self.reads.set()
        self.started: Message = {}
        self.complete = False
        self.hung_up = False
        self._body = b""
        self._gone = asyncio.Event()
        scope = request(address=address).scope
        if offers:
            scope["extensions"] = {EXTENSION: self._hang_up}
        response = server.stream(Request(scope), page)
        self.task = asyncio.create_task(response(scope, self._receive, self._send))

    async def _receive(self) -> Message:
        await self._gone.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: Message) -> None:
        await self.reads.wait()
        if message["type"] == "http.response.start":
            self.started = message
        else:
            self._body += message["body"]
            self.complete = not message.get("more_body", False)

    def _hang_up(self) -> None:
        # As a server does it: whoever waits to send comes back, and what they send is dropped.
        self.hung_up = True
        self.leave()
        self.reads.set()

    def leave(self) -> None:
        self._gone.set()

    def text(self) -> str:
        """What was sent since the last time."""
        body, self._body = self._body, b""
        return body.decode()

    async def changes(self) -> list[Any]:
        await settle()
        return [json.loads(data) for data in re.findall(r"^event: changes\ndata: (.*)$", self.text(), re.M)]


def request(accept: str | None = None, address: str = "/") -> Request:
    path, _, query = address.partition("?")
    headers = [] if accept is None else [(b"accept", accept.encode())]
    return Request(
        {
            "type": "http",
            "method": "GET",
            "path": path,
            "query_string": query.encode(),
            "headers": headers,
            "server": ("exporter", 80),
        }
    )


class Scene(NamedTuple):
    clock: FakeClock
    telemetry: Telemetry
    live: Live
    page: StillPage

    def figures(self) -> Mapping[str, float]:
        values = {
            name: self.telemetry.registry.get_sample_value(f"heartbeat_page_viewers{name}")
            for name in ("", "_refused_total", "_dropped_total")
        }
        return {name: value for name, value in values.items() if value}


@contextlib.asynccontextmanager
async def scene(*, takes: float = 0.0, patience: float = 5.0) -> AsyncIterator[Scene]:
    """Somebody who looks at pages, and a page."""
    clock, telemetry = FakeClock(), Telemetry(CollectorRegistry())
    server = Live(clock, telemetry, patience=patience)
    rounds = asyncio.create_task(server.run())
    await settle()
    yield Scene(clock, telemetry, server, StillPage(clock, takes))
    server.close()
    await settle(100)
    rounds.cancel()
    await asyncio.wait([rounds])


@pytest.mark.parametrize(
    ("accept", "events"),
    [
        ("text/event-stream", True),
        ("text/event-stream; charset=utf-8, */*;q=0.1", True),
        ("text/html,application/xhtml+xml,*/*;q=0.8", False),
        ("text/html, text/event-stream", False),
        ("*/*", False),
        (None, False),
    ],
)
def test_who_wants_events(accept: str | None, events: bool) -> None:
    """EventSource asks for nothing else; a person's browser asks for HTML first, or for whatever there is."""
    assert wanted(request(accept)) is events


async def test_begins_with_everything_at_once() -> None:
    """The page that a browser has may be from its cache, so the first event has all that there is."""
    async with scene() as here:
        here.page.beats = {"w": START - 3}
        browser = Browser(here.live, here.page)
        await settle()
        head, _, data = browser.text().partition("data: ")
        assert head == f"{RETRY}event: changes\n"
        assert data.endswith("}\n\n")
        assert json.loads(data) == {
            "now": START,
            "regions": {"head": "all is well", "foot": "v1"},
            "beats": {"w": START - 3},
        }
        headers = dict(browser.started["headers"])
        assert browser.started["status"] == 200
        assert {name: headers[name] for name in (b"content-type", b"vary", b"cache-control")} == {
            b"content-type": b"text/event-stream; charset=utf-8",
            b"vary": b"Accept",
            b"cache-control": b"no-store",
        }


async def test_goes_on_with_what_is_new() -> None:
    """Regions and beats that are as they were are not sent again, and nothing at all if all is as it was."""
    async with scene() as here:
        here.page.beats = {"v": 1.0, "w": 1.0}
        browser = Browser(here.live, here.page)
        await settle()
        browser.text()
        await here.clock.jump(5)
        assert browser.text() == ""
        here.page.regions["head"] = "<b>one is down</b>\r\n"
        here.page.beats["w"] = 2.0
        await here.clock.jump(TICK)
        assert await browser.changes() == [
            {"now": START + 5.5, "regions": {"head": "<b>one is down</b>\r\n"}, "beats": {"w": 2.0}}
        ]


async def test_an_effect_is_seen_in_the_next_round() -> None:
    """What changes the fleet is shown half a second later; a heartbeat, which nobody tells of, within one."""
    async with scene() as here:
        browser = Browser(here.live, here.page)
        await here.clock.jump(TICK + 0.1)
        await browser.changes()
        here.page.regions["head"] = "told"
        here.live.on_effect(SOMETHING)
        await here.clock.jump(ROUND)
        assert [each["regions"] for each in await browser.changes()] == [{"head": "told"}]


async def test_at_most_two_updates_a_second() -> None:
    """However much happens: what comes between two rounds is sent as one."""
    async with scene() as here:
        browser = Browser(here.live, here.page)
        await here.clock.jump(1)
        await browser.changes()
        for number in range(400):
            here.page.regions["head"] = f"{number}"
            here.live.on_effect(SOMETHING)
            await here.clock.jump(0.01)
        changes = await browser.changes()
        assert len(changes) == 8
        assert changes[-1]["regions"] == {"head": "399"}


async def test_one_look_for_all_who_view_the_same() -> None:
    """Ten browsers on one page, and one on another, are two looks a round."""
    async with scene() as here:
        other = StillPage(here.clock)
        browsers = [Browser(here.live, here.page) for _ in range(10)]
        browsers.append(Browser(here.live, other, "/status/probes"))
        await here.clock.jump(3)
        before = here.page.looked, other.looked
        here.page.regions["head"] = other.regions["head"] = "new"
        await here.clock.jump(3)
        assert (here.page.looked - before[0], other.looked - before[1]) == (3, 3)
        assert [len(await browser.changes()) for browser in browsers] == [2] * 11


async def test_rests_longer_the_longer_it_takes() -> None:
    """A page that takes a second to look at is looked at every five: heartbeats have the other four."""
    async with scene(takes=1.0) as here:
        Browser(here.live, here.page)
        await here.clock.jump(60)
        assert here.page.looked == pytest.approx(60 / (1 + REST), abs=2)


async def test_nobody_looks_at_what_nobody_views() -> None:
    """A page whose last viewer has left is forgotten."""
    async with scene() as here:
        browser = Browser(here.live, here.page)
        await here.clock.jump(3)
        assert here.figures() == {"": 1}
        browser.leave()
        await browser.task
        looked = here.page.looked
        await here.clock.jump(3)
        assert here.page.looked == looked
        assert here.figures() == {}


async def test_says_when_the_page_is_gone() -> None:
    """A worker that is forgotten while its page is open: one last event, and the end of the stream."""
    async with scene() as here:
        browser = Browser(here.live, here.page)
        await settle()
        browser.text()
        here.page.there = False
        await here.clock.jump(TICK)
        await browser.task
        assert browser.text() == "event: gone\r\ndata: {}\r\n\r\n"
        assert browser.complete


async def test_a_page_that_fails_ends_its_streams(caplog: pytest.LogCaptureFixture) -> None:
    """It is logged once, others go on, and who asks again is given another page."""
    async with scene() as here:
        other = StillPage(here.clock)
        browsers = [Browser(here.live, here.page, "/a?b=c"), Browser(here.live, other, "/other")]
        await settle()
        here.page.regions["broken"] = ""
        with caplog.at_level(logging.ERROR, logger="exporter.web.live"):
            await here.clock.jump(5)
        assert [record.getMessage() for record in caplog.records] == [
            "/a?b=c cannot be looked at; whoever views it is to ask again"
        ]
        assert [browser.complete for browser in browsers] == [True, False]
        again = Browser(here.live, other, "/a?b=c")
        assert len(await again.changes()) == 1


async def test_a_slow_viewer_gets_what_it_missed_as_one() -> None:
    """While a browser does not read nothing is kept for it; then it gets the difference to now."""
    async with scene() as here:
        browser = Browser(here.live, here.page)
        await settle()
        browser.text()
        browser.reads.clear()
        for number in range(10):
            here.page.regions["head"] = f"{number}"
            await here.clock.jump(TICK)
        browser.reads.set()
        assert [each["regions"] for each in await browser.changes()] == [{"head": "0"}, {"head": "9"}]


@pytest.mark.parametrize("offers", [True, False], ids=["our server", "another server"])
async def test_a_viewer_that_is_too_slow_is_let_go(offers: bool) -> None:
    """Who takes nothing for longer than the patience: counted, and hung up on where that is possible."""
    async with scene(patience=0.05) as here:
        browser = Browser(here.live, here.page, offers=offers)
        await settle()
        browser.reads.clear()
        here.page.regions["head"] = "new"
        await here.clock.jump(TICK)
        assert here.figures() == {"": 1}
        await asyncio.wait_for(browser.task, 5)
        assert here.figures() == {"_dropped_total": 1}
        assert browser.hung_up is offers
        assert not browser.complete


async def test_there_is_an_end_to_the_room() -> None:
    """One more than the most is told when to come again, and those who are there are not disturbed."""
    async with scene() as here:
        browsers = [Browser(here.live, here.page) for _ in range(MOST_VIEWERS)]
        await settle()
        late = Browser(here.live, here.page)
        await late.task
        assert late.started["status"] == 503
        assert dict(late.started["headers"])[b"retry-after"] == b"30"
        assert late.text() == "too many look on; the page itself is there\n"
        assert here.figures() == {"": MOST_VIEWERS, "_refused_total": 1}
        browsers[0].leave()
        await browsers[0].task
        assert await Browser(here.live, here.page).changes() != []


async def test_all_streams_end_with_the_exporter() -> None:
    """At once: who reads gets the end, who does not is hung up on, and who comes then is refused."""
    async with scene() as here:
        browsers = [Browser(here.live, here.page) for _ in range(3)]
        await settle()
        browsers[0].reads.clear()
        here.page.regions["head"] = "new"
        await here.clock.jump(TICK)
        here.live.close()
        await settle(100)
        assert [browser.task.done() for browser in browsers] == [True] * 3
        assert [browser.complete for browser in browsers[1:]] == [True, True]
        assert [browser.hung_up for browser in browsers] == [True] * 3
        late = Browser(here.live, here.page)
        await late.task
        assert late.started["status"] == 503


async def test_no_page_is_looked_at_in_the_end() -> None:
    """The last flush needs the time that a round under way would take."""
    async with scene() as here:
        pages = [StillPage(here.clock) for _ in range(3)]
        for number, page in enumerate(pages):
            Browser(here.live, page, f"/?page={number}")
        await here.clock.jump(3)
        before = [page.looked for page in pages]
        pages[0].meanwhile = here.live.close
        await here.clock.jump(3)
        assert [page.looked - seen for page, seen in zip(pages, before, strict=True)] == [1, 0, 0]


async def test_a_sign_of_life() -> None:
    """With nothing to say the stream says so now and then, for proxies and for the script in the page."""
    async with scene() as here:
        browser = Browser(here.live, here.page)
        await here.clock.jump(PING - 1)
        browser.text()
        await here.clock.jump(2)
        assert browser.text() == "event: ping\r\ndata: {}\r\n\r\n"
        await here.clock.jump(2 * PING)
        assert browser.text().count("event: ping") == 2


@pytest.mark.parametrize("end", ["it leaves", "it is too slow", "the page is gone", "the exporter ends"])
async def test_nothing_is_left_of_a_stream(end: str) -> None:
    """Not even for the garbage collector, which never looks at what has lived as long as a page is open."""
    async with scene(patience=0.05) as here:
        page = StillPage(here.clock)
        browser = Browser(here.live, page)
        await here.clock.jump(2)
        gc.collect()
        gc.disable()
        try:
            if end == "it leaves":
                browser.leave()
            elif end == "it is too slow":
                browser.reads.clear()
                page.regions["head"] = "new"
            elif end == "the page is gone":
                page.there = False
            else:
                here.live.close()
            await here.clock.jump(TICK)
            await asyncio.wait_for(browser.task, 5)
            await settle()
            shown = weakref.ref(page)
            del page, browser
            assert shown() is None
        finally:
            gc.enable()
