"""Request metrics on routers, mounts, hosts, 404s, other methods, failures, streams and WebSockets."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi import APIRouter, BackgroundTasks, FastAPI, HTTPException, WebSocket, WebSocketDisconnect
from fastapi.responses import JSONResponse, StreamingResponse
from fastapi.staticfiles import StaticFiles
from fastapi.testclient import TestClient
from prometheus_client import REGISTRY
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import BaseRoute, Host, Match, Mount, Route, Router
from starlette.types import Message, Receive, Scope, Send

from worker_agent.instrumentation.middleware import RequestMetrics

REQUESTS = "starlette_requests_total"
RESPONSES = "starlette_responses_total"
TIMED = "starlette_requests_processing_time_seconds_count"
EXCEPTIONS = "starlette_exceptions_total"
IN_PROGRESS = "starlette_requests_in_progress"

Series = tuple[str, ...]


def totals() -> dict[Series, float]:
    """All series but for buckets and sums: a name, and the values of its labels in order of their names."""
    return {
        (sample.name, *(value for _, value in sorted(sample.labels.items()))): sample.value
        for family in REGISTRY.collect()
        for sample in family.samples
        if sample.name in (REQUESTS, RESPONSES, TIMED, EXCEPTIONS, IN_PROGRESS)
    }


class Counted:
    """By how much each series of the process-wide registry has moved since the last look."""

    def __init__(self) -> None:
        self._before = totals()

    def __call__(self) -> dict[Series, float]:
        before, self._before = self._before, totals()
        moved = {series: value - before.get(series, 0.0) for series, value in self._before.items()}
        return {series: by for series, by in moved.items() if by}


@pytest.fixture
def counted() -> Counted:
    return Counted()


def one(method: str, template: str, status: int) -> dict[Series, float]:
    """What a request moves that is over and went well; nothing is in progress afterwards."""
    return {
        (REQUESTS, method, template): 1.0,
        (RESPONSES, method, template, str(status)): 1.0,
        (TIMED, method, template): 1.0,
    }


def broken(method: str, template: str, status: int, exception: str) -> dict[Series, float]:
    """What a request moves that an exception has ended: it is not timed."""
    return {
        (REQUESTS, method, template): 1.0,
        (RESPONSES, method, template, str(status)): 1.0,
        (EXCEPTIONS, exception, method, template): 1.0,
    }


async def exchange(app: FastAPI, path: str, receive: Receive | None = None) -> AsyncIterator[Message]:
    """What the application sends in answer to a GET, message by message, as a server would take them."""
    sent: asyncio.Queue[Message | None] = asyncio.Queue(maxsize=1)

    async def still_there() -> Message:
        await asyncio.Event().wait()
        raise AssertionError("waited for ever")

    async def respond() -> None:
        try:
            await app(scope, receive or still_there, sent.put)
        finally:
            await sent.put(None)

    scope: Scope = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": "GET",
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "root_path": "",
        "headers": [],
        "client": ("127.0.0.1", 1),
        "server": ("worker", 80),
    }
    task = asyncio.create_task(respond())
    while (message := await sent.get()) is not None:
        yield message
    await task


def plain(request: Request) -> Response:
    return PlainTextResponse(request.method)


def applied(app: FastAPI) -> FastAPI:
    app.add_middleware(RequestMetrics)
    return app


class TestLabels:
    @pytest.fixture
    def client(self, tmp_path: Path) -> Iterator[TestClient]:
        app = applied(FastAPI())
        # Ahead of all others, which it must not hide from those with another host.
        app.router.routes.append(Host("{shop}.example", Router([Route("/orders/{n}/cancel", plain)])))

        @app.get("/orders/{order_id}")
        def order(order_id: str) -> str:
            return order_id

        @app.put("/orders/{order_id}")
        def change(order_id: str) -> str:
            return order_id

        @app.get("/files/{path:path}")
        def file(path: str) -> str:
            return path

        @app.get("/teapot")
        def teapot() -> None:
            raise HTTPException(418)

        # Routers within routers within routers, and one in two places.
        inner = APIRouter(prefix="/inner")
        inner.add_api_route("/{item}", lambda item: item, methods=["GET"])
        inner.add_api_route("/{item}", lambda item: item, methods=["DELETE"])
        inner.mount("/below", Starlette(routes=[Route("/{n:int}", plain)]))
        middle = APIRouter(prefix="/{tenant}")
        middle.include_router(inner)
        outer = APIRouter(prefix="/outer")
        outer.include_router(middle)
        app.include_router(outer, prefix="/v1")
        app.include_router(outer, prefix="/v2")

        sub = FastAPI()
        sub.add_api_route("/users/{user}", lambda user: user)
        sub.include_router(inner, prefix="/deep")
        app.mount("/sub/{version}", sub)

        (tmp_path / "style.css").write_text("body {}")
        app.mount("/static", StaticFiles(directory=tmp_path))
        app.router.routes.append(Route("/starlette", plain))
        app.router.routes.append(Route("/purge/{key}", plain, methods=["PURGE"]))
        app.add_api_route("/slash/", lambda: "slash")
        with TestClient(app, follow_redirects=False) as client:
            yield client

    @pytest.mark.parametrize(
        ("method", "path", "status", "labels"),
        [
            ("GET", "/orders/7", 200, ("GET", "/orders/{order_id}")),
            ("GET", "/orders/7?limit=3", 200, ("GET", "/orders/{order_id}")),
            ("PUT", "/orders/7", 200, ("PUT", "/orders/{order_id}")),
            ("GET", "/files/a/b/c", 200, ("GET", "/files/{path:path}")),
            ("GET", "/teapot", 418, ("GET", "/teapot")),
            # Included routers.
            ("GET", "/v1/outer/me/inner/7", 200, ("GET", "/v1/outer/{tenant}/inner/{item}")),
            ("DELETE", "/v2/outer/me/inner/7", 200, ("DELETE", "/v2/outer/{tenant}/inner/{item}")),
            ("GET", "/v1/outer/me/below/7", 200, ("GET", "/v1/outer/{tenant}/below/{n:int}")),
            ("GET", "/v1/outer/me/nothing", 404, ("GET", "unmatched")),
            # Mounted applications.
            ("GET", "/sub/3/users/7", 200, ("GET", "/sub/{version}/users/{user}")),
            ("GET", "/sub/3/deep/inner/7", 200, ("GET", "/sub/{version}/deep/inner/{item}")),
            ("GET", "/sub/3/nothing", 404, ("GET", "/sub/{version}/unmatched")),
            ("POST", "/sub/3/users/7", 405, ("POST", "/sub/{version}/users/{user}")),
            ("GET", "/static/style.css", 200, ("GET", "/static")),
            ("GET", "/static/nothing.css", 404, ("GET", "/static")),
            # What no route takes.
            ("GET", "/nothing/here", 404, ("GET", "unmatched")),
            ("GET", "/", 404, ("GET", "unmatched")),
            ("GET", "/slash", 307, ("GET", "unmatched")),
            ("GET", "/slash/", 200, ("GET", "/slash/")),
            # Other methods.
            ("POST", "/orders/7", 405, ("POST", "/orders/{order_id}")),
            ("PATCH", "/v1/outer/me/inner/7", 405, ("PATCH", "/v1/outer/{tenant}/inner/{item}")),
            ("HEAD", "/orders/7", 405, ("HEAD", "/orders/{order_id}")),
            ("HEAD", "/starlette", 200, ("HEAD", "/starlette")),
            ("OPTIONS", "/orders/7", 405, ("OPTIONS", "/orders/{order_id}")),
            ("BREW", "/orders/7", 405, ("OTHER", "/orders/{order_id}")),
            ("BREW", "/nothing", 404, ("OTHER", "unmatched")),
            ("PURGE", "/purge/7", 200, ("OTHER", "/purge/{key}")),
            # Routes of a host.
            ("GET", "http://one.example/orders/7/cancel", 200, ("GET", "/orders/{n}/cancel")),
            ("GET", "http://one.example/orders/7", 404, ("GET", "unmatched")),
        ],
    )
    def test_labels(
        self,
        client: TestClient,
        counted: Counted,
        method: str,
        path: str,
        status: int,
        labels: tuple[str, str],
    ) -> None:
        """A request is counted once, under its bounded method and the template of the route that takes it."""
        response = client.request(method, path)
        assert response.status_code == status
        assert counted() == one(*labels, status)
        if path in ("/starlette", "/purge/7"):
            assert response.text in (method, "")  # the application sees the method as it came

    def test_any_number_of_wrong_addresses(self, client: TestClient, counted: Counted) -> None:
        """A scanner that tries a hundred addresses and methods leaves no series behind but one."""
        for _ in range(100):
            client.request(f"X{uuid.uuid4().hex}", f"/{uuid.uuid4()}")
        assert counted() == {series: 100.0 for series in one("OTHER", "unmatched", 404)}

    def test_mounted_at_the_root(self, counted: Counted, tmp_path: Path) -> None:
        """An application mounted at the root is seen through to its own templates; files there are `/`."""
        inner = Starlette(routes=[Route("/deep/{n}", plain), Mount("/more", routes=[Route("/", plain)])])
        app = applied(FastAPI())
        app.mount("/", inner)
        with TestClient(app) as client:
            client.get("/deep/1")
            assert counted() == one("GET", "/deep/{n}", 200)
            client.get("/more/")
            assert counted() == one("GET", "/more/", 200)
            client.get("/nothing")
            assert counted() == one("GET", "unmatched", 404)
        app = applied(FastAPI())
        app.mount("/", StaticFiles(directory=tmp_path))
        with TestClient(app) as client:
            client.get("/nothing.css")
        assert counted() == one("GET", "/", 404)

    def test_behind_a_prefix(self, counted: Counted) -> None:
        """The prefix that a proxy adds, and that the server knows of, is no part of the template."""
        app = applied(FastAPI())
        router = APIRouter(prefix="/orders")
        router.add_api_route("/{order_id}", lambda order_id: order_id)
        app.include_router(router)
        with TestClient(app, root_path="/proxy") as client:
            assert client.get("/proxy/orders/7").status_code == 200
            assert counted() == one("GET", "/orders/{order_id}", 200)

    def test_routes_of_other_kinds(self, counted: Counted) -> None:
        """A route that says nothing of its path works, and counts as unmatched."""

        class Anything(BaseRoute):
            def matches(self, scope: Scope) -> tuple[Match, Scope]:
                return Match.FULL, {}

            async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
                await PlainTextResponse("taken")(scope, receive, send)

        app = applied(FastAPI(openapi_url=None))
        app.router.routes.append(Anything())
        with TestClient(app) as client:
            assert client.get("/x").text == "taken"
        assert counted() == one("GET", "unmatched", 200)


class TestFailures:
    def test_exception(self, counted: Counted) -> None:
        """An exception is counted once, by its type and with 500, and still reaches the server."""
        app = applied(FastAPI())
        router = APIRouter(prefix="/router")

        @router.get("/fails/{n}")
        def fails(n: int) -> None:
            raise LookupError("lost")

        app.include_router(router)
        with TestClient(app) as client, pytest.raises(LookupError, match="lost"):
            client.get("/router/fails/1")
        assert counted() == broken("GET", "/router/fails/{n}", 500, "LookupError")
        with TestClient(app, raise_server_exceptions=False) as client:
            assert client.get("/router/fails/1").status_code == 500
        assert counted() == broken("GET", "/router/fails/{n}", 500, "LookupError")

    def test_exception_with_an_answer(self, counted: Counted) -> None:
        """An exception that the application has an answer to is a response like any other."""
        app = applied(FastAPI())

        @app.exception_handler(LookupError)
        def lost(request: Request, error: LookupError) -> Response:
            return JSONResponse({"lost": True}, status_code=409)

        @app.get("/lost")
        def look() -> None:
            raise LookupError

        with TestClient(app) as client:
            assert client.get("/lost").status_code == 409
            assert client.get("/lost/further").status_code == 404
        assert counted() == {**one("GET", "/lost", 409), **one("GET", "unmatched", 404)}

    def test_mounted_application_that_fails(self, counted: Counted) -> None:
        """What a mounted application answers with 500 and then raises is counted once."""
        app, sub = applied(FastAPI()), FastAPI()

        @sub.get("/fails")
        def fails() -> None:
            raise LookupError

        app.mount("/sub", sub)
        with TestClient(app, raise_server_exceptions=False) as client:
            assert client.get("/sub/fails").status_code == 500
        assert counted() == {
            **one("GET", "/sub/fails", 500),
            (EXCEPTIONS, "LookupError", "GET", "/sub/fails"): 1.0,
        }

    async def test_cancelled(self, counted: Counted) -> None:
        """A request that is cancelled is over."""
        app = applied(FastAPI())

        @app.get("/waits")
        async def waits() -> None:
            await asyncio.Event().wait()

        async def get() -> None:
            async for _ in exchange(app, "/waits"):
                pass

        task = asyncio.create_task(get())
        while (REQUESTS, "GET", "/waits") not in (moved := counted()):
            await asyncio.sleep(0)
        assert moved == {(REQUESTS, "GET", "/waits"): 1.0, (IN_PROGRESS, "GET", "/waits"): 1.0}
        for other in asyncio.all_tasks() - {asyncio.current_task(), task}:
            other.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert counted() == {
            (RESPONSES, "GET", "/waits", "500"): 1.0,
            (EXCEPTIONS, "CancelledError", "GET", "/waits"): 1.0,
            (IN_PROGRESS, "GET", "/waits"): -1.0,
        }


class TestStreams:
    @pytest.fixture
    def app(self) -> FastAPI:
        app = applied(FastAPI())

        @app.get("/stream/{end}")
        async def stream(end: str) -> StreamingResponse:
            async def body() -> AsyncIterator[bytes]:
                yield b"one"
                yield b"two"
                if end == "broken":
                    raise LookupError
                if end == "endless":
                    await asyncio.Event().wait()

            return StreamingResponse(body(), status_code=206)

        return app

    async def test_in_progress_to_its_end(self, app: FastAPI, counted: Counted) -> None:
        """A stream is in progress while it lasts, and counted with its status at the end."""
        messages = exchange(app, "/stream/whole")
        await anext(messages)
        assert counted() == {
            (REQUESTS, "GET", "/stream/{end}"): 1.0,
            (IN_PROGRESS, "GET", "/stream/{end}"): 1.0,
        }
        rest = [(message["body"], message["more_body"]) async for message in messages]
        assert rest == [(b"one", True), (b"two", True), (b"", False)]
        assert counted() == {
            (RESPONSES, "GET", "/stream/{end}", "206"): 1.0,
            (TIMED, "GET", "/stream/{end}"): 1.0,
            (IN_PROGRESS, "GET", "/stream/{end}"): -1.0,
        }

    async def test_broken_in_the_middle(self, app: FastAPI, counted: Counted) -> None:
        """A stream that breaks is not passed off as complete, and its exception is counted once."""
        messages = exchange(app, "/stream/broken")
        assert [(await anext(messages)).get("body") for _ in range(3)] == [None, b"one", b"two"]
        with pytest.raises(LookupError):
            await anext(messages)
        assert counted() == broken("GET", "/stream/{end}", 206, "LookupError")

    async def test_client_that_leaves(self, app: FastAPI, counted: Counted) -> None:
        """A stream whose client is gone is over, and nothing has failed."""
        left = asyncio.Event()

        async def receive() -> Message:
            await left.wait()
            return {"type": "http.disconnect"}

        bodies = []
        async for message in exchange(app, "/stream/endless", receive):
            bodies.append(message.get("body"))
            if bodies[-1] == b"two":
                left.set()
        assert bodies == [None, b"one", b"two"]
        assert counted() == one("GET", "/stream/{end}", 206)


class TestBackgroundTasks:
    @pytest.mark.parametrize("fails", [False, True])
    async def test_after_the_response(self, counted: Counted, fails: bool) -> None:
        """A request is over when its response is complete; a task that fails later still is an exception."""
        app = applied(FastAPI())
        seen: list[dict[Series, float]] = []

        async def work() -> None:
            seen.append(counted())
            if fails:
                raise LookupError

        @app.get("/later")
        async def later(tasks: BackgroundTasks) -> str:
            tasks.add_task(work)
            return "later"

        messages: list[Any] = []
        try:
            async for message in exchange(app, "/later"):
                messages.append(message.get("body"))
        except LookupError:
            messages.append("failed")
        assert messages == [None, b'"later"', *(["failed"] if fails else [])]
        assert seen == [one("GET", "/later", 200)]
        assert counted() == ({(EXCEPTIONS, "LookupError", "GET", "/later"): 1.0} if fails else {})


class TestWebSockets:
    @pytest.fixture
    def client(self) -> Iterator[TestClient]:
        app = applied(FastAPI())
        router = APIRouter(prefix="/router")

        @router.websocket("/ws/{name}")
        async def ws(websocket: WebSocket, name: str) -> None:
            await websocket.accept(subprotocol="beat")
            await websocket.send_text(f"{name} {await websocket.receive_text()}")
            await websocket.close(4000)

        @app.websocket("/fails")
        async def fails(websocket: WebSocket) -> None:
            raise LookupError

        app.include_router(router)
        with TestClient(app) as client:
            yield client

    def test_pass(self, client: TestClient, counted: Counted) -> None:
        """They work as without metrics, and are not counted as requests."""
        with client.websocket_connect("/router/ws/me") as websocket:
            assert websocket.accepted_subprotocol == "beat"
            websocket.send_text("hello")
            assert websocket.receive_text() == "me hello"
            with pytest.raises(WebSocketDisconnect) as closed:
                websocket.receive_text()
        assert closed.value.code == 4000
        assert counted() == {}

    @pytest.mark.parametrize(("path", "error"), [("/nothing", WebSocketDisconnect), ("/fails", LookupError)])
    def test_refused_and_failed(
        self, client: TestClient, counted: Counted, path: str, error: type[Exception]
    ) -> None:
        """Neither what no route takes nor what fails is counted as a request."""
        with pytest.raises(error), client.websocket_connect(path):
            pass
        assert counted() == {}


def test_requests_at_the_same_time(counted: Counted) -> None:
    """Requests in progress are as many as there are, per route."""
    app = applied(FastAPI())
    seen: list[dict[Series, float]] = []

    @app.get("/gate/{n}")
    async def gate(n: int) -> int:
        if n == 3:
            seen.append(counted())
            opened.set()
        await opened.wait()
        return n

    async def get(n: int) -> None:
        async for _ in exchange(app, f"/gate/{n}"):
            pass

    async def all_three() -> None:
        await asyncio.gather(get(1), get(2), get(3))

    opened = asyncio.Event()
    asyncio.run(all_three())
    assert seen == [{(REQUESTS, "GET", "/gate/{n}"): 3.0, (IN_PROGRESS, "GET", "/gate/{n}"): 3.0}]
    assert counted() == {
        (RESPONSES, "GET", "/gate/{n}", "200"): 3.0,
        (TIMED, "GET", "/gate/{n}"): 3.0,
        (IN_PROGRESS, "GET", "/gate/{n}"): -3.0,
    }


def test_no_answer(counted: Counted) -> None:
    """An application that returns without an answer has the server say 500, and so it is counted."""

    async def silent(scope: Scope, receive: Receive, send: Send) -> None: ...

    app = applied(FastAPI())
    app.mount("/silent", silent)

    async def get() -> list[Message]:
        return [message async for message in exchange(app, "/silent/x")]

    assert asyncio.run(get()) == []
    assert counted() == one("GET", "/silent", 500)
