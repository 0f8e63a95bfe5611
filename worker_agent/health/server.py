"""The health port: the health paths once more, served by the agent's thread.

The application's event loop is asked for its answers. When it does not turn, because something in it blocks,
the answer is 503 with the time for which it has not, where the application's own port would let the probe
run into its timeout.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import os
import socket
from collections.abc import Callable, Coroutine, Sequence
from functools import partial
from typing import Any

import uvicorn
from fastapi import FastAPI
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.server import ServerState

from worker_agent.health.answers import Answer, Answers, Endpoint, Requests
from worker_agent.health.routes import add_health_routes
from worker_agent.lag import LoopLag

STUCK_AFTER = 0.5
"""Seconds for which a loop may not turn; half of what Kubernetes' probes wait by default."""

CONNECTIONS = 64
"""How many there may be. One more takes the place of the one that has been without a request for longest;
where all have asked it is refused."""

PATIENCE = 5.0
"""Seconds that a client gets to send its request, and again to take its answer."""

_HIGHEST = 65535
_LOOK_EVERY = 0.1
_ENDING = STUCK_AFTER + 0.2

logger = logging.getLogger(__name__)


class CannotListen(OSError):
    """WORKER_HEALTH_PORT is in use, or not ours to use."""


def listen(port: int) -> socket.socket:
    """Listen on all interfaces, IPv6 and IPv4.

    Raises:
        CannotListen: the text names the setting and says why.
    """
    if port > _HIGHEST:  # the setting is not, but every process of an application adds its number
        raise CannotListen(f"WORKER_HEALTH_PORT={port}: there is no port above {_HIGHEST}")
    dual = socket.has_dualstack_ipv6()
    family = socket.AF_INET6 if dual else socket.AF_INET
    try:
        return socket.create_server(("", port), family=family, dualstack_ipv6=dual)
    except OSError as error:
        taken = error.errno == errno.EADDRINUSE
        why = "it is in use already" if taken else os.strerror(error.errno or 0).lower()
        raise CannotListen(f"WORKER_HEALTH_PORT={port}: cannot listen on this port: {why}") from None


async def serve(
    listener: socket.socket, answers: Answers, app_loop: asyncio.AbstractEventLoop, lag: LoopLag
) -> None:
    """Serve the health paths on this event loop until cancelled; then close the listener.

    Args:
        app_loop: the application's; the answers are computed there.
        lag: measures it, from this thread.
    """
    app = FastAPI(openapi_url=None)
    add_health_routes(app, _FromOutside(answers, app_loop, lag))
    config = uvicorn.Config(
        app,
        # Neither this nor anything else here touches what the application's own server has set up: its
        # loggers and the signals belong to the process.
        log_config=None,
        lifespan="off",
        ws="none",
        workers=1,
        proxy_headers=False,
        limit_concurrency=CONNECTIONS + 1,
    )
    config.load()
    state = ServerState()
    state.default_headers = [(b"connection", b"close")]
    with listener:
        server = await asyncio.get_running_loop().create_server(
            partial(_Connection, config, state), sock=listener
        )
        try:
            await asyncio.Event().wait()
        finally:
            server.close()
            await _end(state)


async def _end(state: ServerState) -> None:
    """Requests in flight are answered: either the application's loop turns or it is known to be stuck."""
    if state.tasks:
        await asyncio.wait(set(state.tasks), timeout=_ENDING)
    for connection in list(state.connections):
        connection.transport.abort()
    await asyncio.sleep(0)


class _FromOutside:
    """Has the application's event loop compute the answers, and answers in its place when it is stuck."""

    def __init__(self, answers: Answers, loop: asyncio.AbstractEventLoop, lag: LoopLag) -> None:
        self._answers = answers
        self._loop = loop
        self._lag = lag

    @property
    def requests(self) -> Requests:
        return self._answers.requests

    async def health(self, names: Sequence[str] | None = None) -> Answer:
        return await self._asked(
            partial(self._answers.health, names), partial(self._answers.stuck, Endpoint.HEALTH, names=names)
        )

    async def live(self) -> Answer:
        return await self._asked(self._answers.live, partial(self._answers.stuck, Endpoint.LIVE))

    async def ready(self) -> Answer:
        return await self._asked(self._answers.ready, partial(self._answers.stuck, Endpoint.READY))

    async def startup(self) -> Answer:
        return await self._answers.startup()

    async def _asked(
        self, ask: Callable[[], Coroutine[Any, Any, Answer]], stuck: Callable[[float | None], Answer]
    ) -> Answer:
        """What the loop answers, however long that takes while it turns."""
        self._lag.probe()
        if (waiting := self._lag.waiting()) >= STUCK_AFTER:
            return stuck(waiting)
        asking = ask()
        try:
            asked = asyncio.wrap_future(asyncio.run_coroutine_threadsafe(asking, self._loop))
        except RuntimeError:
            asking.close()
            return stuck(None)
        try:
            while not asked.done():
                if waiting >= STUCK_AFTER:
                    return stuck(waiting)
                await asyncio.wait((asked,), timeout=min(_LOOK_EVERY, STUCK_AFTER - waiting))
                self._lag.probe()
                waiting = self._lag.waiting()
            return stuck(None) if asked.cancelled() else asked.result()
        finally:
            asked.cancel()


class _Connection(H11Protocol):
    """One request, and not for ever: nobody keeps the port from those who ask after us."""

    def __init__(self, config: uvicorn.Config, state: ServerState) -> None:
        super().__init__(config, state, {})
        self.logger = logger
        self.access_log = False
        self._timer: asyncio.TimerHandle | None = None
        self._since = 0.0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._wait(self._hang_up_unless_asked)
        self._since = self.loop.time()
        open_ones = [
            other
            for other in self.connections
            if isinstance(other, _Connection) and not other.transport.is_closing()
        ]
        if len(open_ones) > CONNECTIONS:
            # This one is among those that have not asked yet, so that there is always one.
            silent = (other for other in open_ones if other.cycle is None)
            min(silent, key=lambda other: other._since).transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._wait(None)

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self._wait(self.transport.abort)

    def _hang_up_unless_asked(self) -> None:
        if self.cycle is None:
            self.transport.abort()

    def _wait(self, then: Callable[[], None] | None) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = None if then is None else self.loop.call_later(PATIENCE, then)
