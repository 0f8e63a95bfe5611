"""What the health paths answer."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest

from tests.worker_agent.health.fake_worker import ABOUT, FakeWorker, entry, exporter, timeless
from tests.worker_agent.health.scripted import Gate, Scripted, Silent
from worker_agent.health.answers import NOT_STARTED, Answer, Answers, Endpoint, Requests
from worker_agent.health.check import FunctionCheck
from worker_agent.health.registry import Health
from worker_agent.health.result import Result
from worker_agent.statistics import Statistics

Told = tuple[int, dict[str, Any]]


def told(answer: Answer) -> Told:
    """Status and body, without the time stamp and the times of single runs."""
    body = timeless(json.loads(json.dumps(answer.body, allow_nan=False)))
    for check in body.get("checks", {}).values():
        if check["duration"] is not None:
            assert 0 <= check.pop("duration") < 10
            assert 0 <= check.pop("age") < 10
            check.update(duration="short", age="young")
    return answer.status_code, body


class Bench:
    def __init__(self) -> None:
        self.worker = FakeWorker()
        self.health = Health()
        self.answers = Answers(self.worker, self.health)

    def add(self, name: str, *steps: Any, **options: Any) -> None:
        self.health.add(Scripted(*steps, name=name, **options))

    async def asked(self, names: Sequence[str] | None = None) -> Told:
        return told(await self.answers.health(names))


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    bench = Bench()
    await bench.health.start()
    yield bench
    await bench.health.stop()


def ran(status: str, error: str | None = None, /, **fields: Any) -> dict[str, Any]:
    return entry(status, error, duration="short", age="young", **fields)


async def test_healthy(bench: Bench) -> None:
    """All is well: each check with its details, how long it took and how old the result is."""
    bench.add("db", {"rows": 3})
    bench.add("cache", True, critical=False)
    checks = {
        "db": ran("healthy", details={"rows": 3}),
        "cache": ran("healthy", critical=False),
        "exporter": exporter(),
    }
    assert await bench.asked() == (200, {"status": "healthy", **ABOUT, "checks": checks})


@pytest.mark.parametrize(
    ("critical", "optional", "connected", "together"),
    [
        (True, True, True, (200, "healthy")),
        (Result.degraded("slow"), True, True, (200, "degraded")),
        (True, Result.degraded("slow"), True, (200, "degraded")),
        (True, False, True, (200, "degraded")),
        (True, True, False, (200, "degraded")),
        (False, True, True, (503, "unhealthy")),
        (False, False, False, (503, "unhealthy")),
    ],
)
async def test_together(
    bench: Bench, critical: object, optional: object, connected: bool, together: tuple[int, str]
) -> None:
    """One critical check that is unhealthy makes the whole so; anything else that is not well degrades it."""
    bench.add("critical", critical)
    bench.add("optional", optional, critical=False)
    bench.worker.statistics.connected = connected
    code, body = await bench.asked()
    assert (code, body["status"]) == together


async def test_times() -> None:
    """A duration is told to the microsecond, an age to the millisecond."""
    health = Health()
    health.add(Scripted(True))
    await health.start()
    await health.look()
    finding = health.last()["c"].finding
    assert finding is not None
    answers = Answers(FakeWorker(), health, lambda: finding.at + 1.23456)
    answer = await answers.health(["c"])
    await health.stop()
    assert answer.body["checks"] == {"c": entry("healthy", duration=round(finding.duration, 6), age=1.235)}


@pytest.mark.parametrize(
    ("problem", "error"), [(None, "not connected yet"), ("connection refused", "connection refused")]
)
async def test_exporter_away(bench: Bench, problem: str | None, error: str) -> None:
    """With its exporter away a worker is degraded and still answers 200; the body says why."""
    bench.worker.statistics.connected = False
    bench.worker.statistics.problem = problem
    checks = {"exporter": exporter("degraded", error)}
    assert await bench.asked() == (200, {"status": "degraded", **ABOUT, "checks": checks})


async def test_some(bench: Bench) -> None:
    """Asked for some checks the answer is about them alone, each once; the exporter's is one of them."""
    bench.add("a", True)
    bench.add("b", False)
    assert await bench.asked(["a"]) == (200, {"status": "healthy", **ABOUT, "checks": {"a": ran("healthy")}})
    code, body = await bench.asked(["exporter", "b", "b"])
    assert (code, list(body["checks"])) == (503, ["exporter", "b"])
    code, body = await bench.asked(["exporter"])
    assert (code, body["checks"]) == (200, {"exporter": exporter()})


