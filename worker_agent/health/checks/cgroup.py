"""The limits of the container, or the service, that this process runs in: Linux' control groups, version 2.

Of version 1, of a host without limits, and of a limit that a group above ours has, nothing is known here.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

_ROOT = Path("/sys/fs/cgroup")
_MEMBERSHIP = Path("/proc/self/cgroup")


class Memory(NamedTuple):
    """Bytes. What the kernel can take back at any time, its cache of files not used lately, is not used."""

    used: int
    limit: int


class ControlGroup:
    """One control group, read anew each time."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def memory(self) -> Memory | None:
        """None without a limit."""
        try:
            limit = int(self._read("memory.max"))
            used = int(self._read("memory.current")) - self._statistic("memory.stat", "inactive_file")
        except (OSError, ValueError, LookupError):  # "max" is no number
            return None
        return Memory(max(used, 0), limit)

    def cores(self) -> float | None:
        """How many CPUs it may use at the same time, which need not be whole; None without a limit."""
        try:
            quota, period = map(int, self._read("cpu.max").split())
        except (OSError, ValueError):
            return None
        return quota / period

    def cpu_seconds(self) -> float:
        """Time of CPUs that it has used up.

        Raises:
            OSError, LookupError: the kernel does not tell.
        """
        return self._statistic("cpu.stat", "usage_usec") / 1_000_000

    def _statistic(self, file: str, name: str) -> int:
        return int(dict(line.split() for line in self._read(file).splitlines())[name])

    def _read(self, file: str) -> str:
        return (self._directory / file).read_text()


def own_group() -> ControlGroup:
    """The group of this process; one without limits where there is none."""
    try:
        lines = _MEMBERSHIP.read_text().splitlines()
    except OSError:
        lines = []
    for line in lines:
        hierarchy, _, path = line.split(":", 2)
        if hierarchy == "0":  # version 2 has one hierarchy alone, of this number
            return ControlGroup(_ROOT / path.removeprefix("/"))
    return ControlGroup(_ROOT)
