"""Every kind of function, counted, does what it does alone."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import inspect
import sys
import weakref
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Generator, Iterator
from functools import lru_cache, partial
from itertools import product
from typing import Any

import pytest

from tests.support.hand_clock import HandClock
from worker_agent.instrumentation.function_calls import counted
from worker_agent.instrumentation.function_record import FunctionRecord


class Bench:
    """A clock to move, and what is counted of the functions passed to it."""

    def __init__(self) -> None:
        self.clock = HandClock()
        self._record = FunctionRecord("f")

    def __call__(self, function: Any) -> Any:
        return counted(function, self._record, self.clock)

    @property
    def counts(self) -> tuple[int, float, int, dict[str, int]]:
        """Calls, seconds, those in progress, failures."""
        return self._record.counts()[:4]


@pytest.fixture
def bench() -> Bench:
    return Bench()


class Oops(Exception):
    pass


class Spring(BaseException):
    """Not an Exception, as a cancellation is none."""


def _fail() -> None:
    raise Oops


class TestPlain:
    def test_result(self, bench: Bench) -> None:
        """Arguments go in, the result comes out, and the time between counts."""

        @bench
        def join(*words: str, by: str) -> str:
            bench.clock.move(0.5)
            assert bench.counts == (0, 0.0, 1, {})
            return by.join(words)

        assert join("a", "b", by="-") == "a-b"
        assert bench.counts == (1, 0.5, 0, {})

    @pytest.mark.parametrize("error", [Oops("why"), Spring(), StopIteration(), GeneratorExit()])
    def test_failure(self, bench: Bench, error: BaseException) -> None:
        """What it raises comes out as the same object and is a failure, whatever it is."""

        @bench
        def fail() -> None:
            bench.clock.move(0.25)
            raise error

        with pytest.raises(type(error)) as raised:
            fail()
        assert raised.value is error
        assert bench.counts == (1, 0.25, 0, {type(error).__name__: 1})

    def test_wrong_arguments(self, bench: Bench) -> None:
        """A call with wrong arguments is refused as ever, and counted as a failure."""
        with pytest.raises(TypeError, match=r"missing 1 required positional argument: 'needed'"):
            bench(lambda needed: needed)()
        assert bench.counts == (1, 0.0, 0, {"TypeError": 1})

    def test_recursion(self, bench: Bench) -> None:
        """A call within a call is one of its own, its time part of both."""

        @bench
        def down(depth: int) -> int:
            bench.clock.move(1.0)
            return 1 + down(depth - 1) if depth else 0

        assert down(2) == 2
        assert bench.counts == (3, 6.0, 0, {})

    def test_leaves_no_garbage(self, bench: Bench) -> None:
        """A failed call leaves nothing for the garbage collector."""
        fail = bench(_fail)
        assert garbage_of(lambda: _swallow(fail)) == 0


class TestCoroutine:
    async def test_result(self, bench: Bench) -> None:
        """It runs when it is awaited, and the time it waits counts."""

        @bench
        async def double(number: int) -> int:
            bench.clock.move(0.5)
            await asyncio.sleep(0)
            bench.clock.move(0.25)
            return 2 * number

        call = double(4)
        assert bench.counts == (0, 0.0, 0, {})
        assert await call == 8
        assert bench.counts == (1, 0.75, 0, {})

    async def test_failure(self, bench: Bench) -> None:
        """What it raises is a failure."""

        @bench
        async def fail() -> None:
            await asyncio.sleep(0)
            raise Oops

        with pytest.raises(Oops):
            await fail()
        assert bench.counts == (1, 0.0, 0, {"Oops": 1})

    async def test_cancellation(self, bench: Bench) -> None:
        """A cancelled one was in progress, and has failed with CancelledError."""
        task = asyncio.create_task(bench(asyncio.sleep)(60))
        await asyncio.sleep(0)
        assert bench.counts == (0, 0.0, 1, {})
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert bench.counts == (1, 0.0, 0, {"CancelledError": 1})

    async def test_many_at_once(self, bench: Bench) -> None:
        """Calls that overlap are in progress together."""
        gate = asyncio.Event()
        tasks = [asyncio.create_task(bench(gate.wait)()) for _ in range(3)]
        await asyncio.sleep(0)
        bench.clock.move(2.0)
        assert bench.counts == (0, 0.0, 3, {})
        gate.set()
        await asyncio.gather(*tasks)
        assert bench.counts == (3, 6.0, 0, {})


class TestGenerator:
    def test_time_inside(self, bench: Bench) -> None:
        """In progress from the first step to the end; what the consumer does in between costs nothing."""

        @bench
        def count(end: int) -> Iterator[int]:
            for number in range(end):
                bench.clock.move(0.25)
                yield number
            bench.clock.move(0.5)

        numbers = count(2)
        assert bench.counts == (0, 0.0, 0, {})
        for number in numbers:
            bench.clock.move(1000)
            assert (number, bench.counts) in ((0, (0, 0.0, 1, {})), (1, (0, 0.0, 1, {})))
        assert bench.counts == (1, 1.0, 0, {})

    def test_never_started(self, bench: Bench) -> None:
        """One that never ran is no call."""

        @bench
        def count() -> Iterator[int]:
            yield 1

        count().close()
        with pytest.raises(Oops):
            count().throw(Oops())
        assert bench.counts == (0, 0.0, 0, {})

    def test_failure(self, bench: Bench) -> None:
        """What it raises after some items is a failure."""

        @bench
        def fail() -> Iterator[int]:
            yield 1
            bench.clock.move(0.5)
            raise Oops

        with pytest.raises(Oops):
            list(fail())
        assert bench.counts == (1, 0.5, 0, {"Oops": 1})

    def test_closed(self, bench: Bench) -> None:
        """To close it early is no failure; its clean-up runs and counts."""

        @bench
        def forever() -> Iterator[int]:
            try:
                while True:
                    yield 1
            finally:
                bench.clock.move(0.5)

        numbers = forever()
        next(numbers)
        numbers.close()
        assert bench.counts == (1, 0.5, 0, {})

    def test_dropped(self, bench: Bench) -> None:
        """To forget it halfway ends it."""

        @bench
        def forever() -> Iterator[int]:
            while True:
                yield 1

        next(forever())
        gc.collect()
        assert bench.counts == (1, 0.0, 0, {})

    def test_fails_when_closed(self, bench: Bench) -> None:
        """What its clean-up raises is a failure."""

        @bench
        def fail() -> Iterator[int]:
            try:
                yield 1
            finally:
                raise Oops

        numbers = fail()
        next(numbers)
        with pytest.raises(Oops):
            numbers.close()
        assert bench.counts == (1, 0.0, 0, {"Oops": 1})

    def test_context_manager(self, bench: Bench) -> None:
        """Made a context manager, it fails with what its body raises unless it catches it."""

        @contextlib.contextmanager
        @bench
        def catching(*kinds: type[Exception]) -> Iterator[str]:
            with contextlib.suppress(*kinds):
                yield "value"

        with catching(Oops) as value:
            assert value == "value"
            raise Oops
        with pytest.raises(StopIteration), catching():
            raise StopIteration
        # The language turns a StopIteration that leaves a generator into this.
        assert bench.counts == (2, 0.0, 0, {"RuntimeError": 1})

    def test_leaves_no_garbage(self, bench: Bench) -> None:
        """One into which an exception was thrown leaves nothing for the garbage collector."""

        @bench
        def one() -> Iterator[int]:
            yield 1

        def thrown() -> None:
            numbers = one()
            next(numbers)
            with contextlib.suppress(Oops):
                numbers.throw(Oops())

        assert garbage_of(thrown) == 0


class TestAsyncGenerator:
    async def test_time_inside(self, bench: Bench) -> None:
        """In progress from the first step to the end; what the consumer does in between costs nothing."""

        @bench
        async def count(end: int) -> AsyncIterator[int]:
            for number in range(end):
                bench.clock.move(0.25)
                await asyncio.sleep(0)
                yield number
            bench.clock.move(0.5)

        numbers = count(2)
        assert bench.counts == (0, 0.0, 0, {})
        async for number in numbers:
            bench.clock.move(1000)
            assert (number, bench.counts) in ((0, (0, 0.0, 1, {})), (1, (0, 0.0, 1, {})))
        assert bench.counts == (1, 1.0, 0, {})

    async def test_failure_and_cancellation(self, bench: Bench) -> None:
        """What it raises is a failure, and so is to be cancelled inside it."""

        @bench
        async def fail(*, wait: bool) -> AsyncIterator[int]:
            yield 1
            if wait:
                await asyncio.sleep(60)
            raise Oops

        with pytest.raises(Oops):
            assert [number async for number in fail(wait=False)]
        numbers = fail(wait=True)
        await anext(numbers)
        task = asyncio.ensure_future(anext(numbers))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert bench.counts == (2, 0.0, 0, {"Oops": 1, "CancelledError": 1})

    async def test_closed(self, bench: Bench) -> None:
        """To close it early is no failure; its clean-up runs, may wait, and counts."""

        @bench
        async def forever() -> AsyncIterator[int]:
            try:
                while True:
                    yield 1
            finally:
                await asyncio.sleep(0)
                bench.clock.move(0.5)

        async with contextlib.aclosing(forever()) as numbers:
            await anext(numbers)
        await forever().aclose()  # never started
        assert bench.counts == (1, 0.5, 0, {})

    @pytest.mark.parametrize("how", ["kept to the end of the loop", "dropped", "collected as garbage"])
    def test_left_to_the_loop(self, bench: Bench, how: str, caplog: pytest.LogCaptureFixture) -> None:
        """One left halfway is closed by the event loop, once and quietly, like a bare one."""
        kept: list[object] = []
        closed: list[str] = []

        @bench
        async def forever() -> AsyncIterator[int]:
            try:
                while True:
                    yield 1
            finally:
                for _ in range(3):
                    await asyncio.sleep(0)
                closed.append("cleanly")

        async def leave() -> None:
            numbers = forever()
            await anext(numbers)
            circle: list[object] = []
            if how == "kept to the end of the loop":
                kept.append(numbers)
            elif how == "collected as garbage":
                circle += [numbers, circle]
            del numbers, circle
            gc.collect()
            for _ in range(10):
                await asyncio.sleep(0)
            assert closed == ([] if kept else ["cleanly"])

        asyncio.run(leave())
        assert (closed, caplog.messages) == (["cleanly"], [])
        assert bench.counts == (1, 0.0, 0, {})

    def test_without_a_loop(self, bench: Bench) -> None:
        """Driven by hand, where nobody has hooks for async generators, it works and leaves none."""

        @bench
        async def one() -> AsyncIterator[int]:
            yield 1

        with pytest.raises(StopIteration) as step:
            one().__anext__().send(None)
        assert step.value.value == 1
        assert sys.get_asyncgen_hooks() == (None, None)
        assert bench.counts == (1, 0.0, 0, {})

    async def test_context_manager(self, bench: Bench) -> None:
        """Made a context manager, it fails with what its body raises unless it catches it."""

        @contextlib.asynccontextmanager
        @bench
        async def catching(*kinds: type[Exception]) -> AsyncIterator[str]:
            with contextlib.suppress(*kinds):
                yield "value"

        async with catching(Oops) as value:
            assert value == "value"
            raise Oops
        with pytest.raises(Oops):
            async with catching():
                raise Oops
        assert bench.counts == (2, 0.0, 0, {"Oops": 1})


def echo() -> Generator[object, object, str]:
    heard: object = "first"
    for _ in range(3):
        heard = yield heard
    return f"heard {heard} at last"


def stubborn() -> Generator[object, object, str]:
    try:
        yield "first"
    except BaseException as error:
        yield f"survived {error!r}"
    yield "second"
    return "end"


def obedient() -> Generator[object, object, str]:
    try:
        yield "first"
    except GeneratorExit:
        return "closed"
    except Oops as error:
        raise LookupError from error
    raise ValueError


def empty() -> Generator[object, object, str]:
    return "nothing"
    yield


async def async_echo() -> AsyncGenerator[object, object]:
    heard: object = "first"
    for _ in range(3):
        heard = yield heard


async def async_stubborn() -> AsyncGenerator[object, object]:
    try:
        yield "first"
    except BaseException as error:
        yield f"survived {error!r}"
    yield "second"


async def async_obedient() -> AsyncGenerator[object, object]:
    try:
        yield "first"
    except GeneratorExit:
        return
    except Oops as error:
        raise LookupError from error
    raise ValueError


async def async_empty() -> AsyncGenerator[object, object]:
    return
    yield


STEPS: tuple[tuple[str, Callable[[], tuple[object, ...]]], ...] = (
    ("next", lambda: ()),
    ("send", lambda: (None,)),
    ("send", lambda: ("hello",)),
    ("throw", lambda: (Oops("thrown"),)),
    ("throw", lambda: (StopIteration("thrown"),)),
    ("throw", lambda: (StopAsyncIteration("thrown"),)),
    ("throw", lambda: (GeneratorExit("thrown"),)),
    ("close", lambda: ()),
)


CLOSE = STEPS[-1:] * 3  # the most stubborn one gives way in the end


@pytest.mark.parametrize("function", [echo, stubborn, obedient, empty])
def test_a_generator_does_what_the_bare_one_does(bench: Bench, function: Callable[[], Any]) -> None:
    """Whatever three things are done to it: same items, same results, same exceptions, same end."""
    methods = {"next": "__next__", "send": "send", "throw": "throw", "close": "close"}
    for steps in product(STEPS, repeat=3):
        calls = [(methods[name], arguments) for name, arguments in (*steps, *CLOSE)]
        assert traced(bench(function)(), calls) == traced(function(), calls)
    assert bench.counts[2] == 0


@pytest.mark.parametrize("function", [async_echo, async_stubborn, async_obedient, async_empty])
def test_an_async_generator_does_what_the_bare_one_does(bench: Bench, function: Callable[[], Any]) -> None:
    """Whatever three things are done to it: same items, same exceptions, same end."""
    methods = {"next": "__anext__", "send": "asend", "throw": "athrow", "close": "aclose"}
    for steps in product(STEPS, repeat=3):
        calls = [(methods[name], arguments) for name, arguments in (*steps, *CLOSE)]
        assert traced(bench(function)(), calls) == traced(function(), calls)
    assert bench.counts[2] == 0


def traced(generator: Any, calls: list[tuple[str, Callable[[], tuple[object, ...]]]]) -> list[object]:
    """What came of each call. Nothing here waits, so that an awaitable is done after one step."""
    trace: list[object] = []
    for method, arguments in calls:
        try:
            result = getattr(generator, method)(*arguments())
            if inspect.isawaitable(result):
                try:
                    result.send(None)
                except StopIteration as done:
                    result = done.value
            trace.append(result)
        except BaseException as error:
            trace.append((repr(error), repr(error.__cause__), repr(error.__context__)))
    return trace


@pytest.mark.parametrize("function", [echo, async_echo, asyncio.sleep, _fail])
def test_looks_the_same(bench: Bench, function: Callable[..., object]) -> None:
    """What is looked at to tell how a function is called and what it is called is as it was."""
    stand_in = bench(function)
    looks: list[Callable[[Any], object]] = [
        inspect.iscoroutinefunction,
        inspect.isgeneratorfunction,
        inspect.isasyncgenfunction,
        inspect.signature,
        inspect.getdoc,
        inspect.get_annotations,
        lambda it: (it.__module__, it.__name__, it.__qualname__),
    ]
    assert [look(stand_in) for look in looks] == [look(function) for look in looks]
    assert stand_in.__wrapped__ is function


async def test_callables_of_other_kinds(bench: Bench) -> None:
    """Objects with `__call__`, partial and bound ones, and cached functions count as what they do."""

    class Loader:
        async def __call__(self, number: int) -> int:
            bench.clock.move(0.5)
            return number

        async def load(self, number: int) -> int:
            bench.clock.move(0.5)
            return number

    @lru_cache
    def cached(number: int) -> int:
        bench.clock.move(0.5)
        return number

    assert await bench(Loader())(1) == 1
    assert await bench(Loader().load)(2) == 2
    assert await bench(partial(Loader().load, 3))() == 3
    assert bench(cached)(4) == bench(cached)(4) == 4
    assert bench.counts == (5, 2.0, 0, {})


def test_arguments_are_let_go(bench: Bench) -> None:
    """Nothing that went through a call is kept after it."""

    class Thing:
        pass

    thing = Thing()
    watch = weakref.ref(thing)
    assert bench(lambda it: it)(thing) is thing
    del thing
    assert watch() is None


def _swallow(function: Callable[[], object]) -> None:
    with contextlib.suppress(Oops):
        function()


def garbage_of(act: Callable[[], object]) -> int:
    """How many objects only the garbage collector can free, once `act` is done."""
    act()
    gc.collect()
    gc.disable()
    try:
        act()
        return gc.collect()
    finally:
        gc.enable()
