"""An application with something of everything that is measured; `uvicorn tests.support.kiosk:app`."""

from __future__ import annotations

import asyncio

from fastapi import FastAPI, Request

from worker_agent import Agent, measured
from worker_agent.health import Check


class Till(Check):
    """Is always well."""

    async def run(self) -> bool:
        return True


agent = Agent()
agent.health.add(Till("till"))
app = FastAPI(lifespan=agent.lifespan)
agent.instrument(app)


@measured(name="bake", buckets=(0.001, 0.01, 0.1))
async def bake() -> str:
    await asyncio.sleep(0.002)
    return "bread"


@measured(name="burn")
def burn() -> str:
    raise ValueError("burnt")


@app.get("/bread/{kind}")
async def bread(kind: str) -> str:
    return f"{kind} {await bake()}"


@app.get("/toast")
async def toast() -> str:
    return burn()


@app.get("/queue")
async def queue(request: Request) -> None:
    """Is in progress for as long as somebody waits."""
    while not await request.is_disconnected():
        await asyncio.sleep(0.1)
