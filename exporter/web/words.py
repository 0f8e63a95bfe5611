"""How the pages say numbers and times. static/page.js says `brief` in the same words."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from exporter.core.model import Wall

_UNITS = ((86_400, "d"), (3_600, "h"), (60, "min"), (1, "s"))
"""From the largest; lengths in seconds."""


def brief(seconds: float) -> str:
    """A duration in its largest unit: `3 s`, `12 min`, `47 h`, `2 d`. What is negative is `0 s`."""
    whole = max(0, int(seconds))
    for length, name in _UNITS:
        # One day and three hours are told by the hour: 27 h says more than 1 d.
        if whole >= (2 * length if name == "d" else length):
            return f"{whole // length} {name}"
    return "0 s"


def duration(seconds: float) -> str:
    """A duration in its two largest units: `40 ms`, `3.4 s`, `12 s`, `3 min 12 s`, `5 h`, `9 d 3 h`."""
    if seconds < 9.95:
        return small(max(0.0, seconds))
    whole = int(seconds + 0.05)
    (length, name), *smaller = [unit for unit in _UNITS if whole >= unit[0]]
    parts = [f"{whole // length} {name}"]
    if smaller:
        rest = whole % length // smaller[0][0]
        parts += [f"{rest} {smaller[0][1]}"] if rest else []
    return " ".join(parts)


def small(seconds: float) -> str:
    """A time of which milliseconds matter, in two digits or so: `0.42 ms`, `-3.0 ms`, `120 ms`, `1.3 s`."""
    if abs(seconds) >= 0.9995:
        return f"{seconds:.1f} s"
    milliseconds = 1000 * seconds
    if abs(milliseconds) < 0.005:
        return "0 ms"
    digits = 2 if abs(milliseconds) < 0.995 else 1 if abs(milliseconds) < 9.95 else 0
    return f"{milliseconds:.{digits}f} ms"


def instant(at: Wall) -> str:
    """For people, in UTC and to the second."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def number(count: int, one: str, many: str) -> str:
    """`1 worker`, `1,204 workers`."""
    return f"{count:,} {one if count == 1 else many}"


def listing(parts: Sequence[str]) -> str:
    """`a`, `a and b`, `a, b and c`."""
    return " and ".join(filter(None, (", ".join(parts[:-1]), *parts[-1:])))
