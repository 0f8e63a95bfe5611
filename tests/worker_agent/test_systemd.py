from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.service_manager import ServiceManager, service_manager
from tests.worker_agent.fast_loop import run_fast
from worker_agent import systemd


@pytest.fixture
def manager(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ServiceManager]:
    """One that waits 4 s for a sign of life."""
    with service_manager(tmp_path, watchdog=4.0) as found:
        for name, value in found.environment.items():
            monkeypatch.setenv(name, value)
        yield found


async def serve(seconds: float) -> None:
    with systemd.told():
        await asyncio.sleep(seconds)


def test_a_service_is_ready_alive_and_ending(manager: ServiceManager) -> None:
    """It says so in this order, with a sign of life each half of the time that systemd waits."""
    run_fast(serve(5.0))
    assert [manager.hears() for _ in range(5)] == [
        "READY=1",
        "WATCHDOG=1",
        "WATCHDOG=1",
        "WATCHDOG=1",
        "STOPPING=1",
    ]


def test_a_stuck_loop_says_nothing(manager: ServiceManager) -> None:
    """Signs of life come from the event loop and from nothing else."""

    async def stuck() -> None:
        with systemd.told():
            manager.forget()
            asyncio.get_running_loop().call_later(4.5, lambda: None)
            with pytest.raises(TimeoutError):
                manager.hears(within=0.5)  # ten seconds of this loop, which stands still meanwhile

    run_fast(stuck())


@pytest.mark.parametrize("pid", ["1", "no number"])
def test_somebody_elses_watchdog_is_not_fed(
    manager: ServiceManager, monkeypatch: pytest.MonkeyPatch, pid: str
) -> None:
    """systemd may mean another process of the service; it hears that this one is ready, and no more."""
    monkeypatch.setenv("WATCHDOG_PID", pid)
    run_fast(serve(5.0))
    assert [manager.hears() for _ in range(2)] == ["READY=1", "STOPPING=1"]


def test_its_own_watchdog_is_fed(manager: ServiceManager, monkeypatch: pytest.MonkeyPatch) -> None:
    """systemd names the process that it means."""
    monkeypatch.setenv("WATCHDOG_PID", str(os.getpid()))
    run_fast(serve(0.1))
    assert [manager.hears() for _ in range(3)] == ["READY=1", "WATCHDOG=1", "STOPPING=1"]


@pytest.mark.parametrize("period", ["", "soon", "0", "-5"])
def test_without_a_watchdog_there_is_nothing_to_feed(
    manager: ServiceManager, monkeypatch: pytest.MonkeyPatch, period: str
) -> None:
    """A unit without WatchdogSec=, or with what is no time."""
    monkeypatch.setenv("WATCHDOG_USEC", period)
    run_fast(serve(5.0))
    assert [manager.hears() for _ in range(2)] == ["READY=1", "STOPPING=1"]


def test_nobody_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    """Elsewhere than in a service of systemd nothing happens."""
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    run_fast(serve(1.0))


# The library drops a socket that it could not connect without closing it.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_manager_that_is_gone_stops_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The service runs on, as it would anywhere else."""
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "nowhere"))
    run_fast(serve(1.0))


def test_a_manager_that_does_not_listen_holds_up_nobody(manager: ServiceManager) -> None:
    """Its socket takes only so much, and what does not fit is left out."""

    async def talk() -> None:
        with systemd.told():
            await asyncio.sleep(0)

    for _ in range(500):
        run_fast(talk())
