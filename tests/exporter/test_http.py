"""Hanging up, over a real socket whose other end does not read."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Callable

import pytest
import uvicorn
import uvloop
from starlette.types import Receive, Scope, Send
from uvicorn.server import ServerState

from exporter.hang_up import EXTENSION, HangUp, offered
from exporter.http import AbruptHTTP

MUCH = b"x" * 16 * 1024 * 1024
"""More than the system takes for somebody who does not read."""


class Application:
    """Answers with more than is read, and then waits until the client is gone."""

    def __init__(self) -> None:
        self.hang_up: HangUp | None = None
        self.sent = asyncio.Event()
        self.ended = asyncio.Event()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.hang_up = offered(scope)
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": MUCH, "more_body": True})
        self.sent.set()
        await send({"type": "http.response.body", "body": b"", "more_body": False})
        while (await receive())["type"] != "http.disconnect":
            pass
        self.ended.set()


def client(port: int) -> socket.socket:
    connection = socket.create_connection(("127.0.0.1", port), timeout=5.0)
    connection.sendall(b"GET / HTTP/1.1\r\nHost: exporter\r\n\r\n")
    return connection


def read_to_the_end(connection: socket.socket) -> int:
    """How many bytes had arrived."""
    size = 0
    with contextlib.suppress(ConnectionResetError):
        while data := connection.recv(1 << 20):
            size += len(data)
    return size


async def hang_up() -> None:
    app, state = Application(), ServerState()
    config = uvicorn.Config(app, http=AbruptHTTP, log_config=None)
    config.load()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: AbruptHTTP(config, state, {}), "127.0.0.1", 0)
    with client(server.sockets[0].getsockname()[1]) as connection:
        await app.sent.wait()
        assert (len(state.connections), app.ended.is_set()) == (1, False)
        assert app.hang_up is not None
        app.hang_up()
        app.hang_up()
        await asyncio.wait_for(app.ended.wait(), 5.0)
        assert len(state.connections) == 0
        assert read_to_the_end(connection) < len(MUCH)
    server.close()
    await server.wait_closed()


@pytest.mark.parametrize("loop", [asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def test_hangs_up_on_who_does_not_read(loop: Callable[[], asyncio.AbstractEventLoop]) -> None:
    """The connection is gone at once, and so is whoever waited to send; what was under way is lost."""
    with asyncio.Runner(loop_factory=loop) as runner:
        runner.run(hang_up())


def test_a_server_that_cannot() -> None:
    """Another server's scope has no such extension, or none at all."""
    assert offered({"type": "http"}) is None
    assert offered({"type": "http", "extensions": {"http.response.push": {}}}) is None
    assert offered({"type": "http", "extensions": {EXTENSION: print}}) is print
