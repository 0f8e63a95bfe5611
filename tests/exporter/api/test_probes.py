"""The probes as JSON."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass

import httpx2
import pytest
from fastapi import FastAPI
from prometheus_client import CollectorRegistry

from exporter.api.probes import describe_result, routes
from exporter.core.model import Wall
from exporter.core.probing import KEPT, Failure, Phase, Result
from exporter.probes.probing import Probing
from exporter.telemetry import Telemetry
from tests.support.asgi import client
from tests.support.clock import FakeClock
from tests.support.probes import Toys, toy

REASONS = dict.fromkeys([reason.value for reason in Failure], 0)


@dataclass
class Shown:
    """Probes on a fake clock, and requests to what shows them."""

    probing: Probing
    toys: Toys
    http: httpx2.AsyncClient

    async def pass_over(self, times: int = 1) -> None:
        for _ in range(times):
            await asyncio.gather(self.probing.once(), self.toys.clock.jump(1.0))


@pytest.fixture
async def shown() -> AsyncIterator[Shown]:
    clock = FakeClock()
    toys = Toys(clock)
    probing = Probing(
        [toy("api"), toy("web/login", port=2)],
        concurrency=10,
        clock=clock,
        telemetry=Telemetry(CollectorRegistry()),
        varieties=toys.varieties,
    )
    app = FastAPI()
    app.include_router(routes(probing))
    async with client(app) as http:
        yield Shown(probing, toys, http)


async def test_shows_probes_before_and_after_their_first_run(shown: Shown) -> None:
    """In the order of the configuration, each whole."""
    unknown = {"kind": "toy", "up": None, "since": None, "runs": 0, "failures": REASONS, "last_result": None}
    answer = await shown.http.get("/probes")
    assert answer.headers["Content-Type"] == "application/json"
    assert answer.json() == [
        {"name": "api", "target": "toy:1", **unknown},
        {"name": "web/login", "target": "toy:2", **unknown},
    ]
    shown.toys.fails = {2: Failure.REFUSED}
    await shown.pass_over()
    result = {
        "at": "2023-11-14T22:13:20.000Z",
        "duration": 0.0,
        "phases": {},
        "http_status": None,
        "certificate_expiry": None,
    }
    known = {"kind": "toy", "since": "2023-11-14T22:13:20.000Z", "runs": 1}
    assert (await shown.http.get("/probes")).json() == [
        {
            "name": "api",
            "target": "toy:1",
            **known,
            "up": True,
            "failures": REASONS,
            "last_result": {**result, "success": True, "reason": None, "detail": ""},
        },
        {
            "name": "web/login",
            "target": "toy:2",
            **known,
            "up": False,
            "failures": {**REASONS, "refused": 1},
            "last_result": {**result, "success": False, "reason": "refused", "detail": "toy refused"},
        },
    ]


def test_a_result_is_shown_with_all_that_was_measured() -> None:
    """Phases by name, in their order, and the end of the certificate for people."""
    phases = ((Phase.CONNECT, 0.25), (Phase.TLS, 0.5))
    result = Result(Wall(1.5), 2.0, Failure.STATUS, "503", phases, 503, 1_700_000_000.0)
    assert describe_result(result) == {
        "at": "1970-01-01T00:00:01.500Z",
        "success": False,
        "reason": "status",
        "detail": "503",
        "duration": 2.0,
        "phases": {"connect": 0.25, "tls": 0.5},
        "http_status": 503,
        "certificate_expiry": "2023-11-14T22:13:20.000Z",
    }


async def test_one_probe_comes_with_its_results_and_failures(shown: Shown) -> None:
    """Newest first; failures are there when the results that came with them are not any more."""
    shown.toys.fails = {1: Failure.DNS}
    await shown.pass_over(2)
    shown.toys.fails = {}
    await shown.pass_over(KEPT + 1)
    probe = (await shown.http.get("/probes/api")).json()
    (listed, _) = (await shown.http.get("/probes")).json()
    results, failures = probe.pop("last_results"), probe.pop("last_failures")
    assert probe == listed
    assert [result["success"] for result in results] == [True] * KEPT
    assert results[0] == probe["last_result"]
    assert [(result["at"], result["reason"]) for result in failures] == [
        ("2023-11-14T22:13:21.000Z", "dns"),
        ("2023-11-14T22:13:20.000Z", "dns"),
    ]


async def test_a_name_may_have_a_slash(shown: Shown) -> None:
    """It is whatever the configuration says."""
    assert (await shown.http.get("/probes/web/login")).json()["target"] == "toy:2"


async def test_an_unknown_probe_is_named(shown: Shown) -> None:
    """404, as for workers."""
    answer = await shown.http.get("/probes/nobody")
    assert (answer.status_code, answer.json()) == (404, {"detail": "unknown probe: nobody"})


async def test_many_probes_leave_turns_to_others(shown: Shown) -> None:
    """Fifty at a time are written down."""
    shown.probing.reconfigure([toy(f"p{port}", port=port) for port in range(1000)], 10)
    turns = 0

    async def others() -> None:
        nonlocal turns
        while True:
            await asyncio.sleep(0)
            turns += 1

    busy = asyncio.create_task(others())
    answer = await shown.http.get("/probes")
    busy.cancel()
    assert len(answer.json()) == 1000
    assert turns >= 1000 // 50 - 1
