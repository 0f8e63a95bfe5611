"""Checks: their arguments, and functions made into checks."""

from __future__ import annotations

import asyncio
import functools
import threading
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from worker_agent.health.check import BREAKER, Breaker, Check, FunctionCheck, StillRunning
from worker_agent.health.result import Outcome, Result


class Nothing(Check):
    async def run(self) -> Outcome:
        return True


def test_defaults() -> None:
    """A check without arguments is critical, takes two seconds at most and holds for five."""
    check = Nothing("orders-db")
    assert (check.name, check.timeout, check.cache, check.critical, check.breaker) == (
        "orders-db",
        2.0,
        5.0,
        True,
        Breaker(threshold=5, ttl=30.0),
    )


@pytest.mark.parametrize("name", ["a", "orders-db", "a.b:c_d-1", "x" * 48])
def test_names(name: str) -> None:
    """A name is of letters, digits and four signs."""
    assert Nothing(name).name == name


@pytest.mark.parametrize(
    ("arguments", "error", "text"),
    [
        ({"name": None}, TypeError, "a check needs a name, and None is none"),
        ({"name": ""}, ValueError, "'' is no name for a check: expected 1 to 48 ASCII letters"),
        ({"name": "x" * 49}, ValueError, "is no name for a check"),
        ({"name": "-a"}, ValueError, "beginning with a letter or digit"),
        ({"name": "größe"}, ValueError, "is no name for a check"),
        ({"name": "a b"}, ValueError, "is no name for a check"),
        ({"timeout": -1}, ValueError, "the timeout of check c must be above 0 and at most 3600 s, not -1"),
        ({"timeout": 0}, ValueError, "the timeout of check c must be above 0"),
        ({"timeout": 3601}, ValueError, "at most 3600 s, not 3601"),
        ({"timeout": float("nan")}, ValueError, "not nan"),
        ({"timeout": "2"}, TypeError, "the timeout of check c must be a number of seconds, not '2'"),
        ({"timeout": True}, TypeError, "must be a number of seconds, not True"),
        ({"timeout": None}, TypeError, "must be a number of seconds, not None"),
        ({"cache": -0.5}, ValueError, "the cache of check c must be 0 or more and at most 3600 s, not -0.5"),
        ({"critical": "false"}, TypeError, "critical of check c must be True or False, not 'false'"),
        ({"breaker": 5}, TypeError, "the breaker of check c must be a Breaker or None, not 5"),
    ],
)
def test_wrong_arguments(arguments: dict[str, Any], error: type[Exception], text: str) -> None:
    """What cannot be meant is refused at once, with what is expected."""
    with pytest.raises(error, match=text):
        Nothing(**{"name": "c", **arguments})


def test_nothing_cached() -> None:
    """A cache of zero looks anew each time; a breaker may be left out."""
    check = Nothing("c", cache=0, breaker=None, critical=False)
    assert (check.cache, check.breaker, check.critical) == (0.0, None, False)


@pytest.mark.parametrize(
    ("arguments", "error", "text"),
    [
        ({"threshold": 0}, ValueError, "a breaker's threshold must be a number of failures, at least 1: 0"),
        ({"threshold": 1.5}, ValueError, "at least 1: 1.5"),
        ({"threshold": True}, ValueError, "at least 1: True"),
        ({"ttl": 0}, ValueError, "a breaker's ttl must be above 0"),
        ({"ttl": "30"}, TypeError, "a breaker's ttl must be a number of seconds"),
    ],
)
def test_wrong_breaker(arguments: dict[str, Any], error: type[Exception], text: str) -> None:
    """A breaker needs failures to count and a time to rest."""
    with pytest.raises(error, match=text):
        Breaker(**arguments)


async def test_close() -> None:
    """A check that holds nothing has nothing to give back."""
    assert await Nothing("c").close() is None  # type: ignore[func-returns-value]


async def main_thread() -> dict[str, object]:
    return {"main": threading.current_thread() is threading.main_thread()}


def any_thread() -> dict[str, object]:
    return {"main": threading.current_thread() is threading.main_thread()}


class Callables:
    async def method(self) -> dict[str, object]:
        return await main_thread()

    async def __call__(self) -> dict[str, object]:
        return await main_thread()


@pytest.mark.parametrize(
    "function",
    [
        main_thread,
        functools.partial(main_thread),
        Callables().method,
        Callables(),
        functools.partial(Callables()),
    ],
    ids=["function", "partial", "method", "callable", "partial callable"],
)
async def test_asynchronous(function: Any) -> None:
    """What is asynchronous runs on the event loop, in whichever form it comes."""
    assert await FunctionCheck("c", function).run() == {"main": True}


