"""Request metrics on routers, mounts, 404s, other methods, failures, streams and WebSockets."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi import APIRouter, FastAPI, WebSocket
from fastapi.responses import StreamingResponse
from fastapi.staticfiles import StaticFiles
from fastapi.testclient import TestClient
from prometheus_client import REGISTRY
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Host, Mount, Route, Router

from worker_agent.instrumentation.middleware import RequestMetrics

FAMILIES = {
    "starlette_requests",
    "starlette_responses",
    "starlette_requests_processing_time_seconds",
    "starlette_exceptions",
    "starlette_requests_in_progress",
}

Sample = tuple[str, tuple[tuple[str, str], ...], float]


def totals() -> set[Sample]:
    return {
        (sample.name, tuple(sorted(sample.labels.items())), sample.value)
        for family in REGISTRY.collect()
        if family.name in FAMILIES
        for sample in family.samples
        if sample.name.endswith("_total")
    }


class Counted:
    """The series that have moved since the last look; the library counts in the process-wide registry."""

    def __init__(self) -> None:
        self._before = totals()

    def __call__(self) -> set[tuple[str, ...]]:
        now = totals()
        moved = {(name, *(value for _, value in labels)) for name, labels, _ in now - self._before}
        self._before = now
        return moved


def plain(request: Request) -> Response:
    return PlainTextResponse(request.method)


@pytest.fixture
def app(tmp_path: Path) -> FastAPI:
    app = FastAPI()
    app.add_middleware(RequestMetrics)

    @app.get("/orders/{order_id}")
    def order(order_id: str) -> str:
        return order_id

    @app.get("/fails")
    def fails() -> None:
        raise LookupError("lost")

    @app.get("/stream")
    def stream() -> StreamingResponse:
        return StreamingResponse(iter([b"a", b"b"]))

    @app.websocket("/ws")
    async def ws(websocket: WebSocket) -> None:
        await websocket.accept()
        await websocket.send_text(await websocket.receive_text())
        await websocket.close()

    inner = APIRouter(prefix="/inner")

    @inner.get("/{item}")
    def item(item: int) -> int:
        return item

    outer = APIRouter(prefix="/outer")
    outer.include_router(inner)
    app.include_router(outer, prefix="/api")

    sub = FastAPI()

    @sub.get("/users/{user}")
    def user(user: str) -> str:
        return user

    app.mount("/sub", sub)
    (tmp_path / "style.css").write_text("body {}")
    app.mount("/static", StaticFiles(directory=tmp_path))
    app.router.routes.append(Route("/purge/{key}", plain, methods=["PURGE"]))
    app.router.routes.append(Host("other.example", Router([Route("/x", plain)])))
    return app


@pytest.fixture
def client(app: FastAPI) -> Iterator[TestClient]:
    with TestClient(app, raise_server_exceptions=False) as client:
        yield client


@pytest.mark.parametrize(
    ("method", "path", "status", "labels"),
    [
        ("GET", "/orders/7", 200, ("GET", "/orders/{order_id}")),
        ("GET", "/api/outer/inner/7", 200, ("GET", "/api/outer/inner/{item}")),
        ("GET", "/api/outer/inner/x", 422, ("GET", "/api/outer/inner/{item}")),
        ("GET", "/sub/users/7", 200, ("GET", "/sub/users/{user}")),
        ("GET", "/sub/nothing", 404, ("GET", "/sub/unmatched")),
        ("GET", "/static/style.css", 200, ("GET", "/static")),
        ("GET", "/static/nothing.css", 404, ("GET", "/static")),
        ("GET", "/stream", 200, ("GET", "/stream")),
        ("GET", "/nothing/here", 404, ("GET", "unmatched")),
        ("POST", "/orders/7", 405, ("POST", "/orders/{order_id}")),
        ("POST", "/api/outer/inner/7", 405, ("POST", "/api/outer/inner/{item}")),
        ("BREW", "/orders/7", 405, ("OTHER", "/orders/{order_id}")),
        ("BREW", "/nothing", 404, ("OTHER", "unmatched")),
        ("PURGE", "/purge/7", 200, ("OTHER", "/purge/{key}")),
    ],
)
def test_labels(client: TestClient, method: str, path: str, status: int, labels: tuple[str, str]) -> None:
    """A request is counted under its bounded method and the template of the route that takes it."""
    counted = Counted()
    response = client.request(method, path)
    assert response.status_code == status
    assert counted() == {
        ("starlette_requests_total", *labels),
        ("starlette_responses_total", *labels, str(status)),
    }
    if method == "PURGE":
        assert response.text == "PURGE"


def test_exceptions(client: TestClient) -> None:
    """An exception is counted by its type, answered with 500, and still reaches the server."""
    counted = Counted()
    assert client.get("/fails").status_code == 500
    assert counted() == {
        ("starlette_requests_total", "GET", "/fails"),
        ("starlette_responses_total", "GET", "/fails", "500"),
        ("starlette_exceptions_total", "LookupError", "GET", "/fails"),
    }


def test_any_number_of_wrong_addresses(client: TestClient) -> None:
    """A scanner that tries a hundred addresses leaves no series behind but one."""
    client.get("/scan")
    counted = Counted()
    for _ in range(100):
        client.get(f"/{uuid.uuid4()}")
    assert counted() == {
        ("starlette_requests_total", "GET", "unmatched"),
        ("starlette_responses_total", "GET", "unmatched", "404"),
    }


def test_host_routes(client: TestClient) -> None:
    """A route by host has no path of its own: what it takes counts as unmatched, and works."""
    counted = Counted()
    assert client.get("/x", headers={"Host": "other.example"}).status_code == 200
    assert ("starlette_requests_total", "GET", "unmatched") in counted()


def test_websockets(client: TestClient) -> None:
    """WebSockets pass and are not counted as requests."""
    counted = Counted()
    with client.websocket_connect("/ws") as websocket:
        websocket.send_text("hello")
        assert websocket.receive_text() == "hello"
    assert counted() == set()


def test_nothing_in_progress_afterwards(client: TestClient) -> None:
    """Requests in progress return to zero, also after failures."""
    for path in ("/orders/1", "/fails", "/nothing"):
        client.get(path)
    gauge = {
        sample.value
        for family in REGISTRY.collect()
        if family.name == "starlette_requests_in_progress"
        for sample in family.samples
    }
    assert gauge == {0.0}


def test_mounted_at_the_root() -> None:
    """An application mounted at the root is seen through to its own templates."""
    inner = Starlette(routes=[Route("/deep/{n}", plain), Mount("/more", routes=[Route("/", plain)])])
    app = FastAPI()
    app.add_middleware(RequestMetrics)
    app.mount("/", inner)
    counted = Counted()
    with TestClient(app) as client:
        assert client.get("/deep/1").status_code == 200
        assert client.get("/more/").status_code == 200
    assert {series[2] for series in counted()} == {"/deep/{n}", "/more/"}
