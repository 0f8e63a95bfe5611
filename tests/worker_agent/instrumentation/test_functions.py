"""The decorator `@measured`: what it takes, what it refuses, and what frameworks see of a function."""

from __future__ import annotations

import asyncio
import inspect
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from fastapi import Depends, FastAPI
from fastapi.testclient import TestClient

from tests.support.hand_clock import HandClock
from worker_agent.instrumentation.function_record import FunctionCounts
from worker_agent.instrumentation.functions import DEFAULT, Functions, measured

ROOT = Path(__file__).parents[3]
HERE = __name__


@pytest.fixture
def functions() -> Functions:
    return Functions(HandClock())


def counts(functions: Functions) -> dict[str, FunctionCounts]:
    return {record.label: record.counts() for record in functions.records}


def calls(functions: Functions) -> dict[str, int]:
    return {record.label: record.counts().calls for record in functions.records}


class Shop:
    """Methods of every sort, as an application would write them."""

    @measured
    def sell(self, number: int) -> int:
        return number

    @measured(name="shop.restock")
    async def restock(self, number: int) -> int:
        return number

    @classmethod
    @measured
    def open(cls) -> type[Shop]:
        return cls

    @staticmethod
    @measured
    def greet(name: str) -> str:
        return f"hello {name}"

    @property
    @measured
    def size(self) -> int:
        return 7

    @measured
    def shelves(self) -> Iterator[int]:
        yield from range(3)


class TestMethods:
    def test_of_every_sort(self) -> None:
        """Methods, class methods, static methods and properties work, each under its qualified name."""
        before = calls(DEFAULT)
        shop = Shop()
        assert shop.sell(1) == 1
        assert asyncio.run(shop.restock(2)) == 2
        assert shop.open() is Shop
        assert Shop.open() is Shop
        assert shop.greet("you") == Shop.greet("you") == "hello you"
        assert shop.size == 7
        assert [*shop.shelves()] == [0, 1, 2]
        moved = {label: number - before[label] for label, number in calls(DEFAULT).items()}
        assert {label: number for label, number in moved.items() if number} == {
            f"{HERE}.Shop.sell": 1,
            "shop.restock": 1,
            f"{HERE}.Shop.open": 2,
            f"{HERE}.Shop.greet": 2,
            f"{HERE}.Shop.size": 1,
            f"{HERE}.Shop.shelves": 1,
        }


class TestLabels:
    def test_from_decoration_on(self, functions: Functions) -> None:
        """A function is there with zeros as soon as it is decorated, under module and qualified name."""

        @functions.measured
        def never() -> None: ...

        @functions.measured()
        def neither() -> None: ...

        @functions.measured(name="sorted", buckets=range(1, 3))
        def timed() -> None: ...

        where = f"{HERE}.TestLabels.test_from_decoration_on.<locals>"
        zero = FunctionCounts(calls=0, seconds=0.0, in_progress=0, failures={}, buckets=())
        assert counts(functions) == {
            f"{where}.never": zero,
            f"{where}.neither": zero,
            "sorted": zero._replace(buckets=(0, 0, 0)),
        }
        assert [record.bounds for record in functions.records] == [(), (), (1.0, 2.0)]

    def test_the_same_twice(self, functions: Functions) -> None:
        """Functions of the same label share one record, so that closures made again and again add none."""

        def make(number: int) -> Callable[[], int]:
            @functions.measured(buckets=(1,))
            def closure() -> int:
                return number

            return closure

        assert [make(number)() for number in range(1000)] == list(range(1000))
        assert [*calls(functions).values()] == [1000]

    @pytest.mark.parametrize("other", [None, (1, 3), (1, 2, 3)])
    def test_the_same_with_other_buckets(self, functions: Functions, other: tuple[float, ...] | None) -> None:
        """Buckets that differ under one label are refused, because a histogram has one set of them."""
        functions.measured(name="f", buckets=(1, 2))(print)
        with pytest.raises(
            ValueError, match=r"f is measured with the buckets \(1.0, 2.0\), not \(.*\): give"
        ):
            functions.measured(name="f", buckets=other)(print)

    def test_functions_without_a_module(self, functions: Functions) -> None:
        """What Python itself gives no module goes by its name alone."""
        functions.measured("".join)
        assert [*calls(functions)] == ["str.join"]

    def test_longest_name(self, functions: Functions) -> None:
        """A hundred characters are a name."""
        functions.measured(name="n" * 100)(print)
        assert [*calls(functions)] == ["n" * 100]


