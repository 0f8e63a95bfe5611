"""The health paths over HTTP."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import httpx2
import pytest
from fastapi import FastAPI

from tests.support.asgi import client
from tests.worker_agent.health.fake_worker import ABOUT, FakeWorker, timeless
from tests.worker_agent.health.scripted import Scripted
from worker_agent.health.answers import Answers, Endpoint
from worker_agent.health.registry import Health
from worker_agent.health.result import Result
from worker_agent.health.routes import add_health_routes

PATHS = ("/health", "/health/live", "/health/ready", "/health/startup")


class Bench:
    def __init__(self, requests: httpx2.AsyncClient, answers: Answers, worker: FakeWorker) -> None:
        self.get = requests.get
        self.head = requests.head
        self.post = requests.post
        self.answers = answers
        self.worker = worker

    def counted(self) -> dict[tuple[str, int], int]:
        counts = self.answers.requests.counts()
        return {(endpoint.value, code): count for (endpoint, code), count in counts.items() if count}


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    health = Health()
    health.add(Scripted(True, name="db"))
    health.add(Scripted(Result.degraded("half a pair: \ud800"), name="cache"))
    worker = FakeWorker(version="\ud800")
    answers = Answers(worker, health)
    app = FastAPI()
    add_health_routes(app, answers)
    await health.start()
    async with client(app) as requests:
        yield Bench(requests, answers, worker)
    await health.stop()


async def test_answers(bench: Bench) -> None:
    """Status, body and headers: JSON that nobody keeps."""
    bench.worker.version = "1.2.3"
    response = await bench.get("/health/live")
    assert response.status_code == 200
    assert timeless(response.json()) == {"status": "alive", **ABOUT}
    assert (response.headers["Content-Type"], response.headers["Cache-Control"]) == (
        "application/json",
        "no-store",
    )
    bench.worker.ready = False
    response = await bench.get("/health/ready")
    assert response.status_code == 503
    assert timeless(response.json()) == {"status": "not_ready", **ABOUT, "error": "stopping"}


async def test_what_is_no_unicode(bench: Bench) -> None:
    """Half a surrogate pair, which has no UTF-8, fails no answer."""
    response = await bench.get("/health")
    assert response.status_code == 200
    assert response.json()["version"] == "\ud800"
    assert response.json()["checks"]["cache"]["error"] == "half a pair: ?"


@pytest.mark.parametrize(
    ("query", "code", "checks"),
    [
        ("", 200, ["db", "cache", "exporter"]),
        ("?check=db", 200, ["db"]),
        ("?check=exporter&check=db&check=db", 200, ["exporter", "db"]),
        ("?verbose=1", 200, ["db", "cache", "exporter"]),
        ("?check=", 404, []),
        ("?check=DB", 404, []),
        ("?check=%ff%00", 404, []),
        ("?check=db&check=nobody", 404, []),
    ],
)
async def test_query(bench: Bench, query: str, code: int, checks: list[str]) -> None:
    """A query chooses checks by name; what is unknown is not found."""
    response = await bench.get(f"/health{query}")
    assert (response.status_code, list(response.json().get("checks", []))) == (code, checks)


async def test_head(bench: Bench) -> None:
    """Load balancers may ask with HEAD; nothing else is allowed."""
    bench.worker.version = None
    for path in PATHS:
        assert (await bench.head(path)).status_code == 200
    assert (await bench.post("/health")).status_code == 405


async def test_counted(bench: Bench) -> None:
    """Each answer is counted by path and status."""
    for path in (*PATHS, *PATHS, "/health?check=nobody"):
        await bench.get(path)
    bench.worker.started = False
    await bench.get("/health/startup")
    assert bench.counted() == {
        (Endpoint.HEALTH, 200): 2,
        (Endpoint.HEALTH, 404): 1,
        (Endpoint.LIVE, 200): 2,
        (Endpoint.READY, 200): 2,
        (Endpoint.STARTUP, 200): 2,
        (Endpoint.STARTUP, 503): 1,
    }


async def test_at_the_same_time(bench: Bench) -> None:
    """Many may ask at the same time."""
    responses = await asyncio.gather(*(bench.get("/health") for _ in range(20)))
    assert {response.status_code for response in responses} == {200}
    assert bench.counted() == {("health", 200): 20}


def test_schema() -> None:
    """The application's own documentation stays its own."""
    app = FastAPI()
    add_health_routes(app, Answers(FakeWorker(), Health()))
    assert app.openapi()["paths"] == {}
