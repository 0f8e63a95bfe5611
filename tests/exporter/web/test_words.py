"""How the pages say numbers and times."""

from __future__ import annotations

import pytest

from exporter.core.model import Wall
from exporter.web import words


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (-5, "0 s"),
        (0, "0 s"),
        (0.99, "0 s"),
        (59.9, "59 s"),
        (60, "1 min"),
        (3599, "59 min"),
        (3600, "1 h"),
        (2 * 86400 - 1, "47 h"),
        (2 * 86400, "2 d"),
        (400 * 86400, "400 d"),
    ],
)
def test_brief(seconds: float, said: str) -> None:
    """The largest unit alone, rounded down; a day and a half is told by the hour."""
    assert words.brief(seconds) == said


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (-1, "0 ms"),
        (0.04, "40 ms"),
        (3.44, "3.4 s"),
        (9.949, "9.9 s"),
        (9.95, "10 s"),
        (59.9, "59 s"),
        (59.96, "1 min"),
        (192, "3 min 12 s"),
        (18_000, "5 h"),
        (18_059, "5 h"),
        (18_060, "5 h 1 min"),
        (9 * 86_400 + 3 * 3600 + 59, "9 d 3 h"),
    ],
)
def test_duration(seconds: float, said: str) -> None:
    """The two largest units, without a second one that would be 0."""
    assert words.duration(seconds) == said


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (0.000004, "0 ms"),
        (0.00042, "0.42 ms"),
        (0.000999, "1.0 ms"),
        (0.001, "1.0 ms"),
        (-0.00312, "-3.1 ms"),
        (0.00996, "10 ms"),
        (0.12, "120 ms"),
        (0.9994, "999 ms"),
        (0.9996, "1.0 s"),
        (12.34, "12.3 s"),
    ],
)
def test_small(seconds: float, said: str) -> None:
    """As many digits as tell something, and the sign."""
    assert words.small(seconds) == said


def test_instant() -> None:
    """In UTC, and says so."""
    assert words.instant(Wall(1_700_000_000.9)) == "2023-11-14 22:13:20 UTC"


def test_number() -> None:
    """One is not many, and thousands are grouped."""
    said = [words.number(count, "worker", "workers") for count in (0, 1, 2, 1204)]
    assert said == ["0 workers", "1 worker", "2 workers", "1,204 workers"]


@pytest.mark.parametrize(
    ("parts", "said"), [([], ""), (["a"], "a"), (["a", "b"], "a and b"), (["a", "b", "c"], "a, b and c")]
)
def test_listing(parts: list[str], said: str) -> None:
    """As a sentence does."""
    assert words.listing(parts) == said
