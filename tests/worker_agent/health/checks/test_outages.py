"""Every check that keeps a connection, with a real server that freezes, stops and comes back."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

import psutil
import pytest

from tests.support.dependencies import Server
from worker_agent.health.check import Check
from worker_agent.health.checks.amqp import AmqpCheck
from worker_agent.health.checks.postgres import PostgresCheck
from worker_agent.health.checks.redis import RedisCheck
from worker_agent.health.checks.redis_stream import RedisStreamCheck
from worker_agent.health.registry import Health
from worker_agent.health.result import Result
from worker_agent.health.runner import Finding
from worker_agent.protocol import CheckState

TIMEOUT = 0.5
LATE = 0.5
"""What a busy machine may add."""

pytestmark = pytest.mark.slow

CHECKS: dict[str, Callable[[str], Check]] = {
    "redis": lambda url: RedisCheck("dependency", url=url, timeout=TIMEOUT, cache=0, breaker=None),
    "redis stream": lambda url: RedisStreamCheck(
        "dependency", url=url, stream="outages", timeout=TIMEOUT, cache=0, breaker=None
    ),
    "postgres": lambda url: PostgresCheck("dependency", dsn=url, timeout=TIMEOUT, cache=0, breaker=None),
    "rabbit": lambda url: AmqpCheck("dependency", url=url, timeout=TIMEOUT, cache=0, breaker=None),
}


@pytest.fixture(
    params=[
        pytest.param(("redis", "redis"), marks=pytest.mark.servers("redis-server"), id="redis"),
        pytest.param(("redis", "redis stream"), marks=pytest.mark.servers("redis-server"), id="redis stream"),
        pytest.param(("postgres", "postgres"), marks=pytest.mark.servers("postgres"), id="postgres"),
        pytest.param(("rabbit", "rabbit"), marks=pytest.mark.servers("rabbitmq-server"), id="rabbit"),
    ]
)
def case(request: pytest.FixtureRequest) -> tuple[Server, Callable[[str], Check]]:
    """A server that runs, and what makes the check of it."""
    name, check = request.param
    server: Server = request.getfixturevalue(f"{name}_dependency")
    return server, CHECKS[check]


def connections(server: Server) -> int:
    """How many this process has to it."""
    return sum(
        bool(connection.raddr) and connection.raddr.port == server.port
        for connection in psutil.Process().net_connections("tcp")
    )


async def look(health: Health) -> dict[str, Finding]:
    """A new finding of every check."""
    return {name: standing.finding for name, standing in (await health.look()).items() if standing.finding}


async def recovers(health: Health) -> None:
    """Within ten seconds, which is a busy machine's time to come back."""
    await _becomes(health, lambda found: found.state is not CheckState.UNHEALTHY)


async def fails(health: Health, error: str) -> None:
    await _becomes(health, lambda found: found.error is not None and error in found.error)


async def _becomes(health: Health, wanted: Callable[[Result], bool]) -> None:
    deadline = time.monotonic() + 10.0
    while not wanted(found := (await look(health))["dependency"].result):
        assert time.monotonic() < deadline, found
        await asyncio.sleep(0.05)


async def test_a_dependency_that_comes_and_goes(case: tuple[Server, Callable[[str], Check]]) -> None:
    """A frozen server costs its check the timeout and no other check anything, one that is gone is told
    by its address, and both are healthy again once they are back; no connection is left behind."""
    server, make = case
    health = Health()
    health.add(make(server.url))
    health.check("neighbour", cache=0)(lambda: True)
    await health.start()
    try:
        await recovers(health)

        server.pause()
        for _ in range(3):
            began = time.monotonic()
            findings = await look(health)
            assert time.monotonic() - began < TIMEOUT + LATE
            assert findings["dependency"].result.error == f"no result within {TIMEOUT} s"
            assert findings["neighbour"].result.state is CheckState.HEALTHY
            assert findings["neighbour"].at < findings["dependency"].at
            await asyncio.sleep(0.3)  # for the farewells
        assert connections(server) <= 1
        server.resume()
        await recovers(health)

        await asyncio.to_thread(server.stop)
        await fails(health, f"Connect call failed ('127.0.0.1', {server.port})")
        await asyncio.to_thread(server.start)
        await recovers(health)
        assert connections(server) == 1
    finally:
        server.restore()
        await health.stop()
    assert connections(server) == 0


def test_a_check_outlives_its_loop(case: tuple[Server, Callable[[str], Check]]) -> None:
    """An application that is started again, on another event loop, has the same checks."""
    server, make = case
    check = make(server.url)

    async def run_and_close() -> object:
        outcome = await check.run()
        await check.close()
        await check.close()
        return type(outcome)

    assert asyncio.run(run_and_close()) is asyncio.run(run_and_close())
    assert connections(server) == 0


async def test_closing_does_not_wait_for_a_frozen_server(
    case: tuple[Server, Callable[[str], Check]],
) -> None:
    """A worker ends in time though its dependencies do not answer."""
    server, make = case
    check = make(server.url)
    await check.run()
    server.pause()
    try:
        began = time.monotonic()
        await check.close()
        assert time.monotonic() - began < 0.5 + LATE
        assert connections(server) == 0
    finally:
        server.resume()
