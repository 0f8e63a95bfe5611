"""Durations."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from exporter.configuration.duration import Limit, Pause, Period, parse, shown


@pytest.mark.parametrize(
    ("written", "seconds"),
    [
        ("500ms", 0.5),
        ("60s", 60.0),
        ("1.5s", 1.5),
        ("5m", 300.0),
        ("1h", 3600.0),
        ("1d", 86400.0),
        ("1h30m", 5400.0),
        ("1s100ms", 1.1),
        ("0s", 0.0),
        (60, 60.0),
        (0.25, 0.25),
    ],
)
def test_written(written: object, seconds: float) -> None:
    """A number with its unit, several of them from large to small, or a plain number of seconds."""
    assert parse(written) == seconds


@pytest.mark.parametrize(
    "written",
    [
        "",
        "s",
        "5",
        "5 s",
        "-5s",
        "5x",
        "5S",
        "30m1h",
        "1m1m",
        ".5s",
        "٣s",
        "1e3s",
        -1,
        True,
        None,
        [],
        float("inf"),
    ],
)
def test_refused(written: object) -> None:
    """All else is refused, with examples of what is not."""
    with pytest.raises(ValueError, match=r"^must be a duration such as 500ms, 60s, 5m or 1h$"):
        parse(written)


@given(st.integers(min_value=0, max_value=10**12))
def test_what_is_shown_is_read_as_the_same(milliseconds: int) -> None:
    """To the millisecond."""
    assert parse(shown(milliseconds / 1000)) == milliseconds / 1000


@given(st.text(alphabet="0123456789.dhms", max_size=12))
def test_any_text_is_read_or_refused(text: str) -> None:
    """The pattern that is published says beforehand which."""
    pattern = TypeAdapter(Pause).json_schema()["anyOf"][0]["pattern"]
    try:
        seconds = parse(text)
    except ValueError:
        assert not re.search(pattern, text)
    else:
        assert re.search(pattern, text)
        assert seconds >= 0


@pytest.mark.parametrize(
    ("kind", "least", "most"),
    [(Period, "100ms", "1d"), (Limit, "10ms", "1h"), (Pause, "0s", "7d")],
)
def test_bounds(kind: object, least: str, most: str) -> None:
    """Each kind of time has its range, which is inclusive and named when it is left."""
    adapter: TypeAdapter[float] = TypeAdapter(kind)
    assert [adapter.validate_python(each) for each in (least, most)] == [parse(least), parse(most)]
    for beyond in (parse(least) - 0.001, parse(most) + 0.001):
        expected = "must be a duration" if beyond < 0 else f"must be {least} to {most}"
        with pytest.raises(ValidationError, match=expected):
            adapter.validate_python(beyond)
