"""The circuit breakers of checks: purgatory's, in memory.

It is imported when the first check is added: that takes as long as all the rest of the agent.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING

from worker_agent.health.check import Check

if TYPE_CHECKING:
    from purgatory import AsyncCircuitBreakerFactory


class CircuitOpen(Exception):
    """A check has failed too often and rests; `since` is in Unix seconds."""

    def __init__(self, since: float) -> None:
        super().__init__(since)
        self.since = since


class Circuits:
    """One for each check that has a breaker, by its name."""

    def __init__(self) -> None:
        self._breakers: AsyncCircuitBreakerFactory | None = None

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
                raise CircuitOpen(state.opened_at) from None
            yield
