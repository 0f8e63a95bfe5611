"""What a type checker makes of `@measured`. Checked by a test and never run.

An ignored error that is no longer one is an error too: what is refused here, is refused.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Coroutine, Generator, Iterator
from typing import Any, TypeVar, assert_type

from worker_agent.instrumentation.functions import measured

T = TypeVar("T")


@measured
def plain(number: int, *, text: str = "") -> float:
    return number + len(text)


@measured(name="plain", buckets=(0.1, 1))
def with_arguments(number: int, *, text: str = "") -> float:
    return number + len(text)


@measured()
def without_any(number: int) -> float:
    return number


@measured
async def coroutine(number: int) -> str:
    return str(number)


@measured(buckets=[1, 2.5])
async def coroutine_with_arguments(number: int) -> str:
    return str(number)


@measured
def generator(number: int) -> Generator[int, str, bytes]:
    heard = yield number
    return heard.encode()


@measured(name="iterator")
def iterator(number: int) -> Iterator[int]:
    yield number


@measured
async def async_generator(number: int) -> AsyncIterator[int]:
    yield number


@measured(name="async iterator")
async def async_generator_with_arguments(number: int) -> AsyncIterator[int]:
    yield number


@measured
def generic(items: list[T]) -> T:
    return items[0]


class Shop:
    @measured
    def method(self, number: int) -> float:
        return number

    @measured(name="shop")
    async def async_method(self, number: int) -> float:
        return number

    @classmethod
    @measured
    def of_class(cls, number: int) -> Shop:
        return cls()

    @staticmethod
    @measured
    def of_nobody(number: int) -> float:
        return number

    @property
    @measured
    def size(self) -> int:
        return 1


async def results() -> None:
    assert_type(plain(1, text="a"), float)
    assert_type(with_arguments(1, text="a"), float)
    assert_type(without_any(1), float)
    call: Coroutine[Any, Any, str] = coroutine(1)
    assert_type(await call, str)
    assert_type(await coroutine_with_arguments(1), str)
    assert_type(generator(1), Generator[int, str, bytes])
    assert_type(iterator(1), Iterator[int])
    assert_type(async_generator(1), AsyncIterator[int])
    assert_type([number async for number in async_generator_with_arguments(1)], list[int])
    assert_type(generic(["a"]), str)
    assert_type(Shop().method(1), float)
    assert_type(await Shop().async_method(1), float)
    assert_type(Shop.of_class(1), Shop)
    assert_type(Shop.of_nobody(1), float)
    assert_type(Shop().size, int)
    assert_type(measured(len)([1]), int)


async def wrong_calls() -> None:
    plain("1")  # type: ignore[arg-type]  # is to be refused
    plain(1, "a")  # type: ignore[call-arg]  # is to be refused
    plain(1, txt="a")  # type: ignore[call-arg]
    with_arguments("1")  # type: ignore[arg-type]
    await coroutine(None)  # type: ignore[arg-type]
    Shop().method("1")  # type: ignore[arg-type]


def wrong_decorations() -> None:
    measured(coroutine(1))  # type: ignore[call-overload]
    measured((0.1, 1))  # type: ignore[call-overload]
    measured(plain, name="x")  # type: ignore[call-overload]
    measured(name=1)  # type: ignore[call-overload]
    measured(buckets="1")  # type: ignore[arg-type]
    measured(buckets=1)  # type: ignore[call-overload]
