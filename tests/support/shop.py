"""An application as a team would write one; `uvicorn tests.support.shop:app`. It notes what happens in
the file that EVENTS names, so that a test can tell in which order."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from fastapi import FastAPI

from worker_agent import Agent
from worker_agent.health import Check

EVENTS = Path(os.environ["EVENTS"])

agent = Agent()


def note(event: str) -> None:
    with EVENTS.open("a") as events:
        events.write(f"{event}\n")


class Pool(Check):
    """Stands for a check that holds connections."""

    async def run(self) -> bool:
        return True

    async def close(self) -> None:
        note("the check's pool is closed")


agent.health.add(Pool("pool"))


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    yield
    note("the application's own pool is closed")


app = FastAPI(lifespan=agent.lifespan_around(lifespan))
agent.instrument(app)


@app.get("/order")
async def order() -> str:
    await asyncio.sleep(0.3)
    note("an order is answered")
    return "taken"


@app.get("/block")
async def block(seconds: float) -> str:
    """What nobody should write, and everybody does once."""
    time.sleep(seconds)
    return "blocked"
