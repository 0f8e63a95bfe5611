"""Uvicorn's HTTP, with a way to hang up (exporter/hang_up.py)."""

from __future__ import annotations

import asyncio

from starlette.types import Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

from exporter.hang_up import EXTENSION


class AbruptHTTP(H11Protocol):
    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn's
        super().connection_made(transport)
        app = self.app

        async def offering(scope: Scope, receive: Receive, send: Send) -> None:
            extensions = {**scope.get("extensions", {}), EXTENSION: transport.abort}
            await app({**scope, "extensions": extensions}, receive, send)

        self.app = offering
