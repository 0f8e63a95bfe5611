"""The circuit breakers of checks: purgatory's, in memory.

It is imported when the first check is added: that takes as long as all the rest of the agent.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING

from worker_agent.health.check import Check

if TYPE_CHECKING:
    from purgatory import AsyncCircuitBreakerFactory


class CircuitOpen(Exception):
    """A check has failed too often and rests; `since`, in Unix seconds, is when it was first given a rest."""

    def __init__(self, since: float) -> None:
        super().__init__(since)
        self.since = since


class Circuits:
    """One for each check that has a breaker, by its name."""

    def __init__(self) -> None:
        self._breakers: AsyncCircuitBreakerFactory | None = None
        self._since: dict[str, float] = {}

    def prepare(self, check: Check) -> None:
        """Before the check runs for the first time: load what its breaker takes."""
        if check.breaker is not None and self._breakers is None:
            from purgatory import AsyncCircuitBreakerFactory

            self._breakers = AsyncCircuitBreakerFactory()

    @asynccontextmanager
    async def closed(self, check: Check) -> AsyncIterator[None]:
        """A block for one run of a check; an exception that leaves it is a failure of the check.

        Raises:
            CircuitOpen: the check is not to be run.
        """
        if check.breaker is None:
            yield
            return
        from purgatory.domain.model import OpenedState

        self.prepare(check)
        assert self._breakers is not None, "that is what preparing does"
        breaker = await self._breakers.get_breaker(check.name, check.breaker.threshold, check.breaker.ttl)
        async with AsyncExitStack() as run:
            try:
                await run.enter_async_context(breaker)
            except OpenedState as state:
                # It is one exception, raised again and again: each time it would remember this frame too.
                state.__traceback__ = None
                # Its clock is that of the wall, which may have been put back by more than the rest takes.
                state.opened_at = min(state.opened_at, time.time())
                # Each run that is let through and fails opens it anew.
                raise CircuitOpen(self._since.setdefault(check.name, state.opened_at)) from None
            yield
        self._since.pop(check.name, None)
