"""The agent in an application: start, stop, lifespans, signals, metrics."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from prometheus_client import CollectorRegistry

from tests.support import processes
from tests.worker_agent.fake_exporter import Registry, answer, exporter_in_thread, hang
from worker_agent import Agent, WorkerSettings
from worker_agent.running import STOP_TIMEOUT

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def bare_environment(bare_environment: None) -> None:
    """No settings but a test's own."""


@pytest.fixture
def exporter() -> Iterator[Registry]:
    with exporter_in_thread([answer]) as registry:
        yield registry


def settings(port: int, **others: object) -> WorkerSettings:
    return WorkerSettings(
        worker_name="Worker 1",
        worker_host="node-1",
        manager_host="127.0.0.1",
        manager_port=port,
        **others,  # type: ignore[arg-type]
    )


def frames(registry: Registry, connection: int = 0) -> list[dict[str, object]]:
    accepted = registry.exporter.frames
    return accepted[connection] if len(accepted) > connection else []


async def eventually(seen: Callable[[], object], within: float = 5.0) -> None:
    deadline = time.monotonic() + within
    while not seen():
        assert time.monotonic() < deadline, "not seen in time"
        await asyncio.sleep(0.01)


async def test_without_fastapi(exporter: Registry) -> None:
    """`async with agent:` registers, beats, and ends with a goodbye that has arrived."""
    agent = Agent(settings(exporter.port), version="1.2.3")
    assert (agent.started, agent.ready) == (False, False)
    async with agent:
        assert (agent.started, agent.ready) == (True, True)
        await eventually(lambda: len(frames(exporter)) >= 3)
        assert agent.statistics.connected
    await eventually(lambda: exporter.exporter.closed)
    assert frames(exporter)[-1] == {"type": "goodbye", "leave": False}
    [registration] = exporter.registrations
    assert registration.pop("boot_id")
    assert time.time() - float(str(registration.pop("started_at"))) < 60
    assert registration == {
        "name": "Worker 1",
        "host": "node-1",
        "port": 8001,
        "group": "default",
        "version": "1.2.3",
        "protocol": 1,
    }


async def test_leave_on_shutdown(exporter: Registry) -> None:
    """With WORKER_LEAVE_ON_SHUTDOWN the goodbye asks to be forgotten."""
    async with Agent(settings(exporter.port, worker_leave_on_shutdown=True)):
        await eventually(lambda: frames(exporter))
    await eventually(lambda: exporter.exporter.closed)
    assert frames(exporter)[-1] == {"type": "goodbye", "leave": True}


async def test_started_twice(exporter: Registry) -> None:
    """One after the other is a new process to the exporter; one inside the other is an error."""
    agent = Agent(settings(exporter.port))
    for connection in range(2):
        async with agent:
            with pytest.raises(RuntimeError, match="running already"):
                await agent.__aenter__()
            await eventually(lambda connection=connection: frames(exporter, connection))
    boots = [registration["boot_id"] for registration in exporter.registrations]
    assert len(set(boots)) == 2