async def test_unknown(bench: Bench) -> None:
    """An unknown name is not found, and the known ones are named."""
    bench.add("db", True)
    error = "there is no check 'cache', only db, exporter"
    assert await bench.asked(["db", "cache"]) == (404, {"status": "unknown_check", **ABOUT, "error": error})
    _, body = await bench.asked(["x" * 5000])
    assert len(body["error"]) < 120


async def test_live(bench: Bench) -> None:
    """A process that answers is alive, whatever else is wrong."""
    bench.worker.started = bench.worker.ready = False
    bench.add("db", False)
    assert told(await bench.answers.live()) == (200, {"status": "alive", **ABOUT})


async def test_ready(bench: Bench) -> None:
    """Ready unless a critical check fails: what is optional, degraded or the exporter's keeps nobody out."""
    bench.add("cache", False, critical=False)
    bench.add("queue", Result.degraded("slow"))
    bench.worker.statistics.connected = False
    assert told(await bench.answers.ready()) == (200, {"status": "ready", **ABOUT})
    bench.add("db", False)
    bench.add("search", ValueError("no index"))
    error = {"error": "unhealthy: db, search"}
    assert told(await bench.answers.ready()) == (503, {"status": "not_ready", **ABOUT, **error})


async def test_not_ready(bench: Bench) -> None:
    """Not ready once the process is asked to end, nor without a start; then no check is waited for."""
    bench.add("db", Gate())
    bench.worker.ready = False
    async with asyncio.timeout(1.0):
        answer = told(await bench.answers.ready())
    assert answer == (503, {"status": "not_ready", **ABOUT, "error": "stopping"})
    bench.worker.started = False
    answer = told(await bench.answers.ready())
    assert answer == (503, {"status": "not_ready", **ABOUT, "error": NOT_STARTED})


async def test_asked_to_end_meanwhile(bench: Bench) -> None:
    """Who is asked to end while a check runs is not ready, although the check goes well."""
    gate = Gate()
    bench.add("db", gate)
    asking = asyncio.create_task(bench.answers.ready())
    await asyncio.sleep(0.001)
    bench.worker.ready = False
    gate.open()
    assert told(await asking) == (503, {"status": "not_ready", **ABOUT, "error": "stopping"})


async def test_startup(bench: Bench) -> None:
    """Started once every check was run, with whichever result."""
    gate = Gate()
    bench.add("db", gate)
    error = {"error": "the first round of checks is not over"}
    assert told(await bench.answers.startup()) == (503, {"status": "starting", **ABOUT, **error})
    gate.open()
    await bench.health.look()
    assert told(await bench.answers.startup()) == (200, {"status": "started", **ABOUT})
    bench.worker.started = False
    error = {"error": NOT_STARTED}
    assert told(await bench.answers.startup()) == (503, {"status": "starting", **ABOUT, **error})


async def test_agent_not_started() -> None:
    """Where the agent was not started there are no results: critical checks count as unhealthy."""
    bench = Bench()
    bench.worker = FakeWorker(Statistics(), started=False, ready=False)
    bench.answers = Answers(bench.worker, bench.health)
    away = entry("degraded", NOT_STARTED, details={"worker_id": None, "heartbeats_sent": 0}, critical=False)
    assert await bench.asked() == (200, {"status": "degraded", **ABOUT, "checks": {"exporter": away}})
    bench.add("cache", True, critical=False)
    assert (await bench.asked())[0] == 200
    bench.add("db", True)
    checks = {
        "cache": entry("unhealthy", NOT_STARTED, critical=False),
        "db": entry("unhealthy", NOT_STARTED),
        "exporter": away,
    }
    assert await bench.asked() == (503, {"status": "unhealthy", **ABOUT, "checks": checks})


