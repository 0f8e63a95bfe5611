"""The health port."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import signal
import socket
import threading
import time
from collections.abc import AsyncIterator, Coroutine, Iterator
from typing import Any, TypeVar

import pytest

from tests.support.processes import free_port
from tests.worker_agent.health.fake_worker import ABOUT, FakeWorker, entry, exporter, timeless
from tests.worker_agent.health.scripted import Gate, Scripted
from worker_agent.health import server
from worker_agent.health.answers import Answer, Answers
from worker_agent.health.registry import Health
from worker_agent.health.server import CannotListen, listen, serve
from worker_agent.lag import LoopLag

T = TypeVar("T")

BRIEF = 0.03
"""Seconds in place of those that a test would wait for."""


FEW = 4
"""Connections in place of as many as there may be."""


class Application:
    """An event loop in a thread of its own, on which checks run and which can be stuck."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self.health = Health()
        self._thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self._thread.start()

    async def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Run something on the application's loop."""
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(coroutine, self.loop))

    @contextlib.contextmanager
    def stuck(self) -> Iterator[None]:
        release = threading.Event()
        self.loop.call_soon_threadsafe(release.wait, 10.0)
        try:
            yield
        finally:
            release.set()

    def end(self) -> None:
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join(10.0)
        self.loop.close()


class Response:
    def __init__(self, raw: bytes) -> None:
        head, _, body = raw.partition(b"\r\n\r\n")
        status, *headers = head.decode().split("\r\n")
        self.code = int(status.split()[1])
        self.headers = dict(header.split(": ", 1) for header in headers)
        self.body = body

    @property
    def told(self) -> tuple[int, dict[str, Any]]:
        """Status and body, without what is different each time."""
        body = timeless(json.loads(self.body))
        for check in body.get("checks", {}).values():
            check.update({key: "known" for key in ("duration", "age") if check[key] is not None})
        if body.get("event_loop_lag") is not None:
            lag = body.pop("event_loop_lag")
            assert body.pop("error") == f"the event loop has not turned for {lag:.1f} s"
        return self.code, body


class Connection:
    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.write = writer.write
        self._reader = reader

    async def rest(self) -> bytes:
        """Everything that comes until the server hangs up, rudely or not."""
        try:
            async with asyncio.timeout(5.0):
                return await self._reader.read()
        except ConnectionResetError:
            return b""


class Port:
    """The health port as a client sees it."""

    def __init__(self, number: int) -> None:
        self.number = number

    @contextlib.asynccontextmanager
    async def connected(self) -> AsyncIterator[Connection]:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.number)
        try:
            yield Connection(reader, writer)
        finally:
            writer.close()
            with contextlib.suppress(ConnectionResetError, BrokenPipeError):
                await writer.wait_closed()

    async def send(self, request: bytes) -> bytes:
        """Everything that comes back until the server hangs up."""
        async with self.connected() as connection:
            connection.write(request)
            return await connection.rest()

    async def ask(self, path: str, method: str = "GET") -> Response:
        return Response(await self.send(f"{method} {path} HTTP/1.1\r\nHost: h\r\n\r\n".encode()))

    async def get(self, path: str) -> tuple[int, dict[str, Any]]:
        return (await self.ask(path)).told


class Bench:
    def __init__(self, application: Application) -> None:
        self.application = application
        self.worker = FakeWorker()
        self.answers = Answers(self.worker, application.health)
        self.lag = LoopLag(application.loop)
        self.listener = listen(0)
        self.port = Port(self.listener.getsockname()[1])
        self.serving = asyncio.create_task(serve(self.listener, self.answers, application.loop, self.lag))

    async def add(self, check: Scripted) -> None:
        async def add() -> None:
            self.application.health.add(check)

        await self.application.run(add())

    def hold(self) -> tuple[asyncio.Event, Gate]:
        """Have `/health/ready` wait at a gate, on the application's loop, and tell here when it is there."""
        asked, gate, here = asyncio.Event(), Gate(), asyncio.get_running_loop()

        async def ready() -> Answer:
            here.call_soon_threadsafe(asked.set)
            await gate()
            return await Answers.ready(self.answers)

        self.answers.ready = ready  # type: ignore[method-assign]
        return asked, gate

    def open(self, gate: Gate) -> None:
        self.application.loop.call_soon_threadsafe(gate.open)

    async def stop(self) -> None:
        self.serving.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self.serving


