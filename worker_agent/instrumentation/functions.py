"""`@measured`: counts, times and watches the functions of an application.

    @measured
    async def load(order_id: int) -> Order: ...

    @measured(name="checkout", buckets=(0.05, 0.25, 1))
    def check_out(basket: Basket) -> Receipt: ...

Counting happens here; what is counted becomes metrics in `function_metrics`, which is imported when they are
to be shown: prometheus_client must not be loaded before its environment is prepared.
"""

from __future__ import annotations

import inspect
import os
import threading
import time
from collections.abc import Callable, Iterable
from itertools import pairwise
from math import isfinite
from numbers import Real
from typing import Any, ParamSpec, TypeVar, overload

from worker_agent.instrumentation import processes
from worker_agent.instrumentation.function_calls import Clock, counted
from worker_agent.instrumentation.function_record import FunctionRecord

# Now, because a module that measures its functions may make metrics before the agent is imported.
processes.prepare()

P = ParamSpec("P")
R = TypeVar("R")

MAX_NAME = 100

_LATER = object()  # None is what a function may have returned that was called by mistake


class Functions:
    """The functions that were decorated with `measured` of this object, and what was counted of them.

    Args:
        clock: seconds since some moment; never goes back.
    """

    def __init__(self, clock: Clock = time.perf_counter) -> None:
        self._clock = clock
        self._records: dict[str, FunctionRecord] = {}
        self._lock = threading.Lock()

    @property
    def records(self) -> list[FunctionRecord]:
        """One for each label, in the order of decoration."""
        with self._lock:
            return list(self._records.values())

    @overload
    def measured(self, function: Callable[P, R], /) -> Callable[P, R]: ...

    @overload
    def measured(
        self, /, *, name: str | None = None, buckets: Iterable[float] | None = None
    ) -> Callable[[Callable[P, R]], Callable[P, R]]: ...

    def measured(
        self, function: Any = _LATER, /, *, name: str | None = None, buckets: Iterable[float] | None = None
    ) -> Any:
        """Count the calls of a function, the time spent in them, those under way, and what they raise.

        For functions and methods, sync and async, and for generators of both kinds. What is decorated keeps
        its signature, types, name and kind. In a stack of decorators it stands below `@classmethod`,
        `@staticmethod`, `@property` and routes.

        The time of a coroutine function includes what it waits for. That of a generator is the time inside
        it, from its first step to its end, not what its consumer does in between. What leaves a function as
        an exception is a failure, also a cancellation and what a consumer throws into a generator; to close
        a generator early is none.

        Functions of the same label are counted together: so nothing grows when a module is loaded again, or
        when a function is made and decorated in every call of another.

        Args:
            name: the label `function`, up to 100 printable ASCII characters; module and qualified name of
                the function when left out.
            buckets: upper bounds in seconds, increasing, of a histogram of durations; none when left out.
                A last one without bound is added.

        Raises:
            TypeError: what is decorated is not a function, or an argument not of its type.
            ValueError: a name or buckets as above were expected; or the label is in use with other buckets.
        """
        if name is not None:
            _check_name(name)
        bounds = () if buckets is None else _bounds(buckets)

        def decorate(function: Callable[P, R]) -> Callable[P, R]:
            _check_function(function)
            return counted(function, self._record(name or _label(function), bounds), self._clock)

        return decorate if function is _LATER else decorate(function)

    def start_over(self) -> None:
        """Forget the counts, not the functions. For a forked process: what it inherits its parent reports."""
        self._lock = threading.Lock()
        for record in self._records.values():
            record.start_over()

    def _record(self, label: str, bounds: tuple[float, ...]) -> FunctionRecord:
        with self._lock:
            record = self._records.setdefault(label, FunctionRecord(label, bounds))
        if record.bounds != bounds:
            raise ValueError(
                f"{label} is measured with the buckets {record.bounds}, not {bounds}: "
                "give the same ones, or another name"
            )
        return record


def _check_function(function: object) -> None:
    if isinstance(function, classmethod | staticmethod | property):
        kind = type(function).__name__
        raise TypeError(f"expected a function, got a {kind}: write @{kind} above @measured")
    if isinstance(function, type) or not callable(function):
        hint = ""
        if inspect.isawaitable(function) or inspect.isgenerator(function) or inspect.isasyncgen(function):
            hint = ": decorate the function, not what a call of it returns"
        raise TypeError(f"expected a function, got {function!r}{hint}")


def _check_name(name: object) -> None:
    if not isinstance(name, str):
        raise TypeError(f"name: expected text, got {name!r}")
    if not (name.isascii() and name.isprintable() and 0 < len(name) <= MAX_NAME):
        raise ValueError(f"name: expected 1 to {MAX_NAME} printable ASCII characters, got {name!r}")


def _bounds(buckets: Iterable[float]) -> tuple[float, ...]:
    expectation = "buckets: expected seconds in increasing order, such as (0.1, 0.5, 2)"
    if isinstance(buckets, str) or not isinstance(buckets, Iterable):
        raise TypeError(f"{expectation}, got {buckets!r}")
    given = tuple(buckets)
    if any(isinstance(bound, bool) or not isinstance(bound, Real) for bound in given):
        raise TypeError(f"{expectation}, got {given!r}")
    bounds = tuple(map(float, given))
    if not bounds or not all(map(isfinite, bounds)):
        raise ValueError(f"{expectation}, at least one and all finite; got {given!r}")
    if any(following <= bound for bound, following in pairwise(bounds)):
        raise ValueError(f"{expectation}; got {given!r}")
    return bounds


def _label(function: Callable[..., object]) -> str:
    name = getattr(function, "__qualname__", None)
    if name is None:
        raise TypeError(f"{function!r} has no name of its own: give one, @measured(name=...)")
    module = getattr(function, "__module__", None)
    return f"{module}.{name}" if module else name


DEFAULT = Functions()
"""What `measured` fills. It is the module's, because decorators run at import, before there is an agent."""

measured = DEFAULT.measured

if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=DEFAULT.start_over)
