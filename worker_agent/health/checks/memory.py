"""Whether there is memory left."""

from __future__ import annotations

from worker_agent.health.check import CACHE, TIMEOUT, Breaker, Check
from worker_agent.health.checks.cgroup import own_group
from worker_agent.health.checks.library import need
from worker_agent.health.checks.limits import checked_limit, checked_measure, checked_severity, verdict
from worker_agent.health.result import Outcome
from worker_agent.protocol import CheckState


class MemoryCheck(Check):
    """Reads how much memory is used: of the container where it has a limit of its own (control groups of
    version 2), else of the host with all that runs there.

    Details: `percent` used, `available_bytes` and `total_bytes`, and `scope`, "container" or "host".

    Args:
        max_percent: what may be used; None for any share.
        min_available_bytes: what must be left; None for any amount.
        beyond: what the check is past one of them, "degraded" or "unhealthy". As it is optional, the worker
            is degraded either way.

    Raises:
        TypeError, ValueError: an argument that cannot be meant.
        ModuleNotFoundError: psutil is not installed.
    """

    def __init__(
        self,
        name: str = "memory",
        *,
        max_percent: float | None = 90.0,
        min_available_bytes: int | None = None,
        beyond: str = CheckState.UNHEALTHY,
        timeout: float = TIMEOUT,
        cache: float = CACHE,
        critical: bool = False,
        breaker: Breaker | None = None,
    ) -> None:
        super().__init__(name, timeout=timeout, cache=cache, critical=critical, breaker=breaker)
        need("MemoryCheck", "psutil", "system")
        self._max_percent = checked_measure(f"max_percent of check {name}", max_percent, 100)
        self._min_available = checked_limit(f"min_available_bytes of check {name}", min_available_bytes)
        self._beyond = checked_severity(f"beyond of check {name}", beyond)
        self._group = own_group()

    async def run(self) -> Outcome:
        scope, total, available = self._amounts()
        percent = 100 * (1 - available / total)
        passed = []
        if self._max_percent is not None and percent > self._max_percent:
            passed.append(f"{percent:.0f} % of memory is used, above {self._max_percent:g} %")
        if self._min_available is not None and available < self._min_available:
            passed.append(f"{available} bytes of memory are left, below {self._min_available}")
        details = {
            "percent": round(percent, 1),
            "available_bytes": available,
            "total_bytes": total,
            "scope": scope,
        }
        return verdict(self._beyond, passed, details)

    def _amounts(self) -> tuple[str, int, int]:
        if (memory := self._group.memory()) is not None:
            return "container", memory.limit, max(memory.limit - memory.used, 0)
        import psutil  # type: ignore[import-untyped]

        host = psutil.virtual_memory()
        return "host", host.total, host.available