@pytest.mark.parametrize("function", [any_thread, functools.partial(any_thread), lambda: any_thread()])
async def test_synchronous(function: Any) -> None:
    """Anything else runs in a thread."""
    assert await FunctionCheck("c", function).run() == Result.healthy(main=False)


async def test_c_function() -> None:
    """A callable of C that has no signature may be a check as well: the first run shows."""
    with pytest.raises(TypeError, match="expected"):
        await FunctionCheck("c", getattr).run()  # type: ignore[arg-type]


def generator() -> Iterator[bool]:
    yield True


async def asynchronous_generator() -> AsyncIterator[bool]:
    yield True


@pytest.mark.parametrize(
    ("function", "text"),
    [
        (None, "check c must be a function without arguments, not None"),
        (True, "not True"),
        (lambda number: number, "without arguments: missing a required argument: 'number'"),
        (generator, "without arguments that returns its result; this one yields"),
        (asynchronous_generator, "this one yields"),
    ],
)
def test_no_function(function: Any, text: str) -> None:
    """What cannot be called, needs arguments or yields is refused when it is added."""
    with pytest.raises(TypeError, match=text):
        FunctionCheck("c", function)


def test_coroutine() -> None:
    """A coroutine in place of its function is refused, and closed, so that Python does not warn of it."""
    with pytest.raises(TypeError, match="not a coroutine: pass the function, without calling it"):
        FunctionCheck("c", main_thread())  # type: ignore[arg-type]


def test_options() -> None:
    """A function takes all the options that a check has."""
    check = FunctionCheck("c", any_thread, timeout=1, cache=2, critical=False, breaker=None)
    assert (check.timeout, check.cache, check.critical, check.breaker) == (1.0, 2.0, False, None)
    assert FunctionCheck("c", any_thread).breaker is BREAKER


class Hanging:
    """A plain function that hangs until it is released, and notes its threads."""

    def __init__(self) -> None:
        self.release = threading.Event()
        self.threads: list[threading.Thread] = []

    def __call__(self) -> bool:
        self.threads.append(threading.current_thread())
        return self.release.wait(5.0)


async def given_up(check: Check) -> None:
    """A run that is cancelled as soon as its thread has begun."""
    run = asyncio.create_task(check.run())  # type: ignore[arg-type]
    await asyncio.sleep(0.005)
    run.cancel()
    await asyncio.wait((run,))
    assert run.cancelled()


async def test_one_thread() -> None:
    """However often a function that hangs is run, one thread hangs with it; it runs again once that ended."""
    hanging = Hanging()
    check = FunctionCheck("c", hanging)
    await given_up(check)
    for _ in range(10):
        with pytest.raises(StillRunning, match=r"^a run that began \d\.\d s ago hangs$"):
            await check.run()
    [thread] = hanging.threads
    hanging.release.set()
    await asyncio.to_thread(thread.join, 5.0)
    assert await check.run() == Result.healthy()
    assert len(hanging.threads) == 2


def test_another_loop() -> None:
    """That a thread hangs is known on the next event loop too, and so is its end."""
    hanging = Hanging()
    check = FunctionCheck("c", hanging)
    asyncio.run(given_up(check))
    with pytest.raises(StillRunning):
        asyncio.run(check.run())  # type: ignore[arg-type]
    hanging.release.set()
    hanging.threads[0].join(5.0)
    assert asyncio.run(check.run()) == Result.healthy()  # type: ignore[arg-type]


async def test_no_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where no thread can be started this run fails, and not all that follow."""
    check = FunctionCheck("c", any_thread)
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", lambda thread: no_more_threads())
        with pytest.raises(RuntimeError, match="can't start new thread"):
            await check.run()
    assert await check.run() == Result.healthy(main=False)


def no_more_threads() -> None:
    raise RuntimeError("can't start new thread")


async def test_late_coroutine() -> None:
    """A coroutine that a plain function returns after its time is closed all the same."""
    release = threading.Event()
    threads: list[threading.Thread] = []

    def late() -> Any:
        threads.append(threading.current_thread())
        release.wait(5.0)
        return main_thread()

    check = FunctionCheck("c", late)
    await given_up(check)
    release.set()
    await asyncio.to_thread(threads[0].join, 5.0)
