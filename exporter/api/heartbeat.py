"""The WebSocket on which a worker's heartbeats arrive.

A plain ASGI application and not a FastAPI route: this is the one path that runs thousands of times a
second, and what a framework does per message would be most of its cost. Per frame it receives,
decodes, hands the event to the monitor, and answers if it was asked.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging

from starlette.responses import JSONResponse
from starlette.types import Receive, Scope, Send
from starlette.websockets import WebSocket

from exporter.api.refusals import Readiness
from exporter.core.effects import Cause, Discarded, Disconnect, Effect, Unusable
from exporter.core.events import Beat, Close, Connect, Goodbye
from exporter.core.fleet import UnknownWorker
from exporter.core.model import Connection, Now, WorkerId
from exporter.direct import EXTENSION
from exporter.monitor import Monitor
from exporter.telemetry import Closed, Refused, Rejected, Telemetry
from worker_agent import protocol

logger = logging.getLogger(__name__)

PATIENCE = 10
"""So many frames in a row that are no messages, and the connection is closed."""

_LINGER = 1.0
"""Seconds to wait for a refused connection to be gone."""

_CLOSE_CODES = {
    Closed.REPLACED: protocol.Close.REPLACED,
    Closed.FORGOTTEN: protocol.Close.FORGOTTEN,
    Closed.ABUSE: protocol.Close.ABUSE,
    Closed.SIZE: protocol.Close.TOO_BIG,
    Closed.GOODBYE: protocol.Close.NORMAL,
}
_CAUSES = {Cause.REPLACED: Closed.REPLACED, Cause.FORGOTTEN: Closed.FORGOTTEN}
_UNUSABLE = {
    Unusable.STALE_CONNECTION: Rejected.STALE_CONNECTION,
    Unusable.LATENCY: Rejected.LATENCY,
}


class Heartbeats:
    """The endpoint `/ws/{worker_id}`, and the sink that closes its sockets when the fleet says so."""

    def __init__(self, monitor: Monitor, telemetry: Telemetry, readiness: Readiness) -> None:
        self._monitor = monitor
        self._telemetry = telemetry
        self._readiness = readiness
        self._numbers = itertools.count(1)
        self._open: dict[Connection, _Socket] = {}
        # Replaced sockets linger until their closing handshake is over, hence somewhat more than workers.
        self._limit = monitor.max_workers + monitor.max_workers // 10 + 16
        telemetry.connections.set_function(lambda: len(self._open))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await receive()  # websocket.connect
        worker_id = _addressed(scope)
        refusal = self._refusal(worker_id)
        if refusal is not None:
            await self._refuse(refusal, scope, receive, send)
            return
        await send({"type": "websocket.accept"})
        connection = Connection(next(self._numbers))
        client = _client(scope)
        logger.info(
            "%s connected from %s",
            worker_id,
            client,
            extra={"worker_id": worker_id, "connection": connection, "client": client},
        )
        socket = _Socket(self, worker_id, connection, receive, send)
        try:
            self._monitor.receive(Connect(worker_id, connection))
        except UnknownWorker:  # forgotten while the handshake was under way
            await socket.close(Closed.FORGOTTEN)
            return
        self._open[connection] = socket
        self._telemetry.connections_opened.inc()
        direct = scope.get("extensions", {}).get(EXTENSION)
        if direct is not None:
            direct["subscribe"](socket.take)
        try:
            closed = await socket.serve()
        finally:
            del self._open[connection]
        self._telemetry.connections_closed[closed].inc()
        logger.debug(
            "connection of %s ended: %s",
            worker_id,
            closed,
            extra={"worker_id": worker_id, "connection": connection, "reason": closed.value},
        )

    def on_effect(self, effect: Effect) -> None:
        """Sink: close what the fleet disconnects, count what it discards."""
        if isinstance(effect, Disconnect):
            socket = self._open.get(effect.connection)
            if socket is not None:
                socket.close_soon(_CAUSES[effect.cause])
        elif isinstance(effect, Discarded):
            self._telemetry.messages_rejected[_UNUSABLE[effect.why]].inc()

    def _refusal(self, worker_id: WorkerId) -> Refused | None:
        if self._readiness.loading:
            return Refused.LOADING
        if worker_id not in self._monitor.fleet:
            return Refused.UNKNOWN
        if len(self._open) >= self._limit:
            return Refused.FULL
        return None

    async def _refuse(self, why: Refused, scope: Scope, receive: Receive, send: Send) -> None:
        self._telemetry.connections_refused[why].inc()
        client = _client(scope)
        logger.debug(
            "connection from %s refused: %s", client, why, extra={"client": client, "reason": why.value}
        )
        await WebSocket(scope, receive, send).send_denial_response(_REFUSALS[why])
        # Uvicorn logs an error about an application that is done before the connection is. It tells of the
        # end twice: when the answer was given, and when the connection is gone.
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_LINGER):
                await receive()
                await receive()


def _client(scope: Scope) -> str:
    """The address at the other end, which may be a proxy's; a server on a Unix socket knows none."""
    host, port = scope.get("client") or ("unknown", None)
    if port is None:
        return host
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _addressed(scope: Scope) -> WorkerId:
    """The worker that a path names; another path names one that nobody registered."""
    path: str = scope["path"]
    return WorkerId(path.removeprefix(scope.get("root_path", "")).removeprefix("/ws/"))


