"""A real WebSocket server that misbehaves on demand."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus

from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.datastructures import Headers
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response

Behaviour = Callable[[ServerConnection, list[dict[str, object]]], Awaitable[None]]


@dataclass(frozen=True)
class Refuse:
    """Answer the handshake with an HTTP status."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: str = ""


async def answer(connection: ServerConnection, frames: list[dict[str, object]]) -> None:
    """What an exporter does: answer those heartbeats that ask, until the worker goes."""
    async for frame in connection:
        message = json.loads(frame)
        frames.append(message)
        if message.get("ack"):
            now = time.time()
            ack = {"type": "ack", "seq": message["seq"], "received_at": now, "sent_at": now}
            await connection.send(json.dumps(ack))


async def ignore(connection: ServerConnection, frames: list[dict[str, object]]) -> None:
    """Read and never answer, like the far end of a path that is dead in one direction."""
    async for frame in connection:
        frames.append(json.loads(frame))


def close(code: int) -> Behaviour:
    """Accept and close at once."""

    async def behave(connection: ServerConnection, frames: list[dict[str, object]]) -> None:
        await connection.close(code)

    return behave


def say(*replies: str | bytes) -> Behaviour:
    """Send this without being asked, then behave."""

    async def behave(connection: ServerConnection, frames: list[dict[str, object]]) -> None:
        for reply in replies:
            await connection.send(reply)
        await answer(connection, frames)

    return behave


async def abort(connection: ServerConnection, frames: list[dict[str, object]]) -> None:
    """End the TCP connection without a word, as a crash does."""
    connection.transport.abort()


@dataclass
class FakeExporter:
    """Meets each handshake with the next step of the script, and with the last one ever after."""

    script: Sequence[Refuse | Behaviour]
    dialled: list[float] = field(default_factory=list)
    requests: list[Request] = field(default_factory=list)
    frames: list[list[dict[str, object]]] = field(default_factory=list)
    """For each accepted connection what arrived on it."""
    closed: list[int | None] = field(default_factory=list)
    """The close codes that were received."""
    url: str = ""

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[FakeExporter]:
        options = {"process_request": self._meet, "compression": None, "ping_interval": None}
        server: Server
        async with serve(self._accept, "127.0.0.1", 0, close_timeout=1.0, **options) as server:  # type: ignore[arg-type]
            port = next(iter(server.sockets)).getsockname()[1]
            self.url = f"ws://127.0.0.1:{port}/ws/w1"
            yield self

    def _meet(self, connection: ServerConnection, request: Request) -> Response | None:
        step = self.script[min(len(self.dialled), len(self.script) - 1)]
        self.dialled.append(asyncio.get_running_loop().time())
        self.requests.append(request)
        if isinstance(step, Refuse):
            body = step.body.encode()
            headers = Headers({**step.headers, "Content-Length": str(len(body))})
            return Response(step.status, HTTPStatus(step.status).phrase, headers, body)
        connection.step = step  # type: ignore[attr-defined]
        return None

    async def _accept(self, connection: ServerConnection) -> None:
        frames: list[dict[str, object]] = []
        self.frames.append(frames)
        with contextlib.suppress(ConnectionClosed):
            await connection.step(connection, frames)  # type: ignore[attr-defined]
        await connection.wait_closed()
        self.closed.append(connection.close_code)
