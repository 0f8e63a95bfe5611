"""A real WebSocket server that misbehaves on demand."""

from __future__ import annotations

import asyncio
import contextlib
import json
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

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
            # Whoever has said goodbye and gone by now was heard all the same: it is read next.
            with contextlib.suppress(ConnectionClosed):
                await connection.send(json.dumps(ack))


async def ignore(connection: ServerConnection, frames: list[dict[str, object]]) -> None:
    """Read and never answer, like the far end of a path that is dead in one direction."""
    async for frame in connection:
        frames.append(json.loads(frame))


async def hang(connection: ServerConnection, frames: list[dict[str, object]]) -> None:
    """Read the first heartbeat and then nothing more, not even the goodbye, like a frozen process."""
    frames.append(json.loads(await connection.recv()))
    connection.transport.pause_reading()  # type: ignore[attr-defined]


def close(code: int, reason: str = "") -> Behaviour:
    """Accept and close at once."""

    async def behave(connection: ServerConnection, frames: list[dict[str, object]]) -> None:
        await connection.close(code, reason)

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


@dataclass
class Registry:
    """The HTTP side: takes everybody in and sends them to the fake exporter."""

    exporter: FakeExporter
    interval: float
    registrations: list[dict[str, object]] = field(default_factory=list)
    port: int = 0


@contextlib.contextmanager
def exporter_in_thread(script: Sequence[Refuse | Behaviour], *, interval: float = 0.2) -> Iterator[Registry]:
    """Both sides in threads of their own, for an agent in this process or in another one."""
    registry = Registry(FakeExporter(script), interval)
    started, stop = threading.Event(), asyncio.Event()
    loops: list[asyncio.AbstractEventLoop] = []

    async def main() -> None:
        loops.append(asyncio.get_running_loop())
        async with registry.exporter.running():
            started.set()
            await stop.wait()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            registry.registrations.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            answer = {
                "worker_id": "w1",
                "websocket_url": registry.exporter.url,
                "heartbeat_interval": registry.interval,
                "heartbeat_timeout": 10 * registry.interval,
                "protocol": 1,
            }
            body = json.dumps(answer).encode()
            self.send_response(201)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            pass

    sockets = threading.Thread(target=lambda: asyncio.run(main()))
    sockets.start()
    assert started.wait(5.0)
    httpd = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    registry.port = httpd.server_address[1]
    requests = threading.Thread(target=httpd.serve_forever, kwargs={"poll_interval": 0.01})
    requests.start()
    try:
        yield registry
    finally:
        httpd.shutdown()
        httpd.server_close()
        requests.join()
        loops[0].call_soon_threadsafe(stop.set)
        sockets.join()
