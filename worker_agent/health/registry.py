"""The health checks of a process: added once, looked at all the time, told to whoever asks."""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple, TypeVar

from worker_agent.health.check import BREAKER, CACHE, TIMEOUT, Breaker, Check, CheckFunction, FunctionCheck
from worker_agent.health.circuits import Circuits
from worker_agent.health.result import shown
from worker_agent.health.runner import Counts, Finding, Runner
from worker_agent.protocol import MAX_CHECKS, Checks

CONCURRENCY = 8
ROUND = 5.0
"""Seconds after which a check is run again by itself, unless its result is good for longer."""

RESERVED = "exporter"
"""Under this name every worker reports on its connection to the exporter."""

_CLOSE_TIMEOUT = 1.0
_SHORTEST_SLEEP = 0.001

logger = logging.getLogger(__name__)

FunctionT = TypeVar("FunctionT", bound=CheckFunction)


class Standing(NamedTuple):
    """A check and its last finding; None before the first."""

    check: Check
    finding: Finding | None


class Health:
    """A registry of named checks.

        health.add(RedisCheck("cache", url="redis://cache", critical=False))

        @health.check("queue-depth", timeout=2, cache=5)
        async def queue_depth() -> Result: ...

    Args:
        concurrency: how many checks run at the same time; the others wait for their turn, which
            counts into their timeouts.
    """

    def __init__(self, *, concurrency: int = CONCURRENCY) -> None:
        if type(concurrency) is not int or concurrency < 1:
            raise ValueError(f"concurrency must be a number of checks, at least 1, not {concurrency!r}")
        self._concurrency = concurrency
        self._checks: dict[str, Check] = {}
        self._counts: dict[str, Counts] = {}
        self._circuits = Circuits()
        self._rounds: _Rounds | None = None
        self._started_up = False

    def add(self, check: Check) -> None:
        """Have a check looked at from now on; before the agent starts, or on the application's event loop.

        Raises:
            TypeError: no `Check`, or one that is not finished; functions are added with `check`.
            ValueError: the name is taken, or there are 32 checks already.
            RuntimeError: the agent runs, and this is not the application's event loop.
        """
        hint = '@health.check("name")'
        if not isinstance(check, Check):
            raise TypeError(f"expected a Check, not {check!r}; for a function there is {hint}")
        if not hasattr(check, "breaker"):
            raise TypeError(f"a {type(check).__name__} needs a super().__init__(name) in its __init__")
        if not inspect.iscoroutinefunction(check.run):
            raise TypeError(f"run of check {check.name} must be an async def; for a function there is {hint}")
        if check.name == RESERVED:
            raise ValueError(f"the name {RESERVED} is taken by the connection to the exporter")
        if check.name in self._checks:
            raise ValueError(f"there is a check named {check.name} already")
        if len(self._checks) >= MAX_CHECKS:
            raise ValueError(f"check {check.name} is one too many: at most {MAX_CHECKS} are allowed")
        self._circuits.prepare(check)
        counts = Counts()
        if self._rounds is not None:
            self._rounds.begin(check, self._circuits, counts)
        self._counts[check.name] = counts
        self._checks[check.name] = check

    def check(
        self,
        name: str,
        *,
        timeout: float = TIMEOUT,
        cache: float = CACHE,
        critical: bool = True,
        breaker: Breaker | None = BREAKER,
    ) -> Callable[[FunctionT], FunctionT]:
        """Decorator: add a function as a check; see `Check` for the arguments, `Outcome` for its result.

        A coroutine function runs on the application's event loop, any other in a thread of its own.

        Raises:
            TypeError, ValueError: name, arguments or function cannot be meant; says what is expected.
        """
        if callable(name):
            raise TypeError('a check needs a name: @health.check("name")')

        def add(function: FunctionT) -> FunctionT:
            self.add(
                FunctionCheck(
                    name, function, timeout=timeout, cache=cache, critical=critical, breaker=breaker
                )
            )
            return function

        return add

    @property
    def checks(self) -> Mapping[str, Check]:
        """All checks by name, in the order in which they were added."""
        return self._checks

    def counts(self) -> Mapping[str, Counts]:
        """What was counted about each check, by name."""
        return self._counts

    @property
    def started_up(self) -> bool:
        """Whether every check has had its first result, once."""
        if not self._started_up and self._rounds is not None:
            self._started_up = self._rounds.complete
        return self._started_up

    async def look(self, names: Iterable[str] | None = None) -> dict[str, Standing]:
        """How these checks stand, all of them without `names`; takes their largest timeout at most.

        On the event loop that `start` was called on. Where it was not, no check has a finding.

        Raises:
            KeyError: there is no check of that name.
        """
        wanted = [self._checks[name] for name in (self._checks if names is None else names)]
        if self._rounds is None:
            return {check.name: Standing(check, None) for check in wanted}
        findings = await asyncio.gather(*(self._rounds.runners[check.name].finding() for check in wanted))
        return {check.name: Standing(check, finding) for check, finding in zip(wanted, findings, strict=True)}

    def last(self) -> dict[str, Standing]:
        """How all checks stood last time; from any thread."""
        runners = {} if self._rounds is None else self._rounds.runners
        return {
            name: Standing(check, runners[name].last if name in runners else None)
            for name, check in self._checks.copy().items()
        }

    def states(self) -> Checks | None:
        """The states known so far, sorted by name; None where there are no checks. From any thread."""
        if not self._checks:
            return None
        known = [
            (name, standing.finding.result.state)
            for name, standing in self.last().items()
            if standing.finding is not None
        ]
        return tuple(sorted(known))

    async def start(self) -> None:
        """Look at everything from now on, on this event loop.

        Raises:
            RuntimeError: it was started already, by another agent; each needs checks of its own.
        """
        if self._rounds is not None:
            raise RuntimeError("these checks belong to an agent that is running already")
        self._rounds = _Rounds(self._concurrency)
        for name, check in self._checks.items():
            self._rounds.begin(check, self._circuits, self._counts[name])

    async def stop(self) -> None:
        """Stop looking, and have every check give back what it holds, for a second at most."""
        rounds, self._rounds = self._rounds, None
        if rounds is not None:
            await rounds.end()


