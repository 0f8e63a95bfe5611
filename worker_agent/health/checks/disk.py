"""Whether there is room left on a file system."""

from __future__ import annotations

import os
import shutil

from worker_agent.health.check import CACHE, TIMEOUT, Breaker, FunctionCheck
from worker_agent.health.checks.limits import checked_limit, checked_measure, checked_severity, verdict
from worker_agent.health.result import Outcome
from worker_agent.protocol import CheckState


class DiskCheck(FunctionCheck):
    """Asks a file system how full it is, in a thread: one that is mounted over a network may hang.

    Details: `path`, `percent` used of what others than root may use, `free_bytes` and `total_bytes`.

    Args:
        path: any on the file system; where it does not exist the check fails.
        max_percent: what may be used; None for any share.
        min_free_bytes: what must be left; None for any amount.
        beyond: what the check is past one of them, "degraded" or "unhealthy". As it is optional, the worker
            is degraded either way.

    Raises:
        TypeError, ValueError: an argument that cannot be meant.
    """

    def __init__(
        self,
        name: str = "disk",
        *,
        path: str | os.PathLike[str] = "/",
        max_percent: float | None = 90.0,
        min_free_bytes: int | None = None,
        beyond: str = CheckState.UNHEALTHY,
        timeout: float = TIMEOUT,
        cache: float = CACHE,
        critical: bool = False,
        breaker: Breaker | None = None,
    ) -> None:
        super().__init__(name, self._look, timeout=timeout, cache=cache, critical=critical, breaker=breaker)
        self._path = os.fspath(path)
        self._max_percent = checked_measure(f"max_percent of check {name}", max_percent, 100)
        self._min_free = checked_limit(f"min_free_bytes of check {name}", min_free_bytes)
        self._beyond = checked_severity(f"beyond of check {name}", beyond)

    def _look(self) -> Outcome:
        total, used, free = shutil.disk_usage(self._path)
        # As df has it: what is kept for root is neither used nor free. Some file systems have no size.
        percent = 100 * used / max(used + free, 1)
        passed = []
        if self._max_percent is not None and percent > self._max_percent:
            passed.append(f"{percent:.0f} % of {self._path} is used, above {self._max_percent:g} %")
        if self._min_free is not None and free < self._min_free:
            passed.append(f"{free} bytes of {self._path} are free, below {self._min_free}")
        details = {
            "path": self._path,
            "percent": round(percent, 1),
            "free_bytes": free,
            "total_bytes": total,
        }
        return verdict(self._beyond, passed, details)
