"""What Linux tells about a control group."""

from __future__ import annotations

from pathlib import Path

import pytest

from worker_agent.health.checks import cgroup
from worker_agent.health.checks.cgroup import ControlGroup, Memory, own_group

GIB = 2**30


def group(directory: Path, **files: str) -> ControlGroup:
    """A control group of these files; `_` stands for the dot in a name."""
    for name, text in files.items():
        (directory / name.replace("_", ".")).write_text(text)
    return ControlGroup(directory)


STAT = "anon 1000\nfile 500\ninactive_file 200\nactive_file 300\n"


@pytest.mark.parametrize(
    ("files", "memory"),
    [
        ({"memory_max": f"{GIB}\n", "memory_current": "1500\n", "memory_stat": STAT}, Memory(1300, GIB)),
        ({"memory_max": f"{GIB}\n", "memory_current": "100\n", "memory_stat": STAT}, Memory(0, GIB)),
        ({"memory_max": "max\n", "memory_current": "1500\n", "memory_stat": STAT}, None),
        ({"memory_max": f"{GIB}\n", "memory_current": "1500\n", "memory_stat": "anon 1\n"}, None),
        ({"memory_max": f"{GIB}\n"}, None),
        ({}, None),
    ],
)
def test_memory(tmp_path: Path, files: dict[str, str], memory: Memory | None) -> None:
    """What is used is what the kernel cannot take back; without a limit nothing is known."""
    assert group(tmp_path, **files).memory() == memory


@pytest.mark.parametrize(
    ("text", "cores"), [("150000 100000\n", 1.5), ("max 100000\n", None), ("\n", None), (None, None)]
)
def test_cores(tmp_path: Path, text: str | None, cores: float | None) -> None:
    """A quota in each period makes a number of CPUs, which need not be whole."""
    assert group(tmp_path, **({} if text is None else {"cpu_max": text})).cores() == cores


def test_cpu_seconds(tmp_path: Path) -> None:
    """The CPU time used up is told in microseconds."""
    assert group(tmp_path, cpu_stat="usage_usec 2500000\nuser_usec 1\n").cpu_seconds() == 2.5


@pytest.mark.parametrize(
    ("membership", "path"),
    [
        ("0::/\n", ""),
        ("0::/system.slice/worker.service\n", "system.slice/worker.service"),
        ("4:memory:/here\n1:name=systemd:/there\n0::/pods/a:b\n", "pods/a:b"),
        ("4:memory:/here\n", ""),
        (None, ""),
    ],
)
def test_own_group(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, membership: str | None, path: str
) -> None:
    """The group of this process is named by the kernel; without version 2 it is one that has no limits."""
    if membership is not None:
        (tmp_path / "cgroup").write_text(membership)
    (tmp_path / "root" / path).mkdir(parents=True, exist_ok=True)
    (tmp_path / "root" / path / "cpu.max").write_text("50000 100000\n")
    monkeypatch.setattr(cgroup, "_MEMBERSHIP", tmp_path / "cgroup")
    monkeypatch.setattr(cgroup, "_ROOT", tmp_path / "root")
    assert own_group().cores() == 0.5


def test_here() -> None:
    """Whatever this machine is, its own group can be asked."""
    memory, cores = own_group().memory(), own_group().cores()
    assert memory is None or 0 < memory.used < memory.limit
    assert cores is None or cores > 0
