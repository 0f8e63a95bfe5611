"""The memory check."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psutil
import pytest

from tests.worker_agent.health.checks.outcomes import told
from worker_agent.health.checks import memory
from worker_agent.health.checks.cgroup import ControlGroup
from worker_agent.health.checks.memory import MemoryCheck


@pytest.fixture(autouse=True)
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Of a container without limits, on a host that has 1000 bytes of which 400 are available."""
    monkeypatch.setattr(memory, "own_group", lambda: ControlGroup(tmp_path))
    monkeypatch.setattr(psutil, "virtual_memory", lambda: SimpleNamespace(total=1000, available=400))
    return tmp_path


def limit(directory: Path, limit: int, used: int) -> None:
    (directory / "memory.max").write_text(f"{limit}\n")
    (directory / "memory.current").write_text(f"{used + 50}\n")
    (directory / "memory.stat").write_text("anon 7\ninactive_file 50\n")


async def outcome(**arguments: Any) -> tuple[str, str | None]:
    state, _, error = told(await MemoryCheck(**arguments).run())
    return state, error


async def test_host() -> None:
    """Without limits the host's memory counts."""
    result = await MemoryCheck().run()
    assert vars(result)["details"] == {
        "percent": 60.0,
        "available_bytes": 400,
        "total_bytes": 1000,
        "scope": "host",
    }


async def test_container(directory: Path) -> None:
    """In a container with a limit its own memory counts; one that is above its limit has none left."""
    limit(directory, 200, 150)
    result = await MemoryCheck().run()
    assert vars(result)["details"] == {
        "percent": 75.0,
        "available_bytes": 50,
        "total_bytes": 200,
        "scope": "container",
    }
    limit(directory, 200, 250)
    assert await outcome() == ("unhealthy", "100 % of memory is used, above 90 %")


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ({}, ("healthy", None)),
        ({"max_percent": 60}, ("healthy", None)),
        ({"max_percent": 59.5}, ("unhealthy", "60 % of memory is used, above 59.5 %")),
        ({"max_percent": None}, ("healthy", None)),
        ({"min_available_bytes": 400}, ("healthy", None)),
        ({"min_available_bytes": 401}, ("unhealthy", "400 bytes of memory are left, below 401")),
        (
            {"min_available_bytes": 500, "beyond": "degraded"},
            ("degraded", "400 bytes of memory are left, below 500"),
        ),
        (
            {"max_percent": 10, "min_available_bytes": 500},
            ("unhealthy", "60 % of memory is used, above 10 %; 400 bytes of memory are left, below 500"),
        ),
    ],
)
async def test_limits(arguments: dict[str, Any], expected: tuple[str, str | None]) -> None:
    """Past a limit it is unhealthy, or what it was told to be, and says which one."""
    assert await outcome(**arguments) == expected


def test_defaults() -> None:
    """It is optional, and nothing is gained by giving it a rest."""
    check = MemoryCheck()
    assert (check.name, check.critical, check.breaker) == ("memory", False, None)


@pytest.mark.parametrize(
    ("arguments", "error", "text"),
    [
        ({"max_percent": "90"}, TypeError, "max_percent of check memory must be a number or None, not '90'"),
        ({"min_available_bytes": -1}, ValueError, "min_available_bytes of check memory must be 0 or more"),
        ({"beyond": None}, ValueError, "beyond of check memory must be 'degraded' or 'unhealthy'"),
    ],
)
def test_wrong_arguments(arguments: dict[str, Any], error: type[Exception], text: str) -> None:
    """A limit that cannot be meant is refused."""
    with pytest.raises(error, match=text):
        MemoryCheck(**arguments)


def test_without_psutil(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without psutil it says which extra has it."""
    monkeypatch.setitem(sys.modules, "psutil", None)
    with pytest.raises(
        ModuleNotFoundError, match=r"MemoryCheck needs psutil: .*heartbeat-exporter\[system\]"
    ):
        MemoryCheck()