_REFUSALS = {
    Refused.UNKNOWN: JSONResponse({"detail": "unknown worker: register first"}, 404),
    Refused.LOADING: JSONResponse({"detail": "the registry is loading"}, 503, headers={"Retry-After": "1"}),
    Refused.FULL: JSONResponse({"detail": "too many connections"}, 503, headers={"Retry-After": "15"}),
}


class _Socket:
    """One accepted connection, from its first frame to its end."""

    def __init__(
        self,
        heartbeats: Heartbeats,
        worker_id: WorkerId,
        connection: Connection,
        receive: Receive,
        send: Send,
    ) -> None:
        self._monitor = heartbeats._monitor
        self._rejected = heartbeats._telemetry.messages_rejected
        self._readiness = heartbeats._readiness
        self._worker_id = worker_id
        self._connection = connection
        self._receive = receive
        self._send = send
        self._ended: Closed | None = None
        self._closing: asyncio.Task[None] | None = None
        self._flaws = 0  # frames in a row that were no messages
        # Asked once: the answer takes seven times as long as a look at it, for each heartbeat.
        self._tells_of_heartbeats = logger.isEnabledFor(logging.DEBUG)

    async def serve(self) -> Closed:
        """Receive until the connection ends; returns why it did."""
        while True:
            message = await self._receive()
            if message["type"] == "websocket.disconnect":
                return self._disconnected(message.get("code"))
            answer = self.take(message.get("text"))
            if answer is not None:
                with contextlib.suppress(OSError):  # the peer is gone; what is received next says so
                    await self._send({"type": "websocket.send", "text": answer})

    def take(self, frame: str | None) -> str | None:
        """Take in one frame, None being one that is not text; returns what to send in answer, if anything."""
        try:
            told = protocol.decode_from_worker(_checked(frame))
        except protocol.ProtocolError as error:
            self._reject(error.flaw)
            return None
        self._flaws = 0
        if type(told) is protocol.Heartbeat:
            return self._heartbeat(told)
        if type(told) is protocol.Goodbye and self._ended is None:
            self._tell(Goodbye(self._worker_id, self._connection, told.leave))
            # The worker will do so too, unless it is stuck in its own end.
            self.close_soon(Closed.GOODBYE)
        return None

    def _heartbeat(self, beat: protocol.Heartbeat) -> str | None:
        if self._ended is not None and self._ended is not Closed.REPLACED:
            return None
        if beat.dropped:
            self._rejected[Rejected.FIELD].inc(len(beat.dropped))
        if self._tells_of_heartbeats:
            self._tell_of(beat)
        now = self._tell(Beat(self._worker_id, self._connection, beat))
        if beat.ack and now is not None and self._ended is None:
            return protocol.encode_ack(protocol.Ack(beat.seq, now.wall, self._monitor.now().wall))
        return None

    def _tell_of(self, beat: protocol.Heartbeat) -> None:
        fields: dict[str, object] = {"worker_id": self._worker_id, "connection": self._connection}
        if beat.seq is not None:
            fields["seq"] = beat.seq
        if beat.dropped:
            fields["dropped"] = ",".join(beat.dropped)
        logger.debug("heartbeat of %s", self._worker_id, extra=fields)

    def _reject(self, flaw: protocol.Flaw) -> None:
        self._rejected[Rejected(flaw.value)].inc()
        self._flaws += 1
        if flaw is protocol.Flaw.SIZE:
            self.close_soon(Closed.SIZE)
        elif self._flaws == PATIENCE:
            self.close_soon(Closed.ABUSE)

    def close_soon(self, why: Closed) -> None:
        """Close from outside of `serve`, which ends when the closing handshake does."""
        if self._ended is None:
            self._ended = why
            self._closing = asyncio.get_running_loop().create_task(self._send_close(why))

    async def close(self, why: Closed) -> None:
        if self._ended is None:
            self._ended = why
            await self._send_close(why)

    async def _send_close(self, why: Closed) -> None:
        try:
            await self._send({"type": "websocket.close", "code": _CLOSE_CODES[why], "reason": why.value})
        except Exception as error:  # servers differ in what they raise when the peer was faster
            logger.debug(
                "closing the connection of %s failed: %r",
                self._worker_id,
                error,
                extra={"worker_id": self._worker_id, "connection": self._connection},
            )

    def _disconnected(self, code: int | None) -> Closed:
        # What the server itself refuses does not get here but for its code.
        if code == protocol.Close.TOO_BIG and self._ended is None:
            self._rejected[Rejected.SIZE].inc()
            self._ended = Closed.SIZE
        elif code == protocol.Close.NOT_UTF8 and self._ended is None:
            self._rejected[Rejected.JSON].inc()
        if self._ended is not None and self._ended not in (Closed.ABUSE, Closed.SIZE):
            return self._ended
        if self._readiness.stopping:
            return Closed.SHUTDOWN
        self._tell(Close(self._worker_id, self._connection))
        return self._ended or Closed.LOST

    def _tell(self, event: Beat | Goodbye | Close) -> Now | None:
        try:
            return self._monitor.receive(event)
        except UnknownWorker:  # forgotten; the close that follows is on its way
            return None


def _checked(frame: str | None) -> str:
    if frame is None:
        raise protocol.ProtocolError(protocol.Flaw.JSON, "a frame must be text")
    # UTF-8 has up to four bytes a character; only what might be too long is worth encoding.
    if len(frame) > protocol.MAX_FRAME // 4 and len(frame.encode()) > protocol.MAX_FRAME:
        raise protocol.ProtocolError(
            protocol.Flaw.SIZE, f"a frame must be at most {protocol.MAX_FRAME} bytes"
        )
    return frame