async def job() -> None: ...


def finished() -> object:
    """A coroutine object that has been awaited."""
    coroutine = job()
    asyncio.run(coroutine)
    return coroutine


def generator() -> Iterator[int]:
    yield 1


class Nameless:
    def __call__(self) -> None: ...

    def __repr__(self) -> str:
        return "Nameless()"


class TestBadInput:
    @pytest.mark.parametrize(
        ("make", "message"),
        [
            (lambda: None, r"expected a function, got None$"),
            (lambda: (0.1, 1), r"expected a function, got \(0.1, 1\)$"),
            (lambda: "name", r"expected a function, got 'name'$"),
            (lambda: Shop, r"expected a function, got <class '.*Shop'>$"),
            (
                finished,
                r"expected a function, got <coroutine object job at .*>: "
                r"decorate the function, not what a call of it returns$",
            ),
            (generator, r"got <generator object .*>: decorate the function, not what a call of it returns$"),
            (
                lambda: classmethod(generator),
                r"expected a function, got a classmethod: write @classmethod above @measured$",
            ),
            (
                lambda: staticmethod(generator),
                r"expected a function, got a staticmethod: write @staticmethod above @measured$",
            ),
            (
                lambda: property(generator),
                r"expected a function, got a property: write @property above @measured$",
            ),
            (Nameless, r"^Nameless\(\) has no name of its own: give one, @measured\(name=\.\.\.\)$"),
        ],
    )
    def test_no_function(self, functions: Functions, make: Callable[[], Any], message: str) -> None:
        """What is not a function is refused when it is decorated, and the answer says what to do."""
        thing = make()
        with pytest.raises(TypeError, match=message):
            functions.measured(thing)
        with pytest.raises(TypeError, match=message):
            functions.measured(buckets=(1,))(thing)
        assert functions.records == []

    @pytest.mark.parametrize("name", ["", "n" * 101, "line\nbreak", "größe", "\x7f"])
    def test_names(self, functions: Functions, name: str) -> None:
        """A name that would break a page, or nobody can type, is refused."""
        with pytest.raises(ValueError, match="name: expected 1 to 100 printable ASCII characters, got '"):
            functions.measured(name=name)

    @pytest.mark.parametrize("name", [7, b"bytes"])
    def test_names_of_other_types(self, functions: Functions, name: Any) -> None:
        """A name is text."""
        with pytest.raises(TypeError, match=f"name: expected text, got {name!r}$"):
            functions.measured(name=name)

    @pytest.mark.parametrize(
        "buckets", [(), (1, 1), (2, 1), (1, float("inf")), (float("nan"),), (float("-inf"), 1)]
    )
    def test_buckets(self, functions: Functions, buckets: tuple[float, ...]) -> None:
        """Buckets that are none, not increasing or not finite are refused."""
        with pytest.raises(ValueError, match=r"buckets: expected seconds in increasing order, such as \(0.1"):
            functions.measured(buckets=buckets)

    @pytest.mark.parametrize("buckets", [1, "123", ("1", "2"), (True,), (None,), (Decimal(1),)])
    def test_buckets_of_other_types(self, functions: Functions, buckets: Any) -> None:
        """Buckets are numbers."""
        with pytest.raises(TypeError, match=r"buckets: expected seconds in increasing order, .* got "):
            functions.measured(buckets=buckets)