@pytest.fixture
async def bench(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Bench]:
    """No loop counts as stuck because the machine is busy, and few are many."""
    monkeypatch.setattr(server, "STUCK_AFTER", 5.0)
    monkeypatch.setattr(server, "_LOOK_EVERY", BRIEF / 4)
    monkeypatch.setattr(server, "CONNECTIONS", FEW)
    application = Application()
    await application.run(application.health.start())
    bench = Bench(application)
    await asyncio.sleep(0)
    yield bench
    await bench.stop()
    if not application.loop.is_closed():
        await application.run(application.health.stop())
        application.end()


@pytest.fixture
def brief(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """A loop that does not turn is stuck soon."""
    monkeypatch.setattr(server, "STUCK_AFTER", BRIEF)


async def test_four_paths(bench: Bench) -> None:
    """While the application's loop turns the port answers as the application does."""
    check = Scripted({"rows": 3}, name="db")
    await bench.add(check)
    db = entry("healthy", details={"rows": 3}, duration="known", age="known")
    assert await bench.port.get("/health") == (
        200,
        {"status": "healthy", **ABOUT, "checks": {"db": db, "exporter": exporter()}},
    )
    assert await bench.port.get("/health?check=db") == (
        200,
        {"status": "healthy", **ABOUT, "checks": {"db": db}},
    )
    assert await bench.port.get("/health/live") == (200, {"status": "alive", **ABOUT})
    assert await bench.port.get("/health/ready") == (200, {"status": "ready", **ABOUT})
    assert await bench.port.get("/health/startup") == (200, {"status": "started", **ABOUT})
    assert (await bench.port.ask("/health?check=nobody")).code == 404
    assert (await bench.port.ask("/metrics")).code == 404
    assert (await bench.port.ask("/docs")).code == 404
    assert check.runs == 1


async def test_http(bench: Bench) -> None:
    """One request for each connection, by GET or HEAD; the answer is for nobody to keep."""
    got, head = await bench.port.ask("/health/live"), await bench.port.ask("/health/live", "HEAD")
    length = str(len(got.body))
    assert got.headers == {
        "connection": "close",
        "cache-control": "no-store",
        "content-length": length,
        "content-type": "application/json",
    }
    assert (head.code, head.headers.keys(), head.body) == (200, got.headers.keys(), b"")
    assert (await bench.port.ask("/health/live", "POST")).code == 405


@pytest.mark.usefixtures("brief")
async def test_stuck(bench: Bench) -> None:
    """When the loop does not turn, the answer says so and what was known; startup needs no loop."""
    await bench.add(Scripted({"rows": 3}, name="db"))
    await bench.application.run(bench.application.health.look())
    with bench.application.stuck():
        db = entry("healthy", details={"rows": 3}, duration="known", age="known")
        assert await bench.port.get("/health") == (
            503,
            {"status": "unhealthy", **ABOUT, "checks": {"db": db, "exporter": exporter()}},
        )
        assert await bench.port.get("/health?check=db") == (
            503,
            {"status": "unhealthy", **ABOUT, "checks": {"db": db}},
        )
        assert (await bench.port.ask("/health?check=nobody")).code == 404
        assert await bench.port.get("/health/live") == (503, {"status": "stuck", **ABOUT})
        assert await bench.port.get("/health/ready") == (503, {"status": "not_ready", **ABOUT})
        assert await bench.port.get("/health/startup") == (200, {"status": "started", **ABOUT})


async def test_soon(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """That a loop is stuck is told before a probe gives up after its second, and known of at once after."""
    monkeypatch.setattr(server, "STUCK_AFTER", 0.5)
    with bench.application.stuck():
        began = time.monotonic()
        assert (await bench.port.ask("/health/live")).code == 503
        first = time.monotonic() - began
        assert (await bench.port.ask("/health/live")).code == 503
        second = time.monotonic() - began - first
    assert 0.45 < first < 0.95
    assert second < 0.4


@pytest.mark.usefixtures("brief")
async def test_turning_again(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Once the loop turns again all is well again, and what was asked meanwhile is not computed any more."""
    check = Scripted(True, name="db", cache=0.0)
    await bench.add(check)
    await bench.application.run(bench.application.health.look())
    runs = check.runs
    with bench.application.stuck():
        for _ in range(3):
            assert (await bench.port.ask("/health")).code == 503
    monkeypatch.setattr(server, "STUCK_AFTER", 5.0)
    assert (await bench.port.ask("/health/live")).code == 200
    assert check.runs == runs
    counts = bench.answers.requests.counts()
    assert {code: count for (endpoint, code), count in counts.items() if endpoint == "health"} == {
        200: 0,
        404: 0,
        503: 3,
    }


async def test_slow(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """An answer may take its time as long as the loop turns."""
    monkeypatch.setattr(server, "STUCK_AFTER", 0.2)
    asked, gate = bench.hold()
    asking = asyncio.create_task(bench.port.get("/health/ready"))
    await asked.wait()
    await asyncio.sleep(0.25)
    assert not asking.done()
    bench.open(gate)
    assert await asking == (200, {"status": "ready", **ABOUT})


@pytest.mark.usefixtures("brief")
async def test_stuck_meanwhile(bench: Bench) -> None:
    """A loop that gets stuck while it computes an answer is noticed as well, and need not go on with it."""
    asked, gate = bench.hold()
    asking = asyncio.create_task(bench.port.get("/health/ready"))
    await asked.wait()
    with bench.application.stuck():
        assert await asking == (503, {"status": "not_ready", **ABOUT})
    await bench.application.run(asyncio.sleep(0.001))
    assert gate.cancelled == 1


async def test_ended(bench: Bench) -> None:
    """A loop that has ended is not asked any more."""
    await bench.application.run(bench.application.health.stop())
    bench.application.end()
    ended = {"error": "the event loop has ended", "event_loop_lag": None}
    assert await bench.port.get("/health/live") == (503, {"status": "stuck", **ABOUT, **ended})


async def test_ending(bench: Bench) -> None:
    """A loop that ends while it computes an answer has ended too."""

    async def ready() -> Answer:
        raise asyncio.CancelledError

    bench.answers.ready = ready  # type: ignore[method-assign]
    code, body = await bench.port.get("/health/ready")
    assert (code, body["error"]) == (503, "the event loop has ended")


async def test_end(bench: Bench) -> None:
    """At its end the port is closed, and who still waits gets an answer."""
    asked, gate = bench.hold()
    async with bench.port.connected() as idle:
        asking = asyncio.create_task(bench.port.ask("/health/ready"))
        await asked.wait()
        bench.serving.cancel()
        await asyncio.sleep(0.001)
        bench.open(gate)
        assert (await asking).code == 200
        with pytest.raises(asyncio.CancelledError):
            await bench.serving
        assert await idle.rest() == b""
    with pytest.raises(ConnectionRefusedError):
        await bench.port.ask("/health")


async def test_slow_clients(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who does not send a request in time is hung up on, a byte now and then or not."""
    monkeypatch.setattr(server, "PATIENCE", BRIEF)
    async with bench.port.connected() as slow:
        slow.write(b"GET /health")
        await asyncio.sleep(BRIEF / 2)
        slow.write(b"/live HTTP/1.1\r\n")
        assert await slow.rest() == b""


async def test_a_client_that_waits(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who has sent a request may wait for its answer, however long that takes."""
    monkeypatch.setattr(server, "PATIENCE", BRIEF / 3)
    asked, gate = bench.hold()
    asking = asyncio.create_task(bench.port.ask("/health/ready"))
    await asked.wait()
    await asyncio.sleep(BRIEF)
    bench.open(gate)
    assert (await asking).code == 200


async def test_too_much_at_the_same_time(bench: Bench) -> None:
    """Who asks and hangs up, again and again, makes no more than so many requests wait."""
    asked, gate = bench.hold()
    for _ in range(FEW + 1):
        async with bench.port.connected() as impatient:
            impatient.write(b"GET /health/ready HTTP/1.1\r\nHost: h\r\n\r\n")
            await asked.wait()
            asked.clear()
    response = await bench.port.ask("/health/startup")
    assert (response.code, response.body) == (503, b"Service Unavailable")
    bench.open(gate)
    await bench.application.run(asyncio.sleep(0.01))
    assert (await bench.port.ask("/health/startup")).code == 200


async def test_silent_clients(bench: Bench) -> None:
    """There are so many connections and no more; the oldest that does not ask gives way to one that may."""
    async with contextlib.AsyncExitStack() as idle:
        first, *others = [await idle.enter_async_context(bench.port.connected()) for _ in range(FEW)]
        assert (await bench.port.ask("/health/live")).code == 200
        assert await first.rest() == b""
        for other in others:
            other.write(b"GET /health/live HTTP/1.1\r\nHost: h\r\n\r\n")
            assert Response(await other.rest()).code == 200


async def test_connections(bench: Bench) -> None:
    """Who waits for an answer gives way to nobody; when one goes there is a place again."""
    asked, gate = bench.hold()
    waiting = []
    for _ in range(FEW):
        waiting.append(asyncio.create_task(bench.port.ask("/health/ready")))
        await asked.wait()
        asked.clear()
    assert await bench.port.send(b"GET /health/live HTTP/1.1\r\nHost: h\r\n\r\n") == b""
    bench.open(gate)
    assert [response.code for response in await asyncio.gather(*waiting)] == [200] * FEW
    assert (await bench.port.ask("/health/live")).code == 200


async def test_nonsense(bench: Bench) -> None:
    """What is no HTTP is refused and harms nobody."""
    assert Response(await bench.port.send(b"\x16\x03\x01\x02\x00\r\n\r\n")).code == 400
    assert (await bench.port.ask("/health/startup")).code == 200


async def test_nothing_is_touched(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    """No logger of the application's server is changed or written to, and no signal taken."""
    caplog.set_level(logging.DEBUG)
    names = ("uvicorn", "uvicorn.error", "uvicorn.access", "uvicorn.asgi")

    def touched() -> list[object]:
        loggers = [logging.getLogger(name) for name in names]
        return [
            *[(logger.level, list(logger.handlers), logger.propagate, logger.disabled) for logger in loggers],
            *[signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)],
        ]

    before = touched()
    await bench.port.ask("/health")
    await bench.stop()
    assert touched() == before
    assert [record.name for record in caplog.records if record.name.startswith("uvicorn")] == []


def test_listen() -> None:
    """It listens on all interfaces, by IPv6 and by IPv4."""
    with listen(0) as listener:
        port = listener.getsockname()[1]
        for address in ("127.0.0.1", "::1") if socket.has_dualstack_ipv6() else ("127.0.0.1",):
            socket.create_connection((address, port), timeout=5.0).close()


def test_listen_without_ipv6(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where there is no IPv6 it listens by IPv4 alone."""
    monkeypatch.setattr(socket, "has_dualstack_ipv6", lambda: False)
    with listen(0) as listener:
        assert listener.family is socket.AF_INET


def test_port_in_use() -> None:
    """A port that is taken is an error that names the setting."""
    port = free_port()
    with listen(port), pytest.raises(CannotListen) as caught:
        listen(port)
    assert str(caught.value) == f"WORKER_HEALTH_PORT={port}: cannot listen on this port: it is in use already"


def test_port_too_high() -> None:
    """A process whose number makes the port too high says so."""
    with pytest.raises(CannotListen, match=r"^WORKER_HEALTH_PORT=65536: there is no port above 65535$"):
        listen(65536)


def test_port_not_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Any other refusal is told in the words of the system."""

    def refuse(*args: object, **options: object) -> socket.socket:
        raise PermissionError(13, "Permission denied (while attempting to bind on address ('', 80))")

    monkeypatch.setattr(socket, "create_server", refuse)
    with pytest.raises(CannotListen, match=r"^WORKER_HEALTH_PORT=80: .*: permission denied$"):
        listen(80)
