"""What a check says, reduced to what can be shown."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

import pytest

from worker_agent.health.result import Nonsense, Result, judged, shown
from worker_agent.protocol import CheckState


class Colour(StrEnum):
    RED = "red"


class Silent:
    """Has nothing to say."""

    def __init__(self, error: BaseException) -> None:
        self.error = error

    def __str__(self) -> str:
        raise self.error

    __repr__ = __str__


class Broken(Mapping[str, int]):
    """Cannot be read."""

    def __getitem__(self, key: str) -> int:
        raise KeyError(key)

    def __iter__(self) -> Iterator[str]:
        return iter(["a"])

    def __len__(self) -> int:
        return 1

    def __repr__(self) -> str:
        return "Broken()"


class Endless(Mapping[str, int]):
    """Has always one more."""

    def __getitem__(self, key: str) -> int:
        return 1

    def __iter__(self) -> Iterator[str]:
        number = 0
        while True:
            yield str(number)
            number += 1

    def __len__(self) -> int:
        return 1


def test_three_states() -> None:
    """A result is made by the name of its state; what is wrong comes first, then details."""
    assert Result.healthy(size=3) == Result(CheckState.HEALTHY, {"size": 3}, None)
    assert Result.degraded("slow", size=3) == Result(CheckState.DEGRADED, {"size": 3}, "slow")
    assert Result.unhealthy("gone") == Result(CheckState.UNHEALTHY, {}, "gone")


def test_state_by_its_word() -> None:
    """The word of a state will do; another word is refused."""
    assert Result("degraded").state is CheckState.DEGRADED  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="'fine' is not a valid CheckState"):
        Result("fine")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("value", "plain"),
    [
        (None, None),
        (True, True),
        (7, 7),
        (2**64, str(2**64)),
        (10**5000, "a int that cannot be shown"),
        (0.5, 0.5),
        (float("nan"), "nan"),
        (float("-inf"), "-inf"),
        ("text", "text"),
        (Colour.RED, "red"),
        (b"\xff", r"b'\xff'"),
        ("half a pair: \ud800", "half a pair: ?"),
        ("x" * 501, "x" * 497 + "..."),
        ("redis://user:s3cret@host", "redis://user:****@host"),
        ((1, "a", None), [1, "a", None]),
        ({"b"}, ["b"]),
        ({1: {"x": [2]}, None: 3}, {"1": {"x": [2]}, "None": 3}),
        (datetime(2026, 1, 2, tzinfo=UTC), "2026-01-02 00:00:00+00:00"),
        ([[[["deep"]]]], [[["..."]]]),
        ({"a": {"b": {"c": {"d": 1}}}}, {"a": {"b": {"c": "..."}}}),
        (Silent(ValueError()), "a Silent that cannot be shown"),
        (Silent(SystemExit(1)), "a Silent that cannot be shown"),
        ({Silent(ValueError()): 1}, {"a Silent that cannot be shown": 1}),
        (Broken(), "Broken()"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_details(value: object, plain: object) -> None:
    """Any value becomes something that JSON can express, that ends and that hides passwords."""
    details = Result.healthy(value=value).details
    assert details == {"value": plain}
    assert json.loads(json.dumps(details, allow_nan=False)) == details


@pytest.mark.parametrize("details", [Broken(), [1, 2], None, "text"])
def test_no_details(details: Any) -> None:
    """What is no mapping, or cannot be read, is no details."""
    assert Result(CheckState.HEALTHY, details).details == {}


def recursive_list() -> list[object]:
    values: list[object] = []
    values.extend([values] * 50)
    return values


def recursive_dict() -> dict[str, object]:
    values: dict[str, object] = {}
    values.update({str(number): values for number in range(50)})
    return values


@pytest.mark.parametrize(
    "value",
    [
        recursive_list(),
        recursive_dict(),
        list(range(1_000_000)),
        "x" * 10_000_000,
        "a." * 1_000_000,
        {f"token{number}": "x" for number in range(10_000)},
        Endless(),
    ],
    ids=["list", "dict", "long", "text", "names", "secrets", "endless"],
)
def test_bounds(value: object) -> None:
    """However large a value is, or however often it holds itself, little is shown, and soon."""
    began = time.process_time()
    details = Result.healthy(value=value).details
    assert len(json.dumps(details)) < 20_000
    assert time.process_time() - began < 0.5


def test_error() -> None:
    """The error is a text of bounded length without passwords, whatever it was made of."""
    assert Result.unhealthy("no route to redis://:s3cret@host").error == "no route to redis://:****@host"
    assert Result.unhealthy(ValueError("x" * 600)).error == "x" * 497 + "..."  # type: ignore[arg-type]
    assert Result.unhealthy(Silent(ValueError())).error == "a Silent that cannot be shown"  # type: ignore[arg-type]


def test_shown() -> None:
    """A text in the way one asks for it."""
    assert shown("it's") == "it's"
    assert shown("it's", repr) == '"it\'s"'


@pytest.mark.parametrize(
    ("outcome", "result"),
    [
        (True, Result.healthy()),
        (False, Result.unhealthy("the check returned False")),
        ({"depth": 3}, Result.healthy(depth=3)),
        ({}, Result.healthy()),
        (Result.degraded("slow"), Result.degraded("slow")),
    ],
)
def test_judged(outcome: object, result: Result) -> None:
    """A bool says whether all is well, details that it is, and a result speaks for itself."""
    assert judged(outcome) == result


class Later:
    def __await__(self) -> Iterator[None]:
        yield


@pytest.mark.parametrize(
    ("outcome", "error"),
    [
        (None, "returned None, expected a bool, a mapping of details or a Result$"),
        ("fine", "returned 'fine', expected a bool"),
        (1, "returned 1, expected a bool"),
        ([], r"returned \[\], expected a bool"),
        ((number for number in ()), "returned <generator object"),
        (Silent(ValueError()), "returned a Silent that cannot be shown, expected"),
        (Later(), "^the check returned an awaitable Later that was not awaited$"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_nonsense(outcome: object, error: str) -> None:
    """Anything else is an error that says what was returned."""
    with pytest.raises(Nonsense, match=error):
        judged(outcome)


def test_coroutine() -> None:
    """A coroutine is nonsense too, and closed, so that Python does not warn of it."""

    async def healthy() -> bool:
        return True

    with pytest.raises(Nonsense, match=r"^the check returned a coroutine that was not awaited$"):
        judged(healthy())


def test_secrets_by_name() -> None:
    """A text that goes by the name of a secret is masked wherever it is; a number is told."""
    details = {"password": "sesame", "deep": [{"api_token": b"sesame", "user": "ali"}], "tokens": 5}
    details |= {"secrets": ["sesame", {"old": Silent(ValueError()), "uses": 2}], "pwd": ValueError("sesame")}
    assert judged(details).details == {
        "password": "****",
        "deep": [{"api_token": "****", "user": "ali"}],
        "tokens": 5,
        "secrets": ["****", {"old": "****", "uses": 2}],
        "pwd": "****",
    }