class TestFastAPI:
    @pytest.fixture
    def client(self, functions: Functions) -> Iterator[TestClient]:
        app = FastAPI()
        self.closed: list[str] = []

        @functions.measured(name="session")
        def session(user: str) -> Iterator[str]:
            try:
                yield f"session of {user}"
            finally:
                self.closed.append("session")

        @functions.measured(name="connection")
        async def connection() -> AsyncIterator[str]:
            try:
                yield "connection"
            finally:
                self.closed.append("connection")

        @app.get("/items/{item}")
        @functions.measured(name="item")
        async def item(
            item: int,
            limit: int = 3,
            session: str = Depends(session),
            connection: str = Depends(connection),
        ) -> dict[str, object]:
            asyncio.get_running_loop()  # fails in a thread, where sync handlers run
            return {"item": item, "limit": limit, "session": session, "connection": connection}

        @app.get("/sync")
        @functions.measured(name="sync")
        def sync(limit: int = 3) -> int:
            with pytest.raises(RuntimeError, match="no running event loop"):
                asyncio.get_running_loop()
            return limit

        with TestClient(app) as client:
            yield client

    def test_handlers_and_dependencies(self, client: TestClient, functions: Functions) -> None:
        """Parameters are parsed, dependencies that yield are closed, and each runs where it belongs."""
        answer = client.get("/items/7", params={"user": "me", "limit": 5})
        assert answer.json() == {
            "item": 7,
            "limit": 5,
            "session": "session of me",
            "connection": "connection",
        }
        assert sorted(self.closed) == ["connection", "session"]
        assert client.get("/sync").json() == 3
        assert calls(functions) == {"session": 1, "connection": 1, "item": 1, "sync": 1}

    def test_validation(self, client: TestClient, functions: Functions) -> None:
        """What a handler declares is checked before it is called."""
        answer = client.get("/items/x")
        wrong = {tuple(error["loc"]) for error in answer.json()["detail"]}
        assert wrong == {("path", "item"), ("query", "user")}
        assert calls(functions)["item"] == 0

    def test_schema(self, client: TestClient) -> None:
        """The documentation shows the parameters of the handler and of its dependencies."""
        operation = client.get("/openapi.json").json()["paths"]["/items/{item}"]["get"]
        assert sorted(parameter["name"] for parameter in operation["parameters"]) == ["item", "limit", "user"]


def test_reloaded(functions: Functions) -> None:
    """A module that is loaded again goes on with the counts it has."""
    source = "@measured(buckets=(1,))\ndef work(): return 1\n"
    for _ in range(3):
        namespace: dict[str, Any] = {"__name__": "shop", "measured": functions.measured}
        exec(source, namespace)
        namespace["work"]()
    assert calls(functions) == {"shop.work": 3}


def test_in_a_forked_process() -> None:
    """A child counts from zero: what it inherits is its parent's to report."""
    code = """
        import os
        from worker_agent.instrumentation.functions import DEFAULT, measured

        @measured(buckets=(60,))
        def call(inner=None):
            if inner: inner()

        def fork():
            if os.fork():
                os.wait()

        call()
        call(fork)
        call()
        print(DEFAULT.records[0].counts()._replace(seconds=0.0), flush=True)
    """
    assert run(code).splitlines() == [
        "FunctionCounts(calls=2, seconds=0.0, in_progress=0, failures={}, buckets=(2, 0))",
        "FunctionCounts(calls=3, seconds=0.0, in_progress=0, failures={}, buckets=(3, 0))",
    ]


def test_light() -> None:
    """An application's modules can decorate before anything heavy is loaded or prepared."""
    heavy = ("fastapi", "starlette", "prometheus_client", "pydantic", "asyncio")
    assert (
        run(f"""
        import sys
        import worker_agent.instrumentation.functions
        print([name for name in {heavy} if name in sys.modules])
    """)
        == "[]\n"
    )


@pytest.mark.slow
def test_types(tmp_path: Path) -> None:
    """A type checker sees through the decorator, in all its forms."""
    checked = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--cache-dir", str(tmp_path), "tests/typing/measured.py"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert checked.stdout == "Success: no issues found in 1 source file\n"


def run(code: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", inspect.cleandoc(code)],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout
