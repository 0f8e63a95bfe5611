"""While a store fails: when to try again, and what to say. That is once at each end, not at each try."""

from __future__ import annotations

import logging
from collections.abc import Iterator

from exporter.clock import Clock
from exporter.core.model import SECOND, Mono

logger = logging.getLogger(__name__)


def retry_delays() -> Iterator[float]:
    """Seconds to wait before the store is tried again."""
    yield from (0.5, 1.0, 2.0, 4.0)
    while True:
        yield 5.0


class Outage:
    """None until `failed`, then one until `over`; each different problem is logged once in it."""

    def __init__(self, where: str, clock: Clock) -> None:
        self._where = where
        self._clock = clock
        self._began: Mono | None = None
        self._logged: set[str] = set()
        self.problem: str | None = None

    def failed(self, problem: str, *, permanent: bool) -> None:
        if self._began is None:
            self._began = self._clock.now().mono
        self.problem = problem
        if problem not in self._logged:
            self._logged.add(problem)
            logger.log(
                logging.ERROR if permanent else logging.WARNING,
                "%s; judging goes on, and what changes is kept until the store is back",
                problem,
                extra={"store": self._where},
            )

    def over(self) -> bool:
        """All is well. Returns whether it was otherwise before."""
        if self._began is None:
            return False
        seconds = (self._clock.now().mono - self._began) / SECOND
        logger.info(
            "%s is back and up to date after %.1f s", self._where, seconds, extra={"store": self._where}
        )
        self._began = self.problem = None
        self._logged.clear()
        return True