async def test_stuck(bench: Bench) -> None:
    """In place of a stuck loop: since when, and what was known last."""
    bench.add("db", {"rows": 3})
    await bench.health.look()
    bench.add("late", Gate())
    lag = {"error": "the event loop has not turned for 9.3 s", "event_loop_lag": 9.346}
    checks = {
        "db": ran("healthy", details={"rows": 3}),
        "late": entry("unhealthy", "no result yet"),
        "exporter": exporter(),
    }
    stuck = bench.answers.stuck
    assert told(stuck(Endpoint.HEALTH, 9.3456)) == (
        503,
        {"status": "unhealthy", **ABOUT, **lag, "checks": checks},
    )
    assert told(stuck(Endpoint.HEALTH, 9.3456, ["exporter"])) == (
        503,
        {"status": "unhealthy", **ABOUT, **lag, "checks": {"exporter": exporter()}},
    )
    assert stuck(Endpoint.HEALTH, 9.3, ["nobody"]).status_code == 404
    assert told(stuck(Endpoint.LIVE, 9.3456)) == (503, {"status": "stuck", **ABOUT, **lag})
    assert told(stuck(Endpoint.READY, 9.3456)) == (503, {"status": "not_ready", **ABOUT, **lag})
    ended = {"error": "the event loop has ended", "event_loop_lag": None}
    assert told(stuck(Endpoint.LIVE, None)) == (503, {"status": "stuck", **ABOUT, **ended})


def recursive() -> dict[str, object]:
    value: dict[str, object] = {}
    value["again"] = [value] * 50
    return value


async def unawaited() -> bool:
    return True


def hostile() -> dict[str, Any]:
    """What a check may do to us; plain functions, each for one check."""

    def raising(error: BaseException) -> Any:
        raise error

    return {
        "nan": lambda: {"value": float("nan"), "values": [float("inf")]},
        "huge": lambda: {"number": 10**5000, "text": "x" * 10**6, "list": list(range(10**5))},
        "recursive": recursive,
        "unserialisable": lambda: {"value": object(), ("a", 1): threading.Lock()},
        "silent": lambda: {Silent(): Silent()},
        "surrogates": lambda: Result.degraded("\udfff", value="\ud800"),
        "bytes": lambda: {b"key": b"\xff"},
        "silent-error": lambda: raising(Silent()),
        "exit": lambda: raising(SystemExit(1)),
        "interrupt": lambda: raising(KeyboardInterrupt()),
        "stop": lambda: next(iter(())),
        "coroutine": unawaited,
        "coroutine-from-a-thread": lambda: unawaited(),
        "generator": lambda: (number for number in range(3)),
        "none": lambda: None,
        "state": lambda: Result("wonderful"),  # type: ignore[arg-type]
    }


async def test_hostile(bench: Bench) -> None:
    """Whatever a check returns or raises, the answer is one that JSON can express, and names it."""
    for name, function in hostile().items():
        bench.health.add(FunctionCheck(name, function))
    code, body = await bench.asked()
    assert code == 503
    assert {name: check["status"] for name, check in body["checks"].items()} == {
        "nan": "healthy",
        "huge": "healthy",
        "recursive": "healthy",
        "unserialisable": "healthy",
        "silent": "healthy",
        "surrogates": "degraded",
        "bytes": "healthy",
        "silent-error": "unhealthy",
        "exit": "unhealthy",
        "interrupt": "unhealthy",
        "stop": "unhealthy",
        "coroutine": "healthy",
        "coroutine-from-a-thread": "unhealthy",
        "generator": "unhealthy",
        "none": "unhealthy",
        "state": "unhealthy",
        "exporter": "healthy",
    }


def test_requests() -> None:
    """What can be answered is there at 0 from the start, and counted from any thread."""
    requests = Requests()
    assert {(str(endpoint), code): count for (endpoint, code), count in requests.counts().items()} == {
        ("health", 200): 0,
        ("health", 503): 0,
        ("health", 404): 0,
        ("live", 200): 0,
        ("live", 503): 0,
        ("ready", 200): 0,
        ("ready", 503): 0,
        ("startup", 200): 0,
        ("startup", 503): 0,
    }

    def count() -> None:
        for _ in range(2000):
            requests.count(Endpoint.READY, 503)

    threads = [threading.Thread(target=count) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert requests.counts()[Endpoint.READY, 503] == 8000
