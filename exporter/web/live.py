"""Keeps open pages current: what changes in them goes to their viewers as server-sent events.

What somebody views is looked at once a round, for all who view the same. The rounds rest in between, longer
the longer they take: however many look on, workers are judged in time. A heartbeat costs nothing here; it is
found when its page is looked at.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from typing import TypeVar

from sse_starlette import EventSourceResponse, ServerSentEvent
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.types import Message, Receive, Scope, Send

from exporter.clock import Clock
from exporter.core.effects import Effect
from exporter.core.model import SECOND, Mono
from exporter.hang_up import HangUp, offered
from exporter.telemetry import Telemetry
from exporter.web.page import Look, Page

logger = logging.getLogger(__name__)

T = TypeVar("T")

MOST_VIEWERS = 100
"""Enough for every screen of a department. Each may need a page of its own in every round, and each takes
what has changed, at 10,000 workers some 100 KB, twice a second."""

ROUND = 0.5
"""Seconds between two rounds at least: nobody reads faster."""

TICK = 1.0
"""So often, in seconds, is looked for what no effect tells of: heartbeats, probes, actions."""

REST = 4
"""A round is followed by a rest so many times as long: pages take a fifth of the time at most."""

PATIENCE = 5.0
"""Seconds that a viewer may take for what was sent before it gets more."""

PING = 15
"""Seconds from one sign of life to the next: proxies end what is silent for a minute, and a browser that
hears none for longer asks again."""

COME_BACK = 2
"""Seconds after which a browser asks again when the connection is lost."""

ROOM_IN = 30
"""Seconds after which it is worth asking again for whoever found no room."""


def wanted(request: Request) -> bool:
    """Whether a request is for the events of a page rather than for the page: as EventSource asks."""
    first = request.headers.get("accept", "").split(",")[0]
    return first.split(";")[0].strip() == "text/event-stream"


class Live:
    """Looks at the pages that are open, and tells those who view them."""

    def __init__(self, clock: Clock, telemetry: Telemetry, *, patience: float = PATIENCE) -> None:
        self.patience = patience
        self.closed = False
        self.telemetry = telemetry
        self._clock = clock
        self._viewers: set[_Viewer] = set()
        self._open: dict[str, _OpenPage] = {}
        self._changed = False

    def on_effect(self, effect: Effect) -> None:
        """A sink of the monitor. That there was something is all that counts."""
        self._changed = True

    def stream(self, request: Request, page: Page) -> Response:
        """The events of a page; 503 when there are too many viewers, or the exporter is about to end.

        `changes` has `{"now": ..., "regions": {...}, "beats": {...}}`: the exporter's time in Unix seconds,
        and of a `Look` what differs from what this viewer was sent; all of it first, for the page may be an
        old one. `gone` says that what the page is about is not there any more, and is the last one. `ping`
        says that there is nothing to say.
        """
        query = request.url.query
        return _Stream(self, f"{request.url.path}?{query}" if query else request.url.path, page)

    async def run(self) -> None:
        """Round after round, until all streams are ended."""
        tick = self._clock.now().mono
        while not self.closed:
            began = self._clock.now().mono
            if self._open and (self._changed or began >= tick):
                self._changed = False
                tick = Mono(began + round(TICK * SECOND))
                await self._round()
            took = (self._clock.now().mono - began) / SECOND
            await self._clock.sleep(max(ROUND, REST * took))

    def close(self) -> None:
        """End all streams now, and begin no more: the exporter is about to end."""
        self.closed = True
        for viewer in self._viewers:
            viewer.let_go()
        self._wake()

    async def _round(self) -> None:
        for address, open_page in list(self._open.items()):
            if self.closed:
                return  # the last flush is waiting
            await self._look(address, open_page)
        self._wake()

    async def _look(self, address: str, open_page: _OpenPage) -> None:
        try:
            open_page.show(await open_page.page.look(), self._clock.now().wall)
        except Exception:
            logger.exception("%s cannot be looked at; whoever views it is to ask again", address)
            open_page.over = b""
        if open_page.over is not None:
            self._put_away(address, open_page)

    def _put_away(self, address: str, open_page: _OpenPage) -> None:
        if self._open.get(address) is open_page:
            del self._open[address]

    def _wake(self) -> None:
        for viewer in self._viewers:
            viewer.wake()

    def _join(self, viewer: _Viewer) -> bool:
        """Whether there is room."""
        if self.closed or len(self._viewers) >= MOST_VIEWERS:
            self.telemetry.page_viewers_refused.inc()
            return False
        self._viewers.add(viewer)
        self.telemetry.page_viewers.set(len(self._viewers))
        return True

    def _leave(self, viewer: _Viewer) -> None:
        self._viewers.discard(viewer)
        self.telemetry.page_viewers.set(len(self._viewers))

    async def _events(self, address: str, page: Page, viewer: _Viewer) -> AsyncGenerator[bytes, None]:
        """For one viewer, who takes them when it can: what it missed meanwhile comes as one."""
        known = self._open.get(address)
        open_page = known or self._open.setdefault(address, _OpenPage(page))
        open_page.viewers += 1
        seen = _BLANK
        try:
            yield _RETRY
            heard = self._clock.now().mono
            if known is None:
                await self._look(address, open_page)  # as whoever asks for a page is not kept waiting either
            while not (self.closed or viewer.left):
                if open_page.over is not None:
                    yield open_page.over
                    return
                news, seen = open_page.since(seen), open_page.edition
                if news is None and self._clock.now().mono - heard >= PING * SECOND:
                    news = _PING
                if news is None:
                    await viewer.next_round()
                else:
                    yield news
                    heard = self._clock.now().mono
        finally:
            open_page.viewers -= 1
            if not open_page.viewers:
                self._put_away(address, open_page)


class _Edition:
    """A look that was given out, and when, in Unix seconds."""

    def __init__(self, look: Look, at: float) -> None:
        self.look = look
        self.at = at


_BLANK = _Edition(Look({}, {}), 0.0)
_RETRY = ServerSentEvent(retry=COME_BACK * 1000).encode()
_PING = ServerSentEvent("{}", event="ping").encode()
_GONE = ServerSentEvent("{}", event="gone").encode()


class _OpenPage:
    """A page that somebody views, and what brings each of them up to date."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.viewers = 0
        self.edition = _BLANK
        self.over: bytes | None = None  # the last words, once there is nothing more to come
        self._news: dict[_Edition, bytes] = {}

    def show(self, look: Look | None, at: float) -> None:
        if look is None:
            self.over = _GONE
        elif look != self.edition.look:
            self.edition = _Edition(look, at)
            self._news = {}

    def since(self, seen: _Edition) -> bytes | None:
        """What has changed; written once for all who have seen the same. None: nothing."""
        if seen is self.edition:
            return None
        if seen not in self._news:
            self._news[seen] = _changes(seen.look, self.edition)
        return self._news[seen]