async def test_failed_start(exporter: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    """An agent that cannot start leaves neither heartbeats nor handlers behind, and may try again."""
    handler = signal.getsignal(signal.SIGTERM)
    agent = Agent(settings(exporter.port))
    agent.instrument(FastAPI(), registry=CollectorRegistry())
    with monkeypatch.context() as broken:
        broken.setattr("worker_agent.running.processes.share", lambda registry: 1 // 0)
        with pytest.raises(ZeroDivisionError):
            await agent.__aenter__()
    assert not agent.started
    assert signal.getsignal(signal.SIGTERM) is handler
    assert "heartbeat-agent" not in {thread.name for thread in threading.enumerate()}
    async with agent:
        await eventually(lambda: frames(exporter))


async def test_checks_of_two_agents(exporter: Registry) -> None:
    """A registry of checks has one agent: the second one is refused, and the first one goes on."""
    first = Agent(settings(exporter.port))
    second = Agent(settings(exporter.port), health=first.health)
    async with first:
        await eventually(lambda: frames(exporter))
        with pytest.raises(RuntimeError, match="belong to an agent that is running already"):
            await second.__aenter__()
        assert not second.started
    assert len(exporter.registrations) == 1


async def test_beats_while_the_application_is_busy(exporter: Registry) -> None:
    """A handler that blocks the event loop stops no heartbeat, and they tell how late the loop is."""
    async with Agent(settings(exporter.port)):
        await eventually(lambda: frames(exporter))
        before = len(frames(exporter))
        time.sleep(1.3)  # what no handler should do
        during = frames(exporter)[before:]
    assert len(during) >= 4
    assert max(float(str(frame.get("loop_lag", 0))) for frame in during) > 0.2


def test_lifespan(exporter: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    """Settings from the environment, the application's version, /metrics and health in three lines."""
    monkeypatch.setenv("MANAGER_HOST", "127.0.0.1")
    monkeypatch.setenv("MANAGER_PORT", str(exporter.port))
    agent = Agent()
    app = FastAPI(lifespan=agent.lifespan, version="4.5.6")
    registry = CollectorRegistry()
    agent.instrument(app, registry=registry)
    with TestClient(app) as client:
        deadline = time.monotonic() + 5
        while client.get("/health").json()["status"] != "healthy":
            assert time.monotonic() < deadline
            time.sleep(0.01)
        assert client.get("/health").json()["version"] == "4.5.6"
        text = client.get("/metrics").text
        assert "\nheartbeat_agent_connected 1.0\n" in text
    [registration] = exporter.registrations
    assert (registration["version"], registration["metrics_path"]) == ("4.5.6", "/metrics")
    # What remains is the process's and not the agent's.
    assert all(family.name.startswith("heartbeat_agent_function_") for family in registry.collect())


def test_lifespan_around(exporter: Registry) -> None:
    """A wrapped lifespan starts before the first heartbeat, ends after the goodbye, and keeps its state."""
    seen: list[object] = []
    agent = Agent(settings(exporter.port))

    @contextlib.asynccontextmanager
    async def own(app: FastAPI) -> AsyncIterator[dict[str, int]]:
        seen.append(("start", agent.started))
        yield {"pool": 7}
        seen.append(("end", agent.started))

    app = FastAPI(lifespan=agent.lifespan_around(own))
    with TestClient(app) as client:
        seen.append(agent.started)
        assert client.app_state == {"pool": 7}
    assert seen == [("start", False), True, ("end", False)]


async def test_exporter_absent(unused_tcp_port: int, caplog: pytest.LogCaptureFixture) -> None:
    """Without an exporter the application runs, and says once why nobody watches it."""
    async with Agent(settings(unused_tcp_port)) as agent:
        await eventually(lambda: agent.statistics.problem)
        assert agent.ready
        assert "Connection refused" in str(agent.statistics.problem)
    [warning] = [record for record in caplog.records if record.levelno == logging.WARNING]
    assert "no heartbeats: http://127.0.0.1:" in warning.getMessage()


async def test_frozen_exporter() -> None:
    """An exporter that has stopped reading delays the end of the application by a second or so."""
    with exporter_in_thread([hang]) as registry:
        async with Agent(settings(registry.port)):
            await eventually(lambda: frames(registry))
            leaving = time.monotonic()
        assert time.monotonic() - leaving < STOP_TIMEOUT


async def test_end_is_not_waited_for_longer(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Past its time the goodbye is given up, and the log says so."""
    monkeypatch.setattr("worker_agent.running.STOP_TIMEOUT", 0.0)
    with exporter_in_thread([hang]) as registry:
        async with Agent(settings(registry.port)):
            await eventually(lambda: frames(registry))
        assert "the goodbye was not taken within 0 s" in caplog.text


def test_nobody_handles_the_signal(exporter: Registry) -> None:
    """In a plain script SIGTERM still ends the process at once, but for the goodbye."""
    code = """
        import asyncio
        from worker_agent import Agent
        async def main():
            async with Agent() as agent:
                while not agent.statistics.connected:
                    await asyncio.sleep(0.01)
                print("connected", flush=True)
                await asyncio.sleep(60)
        asyncio.run(main())
    """
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code)],
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env={"MANAGER_HOST": "127.0.0.1", "MANAGER_PORT": str(exporter.port)},
    )
    with process:
        assert process.stdout is not None
        assert process.stdout.readline() == "connected\n"
        process.terminate()
        assert process.wait(10) == -signal.SIGTERM
    # It may be over before the other side has read its last words.
    goodbye = {"type": "goodbye", "leave": False}
    processes.eventually(lambda: frames(exporter)[-1] == goodbye, within=5, what="the goodbye")


async def test_goodbye_on_a_signal(exporter: Registry) -> None:
    """SIGTERM brings the goodbye at once, before anybody leaves, and reaches the server's handler."""
    heard: list[int] = []
    before = signal.signal(signal.SIGTERM, lambda number, frame: heard.append(number))
    try:
        async with Agent(settings(exporter.port)) as agent:
            await eventually(lambda: frames(exporter))
            signal.raise_signal(signal.SIGTERM)
            assert (agent.started, agent.ready) == (True, False)
            await eventually(lambda: frames(exporter)[-1]["type"] == "goodbye")
            await eventually(lambda: not agent.statistics.connected)
        signal.raise_signal(signal.SIGTERM)
    finally:
        signal.signal(signal.SIGTERM, before)
    assert heard == [signal.SIGTERM, signal.SIGTERM]


async def test_outside_the_main_thread(exporter: Registry) -> None:
    """In another thread no signal can be chained; the end of the lifespan says goodbye."""

    async def main() -> None:
        async with Agent(settings(exporter.port)):
            await eventually(lambda: frames(exporter))

    thread = threading.Thread(target=lambda: asyncio.run(main()))
    thread.start()
    await asyncio.to_thread(thread.join)
    await eventually(lambda: exporter.exporter.closed)
    assert frames(exporter)[-1] == {"type": "goodbye", "leave": False}


async def test_two_agents_in_one_process(exporter: Registry, caplog: pytest.LogCaptureFixture) -> None:
    """The second agent's metrics would have the first one's names: it beats without them and says so."""
    registry = CollectorRegistry()
    first, second = Agent(settings(exporter.port)), Agent(settings(exporter.port))
    for agent in (first, second):
        agent.instrument(FastAPI(), registry=registry)
    async with first:
        async with second:
            assert "another agent runs in this process" in caplog.text
        assert "heartbeat_agent_connected" in {family.name for family in registry.collect()}
    assert "heartbeat_agent_connected" not in {family.name for family in registry.collect()}


async def test_registry_cleared_meanwhile(exporter: Registry) -> None:
    """An application that takes the collectors out of its registry does not break the end."""
    registry = CollectorRegistry()
    agent = Agent(settings(exporter.port))
    agent.instrument(FastAPI(), registry=registry)
    async with agent:
        for collector in list(registry._collector_to_names):
            registry.unregister(collector)
    assert not agent.started
