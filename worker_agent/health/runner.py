"""Runs one check: once at a time, within its timeout, not more often than its cache says, and not at
all while its circuit is open. Whatever the check does, what comes out is a finding."""

from __future__ import annotations

import asyncio
import logging
import time
from bisect import bisect_left
from collections.abc import Callable
from datetime import UTC, datetime
from enum import StrEnum
from typing import NamedTuple

from worker_agent.health.check import Check, StillRunning
from worker_agent.health.circuits import CircuitOpen, Circuits
from worker_agent.health.result import Nonsense, Outcome, Result, judged, shown
from worker_agent.protocol import CheckState

_ENDING = 0.5
"""Seconds that a run which is abandoned gets to give back what it holds."""

_AFTER_OTHERS = 0.05
"""Seconds by which a check that hung lets the others go first; a tenth of its timeout at most."""

DURATION_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Upper bounds in seconds."""

logger = logging.getLogger(__name__)


class Failure(StrEnum):
    """Why a finding is unhealthy; the `reason` of heartbeat_agent_health_check_failures_total."""

    UNHEALTHY = "unhealthy"
    ERROR = "error"
    TIMEOUT = "timeout"
    INVALID = "invalid"
    CIRCUIT_OPEN = "circuit_open"


class Finding(NamedTuple):
    """One result and when it was had; `at` in seconds of the monotonic clock, `duration` in seconds."""

    result: Result
    at: float
    duration: float
    failure: Failure | None = None


class _Failed(Exception):
    """Carries an unhealthy result through the circuit breaker, which counts exceptions."""

    def __init__(self, result: Result, failure: Failure) -> None:
        super().__init__(result)
        self.result = result
        self.failure = failure


class Runner:
    """One check on one event loop, from the start of an agent to its end.

    Args:
        places: how many checks may run at the same time, over all of them.
        circuits: of all checks.
        counts: goes on over several starts.
    """

    def __init__(
        self,
        check: Check,
        places: asyncio.Semaphore,
        circuits: Circuits,
        counts: Counts,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.check = check
        self.last: Finding | None = None
        self._places = places
        self._circuits = circuits
        self._counts = counts
        self._monotonic = monotonic
        self._flight: asyncio.Task[Finding] | None = None
        self._execution: asyncio.Task[Outcome] | None = None
        self._hung = False

    async def finding(self) -> Finding:
        """The last finding as long as it holds, else a new one. Takes the check's timeout at most."""
        if self.last is not None and self._holds(self.last):
            self._counts.cache_hits += 1
            return self.last
        return await self.refreshed()

    async def refreshed(self) -> Finding:
        """A finding that holds; whoever asks while a run is under way gets the result of that run."""
        if self.last is not None and self._holds(self.last):
            return self.last
        if self._flight is None or self._flight.done():
            self._flight = asyncio.create_task(self._find(), name=f"health check {self.check.name}")
        flight, began = self._flight, self._monotonic()
        # Whoever waits may be cancelled, and so may the flight, by `stop`: neither ends the other.
        await asyncio.wait((flight,))
        if not flight.cancelled():
            return flight.result()
        now = self._monotonic()
        return Finding(Result.unhealthy("the agent stopped during this run"), now, now - began, Failure.ERROR)

    async def stop(self) -> None:
        """Abandon what is under way, and give it half a second to end."""
        under_way = [task for task in (self._flight, self._execution) if task is not None and not task.done()]
        for task in under_way:
            task.cancel()
        if under_way:
            await asyncio.wait(under_way, timeout=_ENDING)

    def age(self, finding: Finding) -> float:
        """Seconds since the end of the run that found it."""
        return self._monotonic() - finding.at

    def _holds(self, finding: Finding) -> bool:
        return self.age(finding) < self.check.cache

    async def _find(self) -> Finding:
        began = self._monotonic()
        result, failure = await self._attempt(began)
        now = self._monotonic()
        finding = Finding(result, now, now - began, failure)
        previous, self.last = self.last, finding
        self._counts.add(finding)
        self._tell(previous, finding)
        return finding

    async def _attempt(self, began: float) -> tuple[Result, Failure | None]:
        if self._execution is not None and not self._execution.done():
            # It was cancelled and did not end: another one beside it would hang as well.
            return self._hanging("a run that was cancelled goes on all the same")
        try:
            async with asyncio.timeout(self.check.timeout):
                if self._hung:
                    # All are looked at together. Those that hang would take all places each time, and leave
                    # them when the others' timeouts are over as well.
                    await asyncio.sleep(min(_AFTER_OTHERS, self.check.timeout / 10))
                await self._places.acquire()
        except TimeoutError:
            return self._hanging(f"no turn within {self.check.timeout:g} s: too many checks hang")
        try:
            async with self._circuits.closed(self.check):
                return await self._execute(self.check.timeout - (self._monotonic() - began)), None
        except _Failed as failed:
            return failed.result, failed.failure
        except CircuitOpen as circuit:
            return self._resting(circuit.since), Failure.CIRCUIT_OPEN
        finally:
            # Also by a run that hangs: it may keep a task or a thread, but not the others' turn.
            self._places.release()

    async def _execute(self, timeout: float) -> Result:
        self._execution = asyncio.create_task(_run(self.check), name=f"run of check {self.check.name}")
        self._execution.add_done_callback(_retrieve)
        done, _ = await asyncio.wait((self._execution,), timeout=max(0.0, timeout))
        self._hung = not done
        if not done:
            self._execution.cancel()
            raise _Failed(*self._hanging(f"no result within {self.check.timeout:g} s"))
        try:
            result = judged(self._execution.result())
        except StillRunning as error:
            raise _Failed(*self._hanging(str(error))) from None
        except Nonsense as error:
            raise _Failed(Result.unhealthy(str(error)), Failure.INVALID) from None
        except asyncio.CancelledError:
            raise _Failed(Result.unhealthy("the check was cancelled"), Failure.ERROR) from None
        except BaseException as error:  # of the run, which is over: there is nothing here to interrupt
            said = shown(error)
            described = f"{type(error).__name__}: {said}" if said else type(error).__name__
            failure = Failure.TIMEOUT if isinstance(error, TimeoutError) else Failure.ERROR
            raise _Failed(Result.unhealthy(described), failure) from None
        if result.state is CheckState.UNHEALTHY:
            raise _Failed(result, Failure.UNHEALTHY)
        return result

    def _hanging(self, error: str) -> tuple[Result, Failure]:
        return Result.unhealthy(error), Failure.TIMEOUT

    def _resting(self, opened_at: float) -> Result:
        since = datetime.fromtimestamp(opened_at, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
        error = None if self.last is None else self.last.result.error
        return Result.unhealthy(error or "it kept failing", **{"circuit": f"open since {since}"})

    def _tell(self, previous: Finding | None, finding: Finding) -> None:
        before = CheckState.HEALTHY if previous is None else previous.result.state
        after = finding.result.state
        if before is after:
            return
        fields = {"check": self.check.name, "from": before.value, "to": after.value}
        if after is CheckState.HEALTHY:
            logger.info("check %s is healthy again", self.check.name, extra=fields)
        else:
            why = finding.result.error or "it does not say why"
            logger.warning("check %s is %s: %s", self.check.name, after, why, extra=fields)


class Counts:
    """What is counted about one check, for its metrics."""

    def __init__(self) -> None:
        self.cache_hits = 0
        self.failures = dict.fromkeys(Failure, 0)
        self.duration_counts = [0] * (len(DURATION_BUCKETS) + 1)
        """One for each bucket, not accumulated, and one for what lies above."""
        self.duration_sum = 0.0

    def add(self, finding: Finding) -> None:
        if finding.failure is not None:
            self.failures[finding.failure] += 1
        if finding.failure is not Failure.CIRCUIT_OPEN:
            self.duration_counts[bisect_left(DURATION_BUCKETS, finding.duration)] += 1
            self.duration_sum += finding.duration


def _retrieve(execution: asyncio.Task[Outcome]) -> None:
    """Or asyncio logs what a run raised that nobody waited for any more."""
    if not execution.cancelled():
        execution.exception()


async def _run(check: Check) -> Outcome:
    try:
        return await check.run()
    except SystemExit as error:
        # In a task it would end the application.
        raise RuntimeError(f"it raised SystemExit: {error}") from None
