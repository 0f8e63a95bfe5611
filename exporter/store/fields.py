"""The fields of a JSON object that anybody may have edited, each of them distrusted.

Every reader takes the object and the name of a field, and raises `Corrupt` naming the field, what it
is and what was expected.
"""

from __future__ import annotations

from collections.abc import Callable
from math import isfinite
from typing import Any, TypeVar

from exporter.core.model import Wall

Json = dict[str, Any]
T = TypeVar("T")


class Corrupt(ValueError):
    """This is no record; the text says what is wrong with it."""


def field(data: Json, key: str, kind: type[T]) -> T:
    value = data.get(key, _MISSING)
    if type(value) is not kind:  # exact, because True is an int too
        raise Corrupt(f"{key} is {_show(value)}, expected {_KINDS[kind]}")
    return value


def text(data: Json, key: str) -> str:
    return unicode(field(data, key, str), key)


def unicode(value: str, key: str) -> str:
    """JSON can spell half a character, and one of those would spoil all of /metrics."""
    if not value.isascii():
        try:
            value.encode()
        except UnicodeEncodeError:
            raise Corrupt(f"{key} is not Unicode text: {value!a}") from None
    return value


def count(data: Json, key: str) -> int:
    value = field(data, key, int)
    if not 0 <= value < 2**63:
        raise Corrupt(f"{key} is {_show(value)}, expected 0 to 2^63 - 1")
    return value


def number(data: Json, key: str) -> float:
    value = data.get(key, _MISSING)
    if type(value) is float and isfinite(value):
        return value
    if type(value) is int and abs(value) < 2**63:
        return float(value)
    raise Corrupt(f"{key} is {_show(value)}, expected a finite number")


def duration(data: Json, key: str) -> float:
    value = number(data, key)
    if not 0 < value <= _DAY:
        raise Corrupt(f"{key} is {value}, expected more than 0 and at most {_DAY} seconds")
    return value


def time(data: Json, key: str) -> Wall:
    """Unix seconds that have a calendar date, or they could not be written again."""
    value = number(data, key)
    if not 0 <= value < _YEAR_10000:
        raise Corrupt(f"{key} is {value}, expected Unix seconds before the year 10000")
    return Wall(value)


def optional(read: Callable[[Json, str], T], data: Json, key: str) -> T | None:
    return None if data.get(key, _MISSING) is None else read(data, key)


def one_of(choices: dict[object, T], data: Json, key: str) -> T:
    value = field(data, key, str)
    if value not in choices:
        raise Corrupt(f"{key} is {_show(value)}, expected one of {', '.join(map(str, choices))}")
    return choices[value]


_DAY = 86_400
_YEAR_10000 = 253_402_300_800
_MISSING = object()
_KINDS: dict[type, str] = {str: "text", int: "a whole number", dict: "an object", list: "a list"}


def _show(value: object) -> str:
    return "missing" if value is _MISSING else f"{value!a:.80}"