class _Rounds:
    """All checks on one event loop, each looked at again when it is time."""

    def __init__(self, concurrency: int) -> None:
        self.runners: dict[str, Runner] = {}
        self._loop = asyncio.get_running_loop()
        self._places = asyncio.Semaphore(concurrency)
        self._tasks: list[asyncio.Task[None]] = []

    @property
    def complete(self) -> bool:
        # A copy, made at once: another thread may ask while a check is added.
        return all(runner.last is not None for runner in list(self.runners.values()))

    def begin(self, check: Check, circuits: Circuits, counts: Counts) -> None:
        if _running_loop() is not self._loop:
            raise RuntimeError(
                f"check {check.name} comes late: the agent runs, so add it on the application's event loop"
            )
        runner = Runner(check, self._places, circuits, counts)
        self.runners[check.name] = runner
        self._tasks.append(asyncio.create_task(_keep_fresh(runner), name=f"rounds of {check.name}"))

    async def end(self) -> None:
        for task in self._tasks:
            task.cancel()
        ending = [
            asyncio.create_task(_end(runner), name=f"end of {runner.check.name}")
            for runner in self.runners.values()
        ]
        if ending:
            _, late = await asyncio.wait(ending, timeout=_CLOSE_TIMEOUT)
            for task in late:
                logger.warning("the %s takes longer than %g s", task.get_name(), _CLOSE_TIMEOUT)
                task.cancel()


def _running_loop() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None


async def _keep_fresh(runner: Runner) -> None:
    period = max(runner.check.cache, ROUND)
    while True:
        finding = await runner.refreshed()
        # By its age, because it may be the old one: uvloop ends a sleep up to a millisecond early, and a
        # check that sleeps a whole period then is run in every other round only.
        await asyncio.sleep(max(period - runner.age(finding), _SHORTEST_SLEEP))


async def _end(runner: Runner) -> None:
    await runner.stop()
    try:
        await runner.check.close()
    except (Exception, SystemExit) as error:
        name = runner.check.name
        logger.warning("closing check %s failed: %s", name, shown(error, repr), extra={"check": name})