def _changes(before: Look, after: _Edition) -> bytes:
    news = {
        "now": after.at,
        "regions": _differing(before.regions, after.look.regions),
        "beats": _differing(before.beats, after.look.beats),
    }
    # One line, which needs no splitting: JSON escapes those within.
    return b"event: changes\ndata: " + json.dumps(news, separators=(",", ":")).encode() + b"\n\n"


def _differing(before: Mapping[str, T], after: Mapping[str, T]) -> Mapping[str, T]:
    return {name: value for name, value in after.items() if before.get(name) != value}


class _Viewer:
    """The other end of one stream."""

    def __init__(self) -> None:
        self.left = False
        self.hang_up: HangUp | None = None
        self._awake = asyncio.Event()
        self._taking = False

    async def watch(self, receive: Receive) -> None:
        """Wait for it to leave."""
        while (await receive())["type"] != "http.disconnect":
            pass
        self.left = True
        self.wake()

    def wake(self) -> None:
        self._awake.set()

    async def next_round(self) -> None:
        self._awake.clear()
        await self._awake.wait()

    async def take(self, send: Send, message: Message, patience: float) -> None:
        """TimeoutError: it does not."""
        self._taking = True
        try:
            async with asyncio.timeout(patience):
                await send(message)
        finally:
            self._taking = False

    def let_go(self) -> None:
        """Do not wait for it to take what is being sent."""
        if self._taking and self.hang_up is not None:
            self.hang_up()


class _Stream(EventSourceResponse):
    """Streams in a way of its own: without tasks that are cancelled in the end.

    Each of these leaves a cycle of exception and frames, and in the frames is all that was shown. The server
    collects no garbage that has lived for as long as a stream.
    """

    def __init__(self, live: Live, address: str, page: Page) -> None:
        self._live = live
        self._viewer = _Viewer()
        self._events = live._events(address, page, self._viewer)
        super().__init__(self._events, headers={"Vary": "Accept"})

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        live, viewer = self._live, self._viewer
        viewer.hang_up = offered(scope)
        if not live._join(viewer):
            refusal = PlainTextResponse(
                "too many look on; the page itself is there\n", 503, {"Retry-After": str(ROOM_IN)}
            )
            await refusal(scope, receive, send)
            return
        watch = asyncio.create_task(viewer.watch(receive))
        slow = False
        try:
            try:
                await self._send_all(send)
            except TimeoutError:
                slow = True
                live.telemetry.page_viewers_dropped.inc()
            finally:
                live._leave(viewer)
            if viewer.hang_up is not None and (slow or live.closed):
                viewer.hang_up()
                await watch  # a server that does not know yet complains that the answer is not complete
        finally:
            watch.cancel()

    async def _send_all(self, send: Send) -> None:
        viewer, patience = self._viewer, self._live.patience
        start = {"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers}
        await viewer.take(send, start, patience)
        async with aclosing(self._events) as events:
            async for event in events:
                body = {"type": "http.response.body", "body": event, "more_body": True}
                await viewer.take(send, body, patience)
        await viewer.take(send, {"type": "http.response.body", "body": b"", "more_body": False}, patience)
