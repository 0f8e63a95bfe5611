"""Keeps open pages current: what changes in them goes to their viewers as server-sent events.

What somebody views is looked at once a round, for all who view the same. The rounds rest in between, longer
the longer they take: however many look on, workers are judged in time. A heartbeat costs nothing here; it is
found when its page is looked at.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Mapping
from typing import TypeVar

from sse_starlette import EventSourceResponse, ServerSentEvent
from sse_starlette.sse import AppStatus, SendTimeoutError
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

# It would have uvicorn's signals end the streams within half a second, where it hears of them, and all later
# ones of the process as well. `close` ends them at once.
AppStatus.disable_automatic_graceful_drain()  # type: ignore[no-untyped-call]  # it is unannotated


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
        self._next_round = asyncio.Event()

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
        """Round after round, for ever."""
        tick = self._clock.now().mono
        while True:
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
        self._next_round.set()
        self._next_round = asyncio.Event()

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

    async def _events(self, address: str, page: Page) -> AsyncIterator[bytes]:
        """For one viewer, who takes them when it can: what it missed meanwhile comes as one."""
        known = self._open.get(address)
        open_page = known or self._open.setdefault(address, _OpenPage(page))
        open_page.viewers += 1
        seen = _BLANK
        try:
            yield ServerSentEvent(retry=COME_BACK * 1000).encode()
            if known is None:
                await self._look(address, open_page)  # as whoever asks for a page is not kept waiting either
            while not self.closed:
                next_round = self._next_round
                if open_page.over is not None:
                    yield open_page.over
                    return
                news, seen = open_page.since(seen), open_page.edition
                if news is None:
                    await next_round.wait()
                else:
                    yield news
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

    def __init__(self, hang_up: HangUp | None) -> None:
        self.hang_up = hang_up
        self._waiting = 0

    def noting(self, send: Send) -> Send:
        async def note(message: Message) -> None:
            self._waiting += 1
            try:
                await send(message)
            finally:
                self._waiting -= 1

        return note

    def let_go(self) -> None:
        """Do not wait for it to take what is being sent."""
        if self._waiting and self.hang_up is not None:
            self.hang_up()


class _Stream(EventSourceResponse):
    def __init__(self, live: Live, address: str, page: Page) -> None:
        super().__init__(
            live._events(address, page),
            headers={"Vary": "Accept"},
            send_timeout=live.patience,
            ping=PING,
            ping_message_factory=lambda: ServerSentEvent("{}", event="ping"),
        )
        self._live = live

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        viewer = _Viewer(offered(scope))
        if not self._live._join(viewer):
            refusal = PlainTextResponse(
                "too many look on; the page itself is there\n", 503, {"Retry-After": str(ROOM_IN)}
            )
            await refusal(scope, receive, send)
            return
        slow = False
        try:
            await super().__call__(scope, receive, viewer.noting(send))
        except SendTimeoutError:
            slow = True
            self._live.telemetry.page_viewers_dropped.inc()
        finally:
            self._live._leave(viewer)
        if viewer.hang_up is not None and (slow or self._live.closed):
            viewer.hang_up()
            # A server that does not know yet complains that the answer is not complete.
            while (await receive())["type"] != "http.disconnect":
                pass
