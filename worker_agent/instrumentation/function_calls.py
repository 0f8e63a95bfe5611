"""Functions that do what another does, and count it: one for each kind of function.

Each is of the kind of what it stands for, because frameworks look whether a function is a coroutine
function or a generator function to know how to call it. The price: what is wrong with the arguments for one
of those is told when it begins to run, a moment later than Python would.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator
from functools import partial, wraps
from types import TracebackType
from typing import Any, ParamSpec, TypeVar, cast

from worker_agent.instrumentation.function_record import FunctionRecord

P = ParamSpec("P")
R = TypeVar("R")
Clock = Callable[[], float]


def counted(function: Callable[P, R], record: FunctionRecord, clock: Clock) -> Callable[P, R]:
    """`function`, every call of which is counted in `record`.

    Args:
        clock: seconds since some moment; never goes back.
    """
    for is_of_kind, stand_in in _KINDS:
        # Of a callable object it is `__call__` that is of a kind.
        if is_of_kind(function) or is_of_kind(type(function).__call__):
            return cast("Callable[P, R]", stand_in(function, record, clock))
    return _plain(function, record, clock)


def _plain(function: Callable[P, R], record: FunctionRecord, clock: Clock) -> Callable[P, R]:
    begin, end = record.begin, record.end

    @wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        begin()
        started = clock()
        try:
            result = function(*args, **kwargs)
        except BaseException as error:
            end(clock() - started, error)
            raise
        end(clock() - started)
        return result

    return call


def _coroutine(function: Callable[P, Awaitable[R]], record: FunctionRecord, clock: Clock) -> Any:
    begin, end = record.begin, record.end

    @wraps(function)
    async def call(*args: P.args, **kwargs: P.kwargs) -> R:
        begin()
        started = clock()
        try:
            result = await function(*args, **kwargs)
        except BaseException as error:
            end(clock() - started, error)
            raise
        end(clock() - started)
        return result

    return call


def _generator(function: Callable[P, Generator[Any, Any, R]], record: FunctionRecord, clock: Clock) -> Any:
    @wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> Generator[Any, Any, R]:
        with _Run(record, clock) as run:
            inner = function(*args, **kwargs)
            resume: Callable[[], Any] = partial(inner.send, None)
            while True:
                try:
                    with run.inside:
                        item = resume()
                except StopIteration as end:
                    result: R = end.value
                    return result
                finally:
                    # It may hold an exception whose traceback holds this frame.
                    del resume
                try:
                    sent = yield item
                except BaseException as error:
                    # GeneratorExit as well: what the function makes of it, close() is to see.
                    resume = partial(inner.throw, error)
                else:
                    resume = partial(inner.send, sent)

    return call


def _async_generator(
    function: Callable[P, AsyncGenerator[Any, Any]], record: FunctionRecord, clock: Clock
) -> Any:
    @wraps(function)
    async def call(*args: P.args, **kwargs: P.kwargs) -> AsyncGenerator[Any, Any]:
        with _Run(record, clock) as run:
            inner = function(*args, **kwargs)
            step = _first_step(inner)
            while True:
                try:
                    with run.inside:
                        item = await step
                except StopAsyncIteration:
                    return
                finally:
                    del step
                try:
                    sent = yield item
                except BaseException as error:
                    step = inner.athrow(error)
                else:
                    step = inner.asend(sent)

    return call


def _first_step(inner: AsyncGenerator[Any, Any]) -> Awaitable[Any]:
    """Start an async generator without the event loop's taking notice.

    A loop closes what it knows of at its end, and what is collected as garbage. Were both known to it, it
    would close them at once, and one would find the other running.
    """
    hooks = sys.get_asyncgen_hooks()
    sys.set_asyncgen_hooks(firstiter=None, finalizer=_leave_it)
    try:
        return inner.__anext__()
    finally:
        sys.set_asyncgen_hooks(*hooks)


def _leave_it(inner: AsyncGenerator[Any, Any]) -> None:
    """The stand-in closes it."""


class _Run:
    """One run of a generator, from its first step to its end."""

    def __init__(self, record: FunctionRecord, clock: Clock) -> None:
        self.inside = _Stopwatch(clock)
        self._record = record

    def __enter__(self) -> _Run:
        self._record.begin()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        # To be closed before its end is nothing that went wrong.
        failure = None if isinstance(error, GeneratorExit) else error
        self._record.end(self.inside.seconds, failure)


class _Stopwatch:
    """Sums the time that is spent in its blocks."""

    def __init__(self, clock: Clock) -> None:
        self.seconds = 0.0
        self._clock = clock
        self._entered = 0.0

    def __enter__(self) -> None:
        self._entered = self._clock()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.seconds += self._clock() - self._entered


_KINDS: tuple[tuple[Callable[[object], bool], Callable[..., Any]], ...] = (
    (inspect.isasyncgenfunction, _async_generator),
    (inspect.isgeneratorfunction, _generator),
    (inspect.iscoroutinefunction, _coroutine),
)
