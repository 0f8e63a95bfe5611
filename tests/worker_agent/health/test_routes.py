"""The health paths of a worker."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from worker_agent.health.routes import NOT_STARTED, add_health_routes
from worker_agent.statistics import Statistics


@dataclass
class Worker:
    """What the paths look at, set by hand."""

    statistics: Statistics = field(default_factory=Statistics)
    version: str | None = "1.2.3"
    uptime: float = 12.34567
    started: bool = True
    ready: bool = True


Get = Callable[[str], tuple[int, dict[str, object]]]


@pytest.fixture
def worker() -> Worker:
    return Worker()


@pytest.fixture
def get(worker: Worker) -> Get:
    """Status code and JSON body, after a look at the time stamp, which is different each time."""
    app = FastAPI()
    add_health_routes(app, worker)
    client = TestClient(app)

    def get(path: str) -> tuple[int, dict[str, object]]:
        response = client.get(path)
        body = response.json()
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", body.pop("timestamp"))
        return response.status_code, body

    return get


ABOUT = {"uptime": 12.346, "version": "1.2.3"}


def test_healthy(worker: Worker, get: Get) -> None:
    """Connected to its exporter a worker is healthy."""
    worker.statistics = Statistics(connected=True, worker_id="w1", heartbeats_sent=7)
    exporter = {"status": "healthy", "details": {"worker_id": "w1", "heartbeats_sent": 7}, "error": None}
    assert get("/health") == (200, {"status": "healthy", **ABOUT, "checks": {"exporter": exporter}})


@pytest.mark.parametrize(
    ("problem", "started", "error"),
    [
        (None, True, "not connected yet"),
        ("connection refused", True, "connection refused"),
        (None, False, NOT_STARTED),
    ],
)
def test_degraded(worker: Worker, get: Get, problem: str | None, started: bool, error: str) -> None:
    """With its exporter away a worker is degraded and still answers 200; the body says why."""
    worker.statistics.problem = problem
    worker.started = started
    exporter = {"status": "degraded", "details": {"worker_id": None, "heartbeats_sent": 0}, "error": error}
    assert get("/health") == (200, {"status": "degraded", **ABOUT, "checks": {"exporter": exporter}})


def test_live(worker: Worker, get: Get) -> None:
    """A process that answers is alive, whatever else is wrong."""
    worker.started = worker.ready = False
    assert get("/health/live") == (200, {"status": "alive", **ABOUT})


def test_ready(worker: Worker, get: Get) -> None:
    """Ready from the start of the agent until the process is asked to end."""
    assert get("/health/ready") == (200, {"status": "ready", **ABOUT})
    worker.ready = False
    assert get("/health/ready") == (503, {"status": "not_ready", **ABOUT, "error": "stopping"})
    worker.started = False
    assert get("/health/ready") == (503, {"status": "not_ready", **ABOUT, "error": NOT_STARTED})


def test_startup(worker: Worker, get: Get) -> None:
    """Started once the agent runs."""
    assert get("/health/startup") == (200, {"status": "started", **ABOUT})
    worker.started = False
    assert get("/health/startup") == (503, {"status": "starting", **ABOUT, "error": NOT_STARTED})


def test_head_and_schema(worker: Worker) -> None:
    """Load balancers may ask with HEAD; the application's own documentation stays its own."""
    app = FastAPI()
    add_health_routes(app, worker)
    client = TestClient(app)
    for path in ("/health", "/health/live", "/health/ready", "/health/startup"):
        assert client.head(path).status_code == 200
    assert app.openapi()["paths"] == {}
