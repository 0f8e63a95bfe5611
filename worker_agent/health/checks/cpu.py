"""Whether there is time to compute left."""

from __future__ import annotations

import asyncio
from time import monotonic
from typing import NamedTuple

from worker_agent.health.check import CACHE, TIMEOUT, Breaker, Check
from worker_agent.health.checks.cgroup import own_group
from worker_agent.health.checks.library import need
from worker_agent.health.checks.limits import checked_measure, checked_severity, verdict
from worker_agent.health.result import Outcome
from worker_agent.protocol import CheckState

WINDOW = 0.2
"""Seconds over which one measures at least: over less, a CPU is either busy or not."""


class _Reading(NamedTuple):
    scope: str
    at: float
    cpu_seconds: float


class CpuCheck(Check):
    """Measures how busy the CPUs were since the last run: those of the container where it has a limit of its
    own (control groups of version 2), else those of the host with all that runs there.

    Details: `percent` of the `cores` that there are to use, and `scope`, "container" or "host".

    Args:
        max_percent: what is still all right.
        beyond: what the check is above it, "degraded" or "unhealthy". As it is optional, the worker is
            degraded either way.

    Raises:
        TypeError, ValueError: an argument that cannot be meant.
        ModuleNotFoundError: psutil is not installed.
    """

    def __init__(
        self,
        name: str = "cpu",
        *,
        max_percent: float = 90.0,
        beyond: str = CheckState.UNHEALTHY,
        timeout: float = TIMEOUT,
        cache: float = CACHE,
        critical: bool = False,
        breaker: Breaker | None = None,
    ) -> None:
        super().__init__(name, timeout=timeout, cache=cache, critical=critical, breaker=breaker)
        need("CpuCheck", "psutil", "system")
        self._max_percent = checked_measure(f"max_percent of check {name}", max_percent, 100)
        self._beyond = checked_severity(f"beyond of check {name}", beyond)
        self._group = own_group()
        self._last: _Reading | None = None

    async def run(self) -> Outcome:
        cores = self._group.cores()
        scope, available = ("host", _host_cores()) if cores is None else ("container", cores)
        before = self._last
        if before is None or before.scope != scope:
            before = self._reading(scope)
        await asyncio.sleep(max(0.0, before.at + WINDOW - monotonic()))
        self._last = now = self._reading(scope)
        used = max(0.0, now.cpu_seconds - before.cpu_seconds)
        percent = 100 * used / ((now.at - before.at) * available)
        passed = (
            [f"{percent:.0f} % of CPU time is used, above {self._max_percent:g} %"]
            if self._max_percent is not None and percent > self._max_percent
            else []
        )
        details = {"percent": round(percent, 1), "cores": round(available, 2), "scope": scope}
        return verdict(self._beyond, passed, details)

    async def close(self) -> None:
        self._last = None

    def _reading(self, scope: str) -> _Reading:
        used = _host_cpu_seconds() if scope == "host" else self._group.cpu_seconds()
        return _Reading(scope, monotonic(), used)


def _host_cores() -> int:
    import psutil  # type: ignore[import-untyped]

    return psutil.cpu_count() or 1


def _host_cpu_seconds() -> float:
    """Time that all CPUs of the host were not idle.

    psutil.cpu_percent would do the same from the last time that anybody in this thread called it.
    """
    import psutil

    times = psutil.cpu_times()._asdict()
    # A guest's time is part of its user's; waiting for a disk is idling.
    return float(sum(times.values()) - sum(times.get(name, 0.0) for name in _NOT_BUSY))


_NOT_BUSY = ("idle", "iowait", "guest", "guest_nice")
