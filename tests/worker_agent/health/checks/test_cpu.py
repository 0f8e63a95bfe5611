"""The CPU check."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psutil
import pytest

from tests.support.hand_clock import HandClock
from tests.worker_agent.health.checks.outcomes import told
from worker_agent.health.checks import cpu
from worker_agent.health.checks.cgroup import ControlGroup
from worker_agent.health.checks.cpu import CpuCheck


class Machine:
    """A host and a container, and a clock that is moved by whoever sleeps."""

    def __init__(self, directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.clock = HandClock()
        self.slept: list[float] = []
        self.times: dict[str, float] = {
            "user": 100.0,
            "system": 50.0,
            "idle": 1000.0,
            "iowait": 5.0,
            "guest": 20.0,
        }
        self._directory = directory
        monkeypatch.setattr(cpu, "monotonic", self.clock)
        monkeypatch.setattr(cpu, "own_group", lambda: ControlGroup(directory))
        monkeypatch.setattr(cpu.asyncio, "sleep", self._sleep)
        monkeypatch.setattr(psutil, "cpu_times", lambda: SimpleNamespace(_asdict=self.times.copy))
        monkeypatch.setattr(psutil, "cpu_count", lambda: 4)

    def container(self, *, quota: str = "150000 100000", used: float) -> None:
        (self._directory / "cpu.max").write_text(f"{quota}\n")
        (self._directory / "cpu.stat").write_text(f"usage_usec {round(used * 1_000_000)}\n")

    def work(self, elapsed: float, **seconds: float) -> None:
        """Let time pass, and CPUs use it in these ways."""
        self.clock.move(elapsed)
        for name, spent in seconds.items():
            self.times[name] = self.times.get(name, 0.0) + spent

    async def _sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.clock.move(seconds)


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    return Machine(tmp_path, monkeypatch)


async def test_host(machine: Machine) -> None:
    """Without limits the share of all CPUs' time counts that was not idle since the last run."""
    check = CpuCheck()
    idle = {"percent": 0.0, "cores": 4, "scope": "host"}
    assert told(await check.run()) == ("healthy", idle, None)
    machine.work(10.0, user=20.0, system=4.0, softirq=2.0, idle=12.0, iowait=2.0, guest=8.0)
    assert told(await check.run()) == ("healthy", {**idle, "percent": 65.0}, None)
    machine.work(10.0, user=39.0, idle=1.0)
    error = "98 % of CPU time is used, above 90 %"
    assert told(await check.run()) == ("unhealthy", {**idle, "percent": 97.5}, error)


async def test_container(machine: Machine) -> None:
    """In a container with a limit its own use counts, of what it may use."""
    machine.container(used=3.0)
    check = CpuCheck("busy", max_percent=50, beyond="degraded")
    details = {"percent": 0.0, "cores": 1.5, "scope": "container"}
    assert told(await check.run()) == ("healthy", details, None)
    machine.work(10.0, user=40.0)
    machine.container(used=12.0)
    error = "60 % of CPU time is used, above 50 %"
    assert told(await check.run()) == ("degraded", {**details, "percent": 60.0}, error)


async def test_window(machine: Machine) -> None:
    """A run waits until there is something to measure: the first one, and one that follows too soon."""
    check = CpuCheck()
    await check.run()
    machine.work(0.125)
    await check.run()
    machine.work(5.0)
    await check.run()
    assert machine.slept == pytest.approx([0.2, 0.075, 0.0])
    await check.close()
    await check.run()
    assert machine.slept[3] == pytest.approx(0.2)


async def test_a_limit_that_comes(machine: Machine) -> None:
    """When a container gets a limit it is measured anew, not against what the host had used."""
    check = CpuCheck()
    await check.run()
    machine.work(10.0)
    machine.container(used=1.0)
    details = {"percent": 0.0, "cores": 1.5, "scope": "container"}
    assert told(await check.run()) == ("healthy", details, None)


async def test_times_that_fall(machine: Machine) -> None:
    """Times of the kernel that go back a little are no use."""
    check = CpuCheck()
    await check.run()
    machine.work(1.0, user=-0.25)
    assert told(await check.run())[1]["percent"] == 0.0


async def test_real(monkeypatch: pytest.MonkeyPatch) -> None:
    """A real machine has a share between nothing and all of its CPUs."""
    monkeypatch.setattr(cpu, "WINDOW", 0.02)
    _, details, _ = told(await CpuCheck(max_percent=100).run())
    assert 0.0 <= float(str(details["percent"])) <= 200.0


def test_defaults() -> None:
    """It is optional, and nothing is gained by giving it a rest."""
    check = CpuCheck()
    assert (check.name, check.critical, check.breaker) == ("cpu", False, None)


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"max_percent": 0}, "max_percent of check cpu must be above 0 and at most 100, not 0"),
        ({"max_percent": 101}, "at most 100, not 101"),
        ({"beyond": "healthy"}, "beyond of check cpu must be 'degraded' or 'unhealthy', not 'healthy'"),
    ],
)
def test_wrong_arguments(arguments: dict[str, Any], text: str) -> None:
    """A limit that cannot be meant is refused."""
    with pytest.raises(ValueError, match=text):
        CpuCheck(**arguments)


def test_without_psutil(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without psutil it says which extra has it."""
    monkeypatch.setitem(sys.modules, "psutil", None)
    with pytest.raises(ModuleNotFoundError, match=r"CpuCheck needs psutil: .*heartbeat-exporter\[system\]"):
        CpuCheck()
