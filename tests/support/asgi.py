"""An application driven without a server: requests by httpx2, WebSockets by hand, all in one loop."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from typing import Any

import httpx2
from starlette.types import ASGIApp, Message

from exporter.direct import EXTENSION, Take


@contextlib.asynccontextmanager
async def client(app: ASGIApp) -> AsyncIterator[httpx2.AsyncClient]:
    """Requests to an application whose lifespan is somebody else's business."""
    transport = httpx2.ASGITransport(app=app)
    async with httpx2.AsyncClient(transport=transport, base_url="http://exporter") as requests:
        yield requests


class Refused(Exception):
    def __init__(self, status: int, headers: dict[str, str], body: Any) -> None:
        super().__init__(status, body)
        self.status = status
        self.headers = headers
        self.body = body


class Socket:
    """The worker's end of a WebSocket.

    Unlike a server it neither limits frames nor answers pings, and a closing handshake is over at once.
    `direct` offers to hand text frames over by a call, as the exporter's own server does. What else is given
    is the server's part of the scope.
    """

    def __init__(self, app: ASGIApp, path: str, *, direct: bool = False, **given: Any) -> None:
        self._take: Take | None = None
        self._to_app: asyncio.Queue[Message] = asyncio.Queue()
        self._from_app: asyncio.Queue[Message] = asyncio.Queue()
        scope: dict[str, Any] = {
            "type": "websocket",
            "asgi": {"version": "3.0", "spec_version": "2.4"},
            "scheme": "ws",
            "path": path,
            "raw_path": path.encode(),
            "query_string": b"",
            "root_path": "",
            "headers": [],
            "subprotocols": [],
            "client": ("127.0.0.1", 1),
            "server": ("exporter", 80),
            "state": {},
            "extensions": {"websocket.http.response": {}},
            **given,
        }
        if direct:
            scope["extensions"][EXTENSION] = {"subscribe": self._subscribe}
        self._task = asyncio.create_task(app(scope, self._to_app.get, self._sent))  # type: ignore[arg-type]  # plain maps will do

    async def _sent(self, message: Message) -> None:
        await self._from_app.put(message)
        if message["type"] == "websocket.close":
            await self._to_app.put({"type": "websocket.disconnect", "code": message.get("code", 1000)})
        elif message["type"] == "websocket.http.response.body":
            # As uvicorn does: once for the answer, once when the connection is gone.
            for _ in range(2):
                await self._to_app.put({"type": "websocket.disconnect", "code": 1006})

    async def open(self) -> Socket:
        """Raises Refused: with what the application answered instead of accepting."""
        await self._to_app.put({"type": "websocket.connect"})
        first = await self._next()
        if first["type"] == "websocket.accept":
            return self
        assert first["type"] == "websocket.http.response.start", first
        body = await self._next()
        await self._task
        headers = {name.decode(): value.decode() for name, value in first["headers"]}
        raise Refused(first["status"], headers, json.loads(body["body"]))

    async def send(self, frame: str | dict[str, Any]) -> None:
        text = frame if isinstance(frame, str) else json.dumps(frame)
        if self._take is None:
            await self._to_app.put({"type": "websocket.receive", "text": text})
        elif (answer := self._take(text)) is not None:
            await self._from_app.put({"type": "websocket.send", "text": answer})
        await self._settle()

    async def send_bytes(self, frame: bytes) -> None:
        await self._to_app.put({"type": "websocket.receive", "bytes": frame})
        await self._settle()

    async def receive(self) -> dict[str, Any]:
        message = await self._next()
        assert message["type"] == "websocket.send", message
        decoded: dict[str, Any] = json.loads(message["text"])
        return decoded

    async def closed_with(self) -> int:
        message = await self._next()
        assert message["type"] == "websocket.close", message
        await self._task
        code: int = message["code"]
        return code

    async def drop(self, code: int = 1006) -> None:
        """Be gone, as a connection that was cut."""
        await self._to_app.put({"type": "websocket.disconnect", "code": code})
        await self._task

    @property
    def ended(self) -> bool:
        return self._task.done()

    def nothing_sent(self) -> bool:
        return self._from_app.empty()

    def _subscribe(self, take: Take) -> None:
        self._take = take

    async def _next(self) -> Message:
        return await asyncio.wait_for(self._from_app.get(), 5.0)

    async def _settle(self) -> None:
        for _ in range(5):
            await asyncio.sleep(0)
