"""What is counted of a function, by one thread and by many, and after a fork."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator

import pytest

from worker_agent.instrumentation.function_record import FunctionCounts, FunctionRecord


@pytest.fixture
def hasty_threads() -> Iterator[None]:
    """Threads take turns as often as the interpreter can, so that they meet where they must not."""
    usual = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(usual)


def test_everything() -> None:
    """A call is in progress from its beginning to its end; then it is counted, timed and sorted."""
    record = FunctionRecord("f", (0.5, 1.0))
    for _ in range(5):
        record.begin()
    for seconds in (0.25, 0.5, 0.75):
        record.end(seconds)
    record.end(2.0, KeyError())
    assert record.counts() == FunctionCounts(
        calls=4, seconds=3.5, in_progress=1, failures={"KeyError": 1}, buckets=(2, 1, 1)
    )


def test_a_look_at_it_does_not_change() -> None:
    """What was read stays as it was while counting goes on."""
    record = FunctionRecord("f", (1.0,))
    record.begin()
    before = record.counts()
    record.end(2.0, KeyError())
    assert before == FunctionCounts(calls=0, seconds=0.0, in_progress=1, failures={}, buckets=(0, 0))


def test_exception_types_are_bounded() -> None:
    """Of exception types made up at run time twenty keep their names; those that come later share one."""
    record = FunctionRecord("f")
    for number in range(25):
        for _ in range(2):
            record.begin()
            record.end(0.0, type(f"Error{number}", (Exception,), {})())
    assert record.counts().failures == {**{f"Error{number}": 2 for number in range(20)}, "other": 10}


def test_many_threads(hasty_threads: None) -> None:
    """Eight threads at once lose no call, no second and no failure."""
    record = FunctionRecord("f", (1.0,))
    start = threading.Barrier(8)

    def work() -> None:
        start.wait()
        for _ in range(1000):
            record.begin()
            record.end(0.5)
            record.begin()
            record.end(2.0, OSError())

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert record.counts() == FunctionCounts(
        calls=16_000, seconds=20_000.0, in_progress=0, failures={"OSError": 8000}, buckets=(8000, 8000)
    )


def test_counting_within_counting() -> None:
    """What runs in the middle of counting on the same thread, as a signal handler may, counts as well."""

    class Interrupting(type):
        @property
        def __name__(cls) -> str:
            record.begin()
            record.end(1.0)
            return "Interruption"

    class Interruption(Exception, metaclass=Interrupting):
        pass

    record = FunctionRecord("f")
    record.begin()
    done = threading.Thread(target=record.end, args=(1.0, Interruption()), daemon=True)
    done.start()
    done.join(5.0)
    assert not done.is_alive()
    assert record.counts() == FunctionCounts(
        calls=2, seconds=2.0, in_progress=0, failures={"Interruption": 1}, buckets=()
    )


def test_starting_over() -> None:
    """Begun elsewhere and ended here, as around a fork, a call is counted and leaves nothing in progress."""
    record = FunctionRecord("f", (1.0,))
    record.begin()
    record.begin()
    record.end(0.5, KeyError())
    record.start_over()
    assert record.counts() == FunctionCounts(0, 0.0, 0, {}, (0, 0))
    record.end(0.5)
    assert record.counts() == FunctionCounts(1, 0.5, 0, {}, (1, 0))
