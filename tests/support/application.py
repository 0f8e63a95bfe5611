"""An exporter in memory: the whole application, on a fake clock and a store that fails on demand."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import httpx2
from fastapi import FastAPI

from exporter.app import create_app
from exporter.settings import Settings
from tests.support.asgi import Socket, client
from tests.support.clock import FakeClock
from tests.support.stores import MemoryStore


class Exporter:
    """One running application and the requests to it."""

    def __init__(self, app: FastAPI, http: httpx2.AsyncClient, clock: FakeClock, store: MemoryStore) -> None:
        self.app = app
        self.http = http
        self.clock = clock
        self.store = store
        self.direct = False

    async def register(self, **fields: Any) -> httpx2.Response:
        """Register a worker; time goes on, because an answer waits for the store."""
        given = {"name": "Worker 1", "host": "10.0.0.1", "port": 8001, "boot_id": "boot-1", **fields}
        return await self.during(self.http.post("/register", json=given))

    async def during(self, request: Any) -> httpx2.Response:
        """The answer to a request that needs time to pass."""
        task = asyncio.ensure_future(request)
        for _ in range(100):
            if task.done():
                break
            await self.clock.jump(0.05)
        answer: httpx2.Response = await task
        return answer

    async def connect(self, worker_id: str, **scope: Any) -> Socket:
        return await Socket(self.app, f"/ws/{worker_id}", direct=self.direct, **scope).open()

    def stop_judging(self) -> None:
        """What a signal to end does first."""
        self.app.state.exporter.stop_judging()

    async def worker(self, worker_id: str) -> dict[str, Any]:
        answer: dict[str, Any] = (await self.http.get(f"/workers/{worker_id}")).json()
        return answer

    async def metric(self, name: str) -> list[str]:
        """The lines of /metrics that begin so."""
        text = (await self.http.get("/metrics")).text
        return [line for line in text.splitlines() if line.startswith(name)]


@contextlib.asynccontextmanager
async def running(
    store: MemoryStore | None = None, *, wait: bool = True, **settings: Any
) -> AsyncIterator[Exporter]:
    """An exporter until the end of the block; with `wait`, its registry is loaded."""
    clock, store = FakeClock(), store or MemoryStore()
    app = create_app(Settings(_env_file=None, **settings), clock=clock, store=store)
    async with contextlib.AsyncExitStack() as stack:
        lifespan = asyncio.create_task(stack.enter_async_context(app.router.lifespan_context(app)))
        while not lifespan.done():
            await clock.jump(0.1)
        await lifespan
        http = await stack.enter_async_context(client(app))
        exporter = Exporter(app, http, clock, store)
        for _ in range(20):
            if not wait or (await http.get("/health/startup")).status_code == 200:
                break
            await clock.jump(0.1)
        yield exporter
        ending = asyncio.create_task(stack.aclose())
        while not ending.done():
            await clock.jump(0.1)
        await ending
