"""A named check: what it is called, how long it may take, how long it holds, and how much it matters."""

from __future__ import annotations

import asyncio
import functools
import inspect
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from worker_agent.health.result import Outcome, Result, judged
from worker_agent.protocol import MAX_CHECK_NAME, valid_check_name
from worker_agent.threads import in_daemon_thread

TIMEOUT = 2.0
CACHE = 5.0
_LONGEST = 3600.0

CheckFunction = Callable[[], Outcome | Awaitable[Outcome]]


def _seconds(what: str, value: object, *, zero: bool = False) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"{what} must be a number of seconds, not {value!r}")
    if not 0 <= value <= _LONGEST or (value == 0 and not zero):
        expected = "0 or more" if zero else "above 0"
        raise ValueError(f"{what} must be {expected} and at most {_LONGEST:g} s, not {value!r}")
    return float(value)


class StillRunning(TimeoutError):
    """An earlier run of the same check has not come back; another one would hang beside it."""


@dataclass(frozen=True)
class Breaker:
    """When to stop asking a dependency that is down: after `threshold` failures in a row, for `ttl` seconds.

    Then one run is let through, and decides for another `ttl`.
    """

    threshold: int = 5
    ttl: float = 30.0

    def __post_init__(self) -> None:
        if type(self.threshold) is not int or self.threshold < 1:
            raise ValueError(
                f"a breaker's threshold must be a number of failures, at least 1: {self.threshold!r}"
            )
        _seconds("a breaker's ttl", self.ttl)


BREAKER = Breaker()


class Check(ABC):
    """One thing to look at. A subclass says how in `run`; the `Health` it is added to says when.

    Args:
        name: at most 48 letters, digits and _ . : -, unique in the process.
        timeout: seconds that a run may take, waiting for its turn included.
        cache: seconds that a result is good for.
        critical: whether the worker is unhealthy without it; else it is degraded.
        breaker: when to give a dependency a rest; None never does.

    Raises:
        TypeError, ValueError: one of these cannot be meant; the text says which and what is expected.
    """

    def __init__(
        self,
        name: str,
        *,
        timeout: float = TIMEOUT,
        cache: float = CACHE,
        critical: bool = True,
        breaker: Breaker | None = BREAKER,
    ) -> None:
        if not isinstance(name, str):
            raise TypeError(f"a check needs a name, and {name!r} is none")
        if not valid_check_name(name):
            expected = (
                f"1 to {MAX_CHECK_NAME} ASCII letters, digits and _ . : -, beginning with a letter or digit"
            )
            raise ValueError(f"{name!r} is no name for a check: expected {expected}")
        self.name = name
        self.timeout = _seconds(f"the timeout of check {name}", timeout)
        self.cache = _seconds(f"the cache of check {name}", cache, zero=True)
        if not isinstance(critical, bool):
            raise TypeError(f"critical of check {name} must be True or False, not {critical!r}")
        self.critical = critical
        if breaker is not None and not isinstance(breaker, Breaker):
            raise TypeError(f"the breaker of check {name} must be a Breaker or None, not {breaker!r}")
        self.breaker = breaker

    @abstractmethod
    async def run(self) -> Outcome:
        """Look once. Runs on the application's event loop, never twice at a time; whatever it raises is
        an unhealthy result."""

    async def close(self) -> None:  # noqa: B027 - most checks hold nothing
        """Give back what `run` opened. It may run again afterwards, when the application is started anew."""


class FunctionCheck(Check):
    """A check that somebody wrote as a function: a coroutine function, or a plain one, for a thread.

    A plain function that hangs keeps its thread, and no other is started for it until it returns.
    """

    def __init__(
        self,
        name: str,
        function: CheckFunction,
        *,
        timeout: float = TIMEOUT,
        cache: float = CACHE,
        critical: bool = True,
        breaker: Breaker | None = BREAKER,
    ) -> None:
        super().__init__(name, timeout=timeout, cache=cache, critical=critical, breaker=breaker)
        self._function = _checkable(name, function)
        self._asynchronous = _is_asynchronous(function)
        self._ended = threading.Event()
        """Set unless a call hangs in its thread, on whichever event loop it was begun."""
        self._ended.set()
        self._called = 0.0

    async def run(self) -> Outcome:
        if not self._asynchronous:
            return await self._in_thread()
        awaitable = self._function()
        assert inspect.isawaitable(awaitable), "that is what makes it asynchronous"
        return await awaitable

    async def _in_thread(self) -> Result:
        if not self._ended.is_set():
            raise StillRunning(f"a run that began {time.monotonic() - self._called:.1f} s ago hangs")
        ended = threading.Event()
        call = in_daemon_thread(asyncio.get_running_loop(), self._judged_call, ended)
        self._ended, self._called = ended, time.monotonic()
        return await call

    def _judged_call(self, ended: threading.Event) -> Result:
        try:
            # Here, because to make a text of what it returned may take its time as well.
            return judged(self._function())
        finally:
            ended.set()


def _checkable(name: str, function: CheckFunction) -> CheckFunction:
    """The function, if it can be called without arguments and may return an outcome."""
    expected = f"check {name} must be a function without arguments"
    if inspect.iscoroutine(function):
        function.close()
        raise TypeError(f"{expected}, not a coroutine: pass the function, without calling it")
    if not callable(function):
        raise TypeError(f"{expected}, not {function!r}")
    if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
        raise TypeError(f"{expected} that returns its result; this one yields")
    try:
        inspect.signature(function).bind()
    except TypeError as error:
        raise TypeError(f"{expected}: {error}") from None
    except ValueError:  # some callables of C have no signature; the first run shows
        pass
    return function


def _is_asynchronous(function: object) -> bool:
    while isinstance(function, functools.partial):
        function = function.func
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(
        getattr(function, "__call__", None)  # noqa: B004 - not whether, but how it is called
    )
