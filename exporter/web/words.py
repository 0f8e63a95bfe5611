"""How the pages say numbers and times. static/page.js says durations in the same words."""

from __future__ import annotations

from datetime import UTC, datetime

from exporter.core.model import Wall

MINUTE, HOUR, DAY = 60, 3600, 86400


def brief(seconds: float) -> str:
    """A duration in its largest unit: `3 s`, `12 min`, `5 h`, `9 d`. What is negative is `0 s`."""
    whole = max(0, int(seconds))
    if whole < MINUTE:
        return f"{whole} s"
    if whole < HOUR:
        return f"{whole // MINUTE} min"
    if whole < 2 * DAY:
        return f"{whole // HOUR} h"
    return f"{whole // DAY} d"


def duration(seconds: float) -> str:
    """A duration in its two largest units: `0.4 s`, `3 min 12 s`, `5 h 2 min`, `9 d 3 h`."""
    seconds = max(0.0, seconds)
    if seconds < 10:
        return f"{round(seconds, 1):g} s"
    whole = int(seconds)
    if whole < MINUTE:
        return f"{whole} s"
    for unit, name, part, part_name in (
        (MINUTE, "min", 1, "s"),
        (HOUR, "h", MINUTE, "min"),
        (DAY, "d", HOUR, "h"),
    ):
        larger = {MINUTE: HOUR, HOUR: DAY}.get(unit)
        if larger is None or whole < larger:
            rest = whole % unit // part
            return f"{whole // unit} {name}" + (f" {rest} {part_name}" if rest else "")
    raise AssertionError("the largest unit has no end")


def small(seconds: float) -> str:
    """A duration that is measured in milliseconds: `0.42 ms`, `12 ms`, `1.3 s`; with its sign."""
    if abs(seconds) >= 1:
        return f"{seconds:.3g} s"
    return f"{1000 * seconds:.2g} ms" if abs(seconds) < 0.1 else f"{1000 * seconds:.0f} ms"


def instant(at: Wall) -> str:
    """For people, in UTC and to the second."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def count(number: int, one: str, many: str) -> str:
    """`1 worker`, `1,204 workers`."""
    return f"{number:,} {one if number == 1 else many}"


def listing(parts: list[str]) -> str:
    """`a`, `a and b`, `a, b and c`."""
    return " and ".join(filter(None, (", ".join(parts[:-1]), *parts[-1:])))
