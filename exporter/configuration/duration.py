"""Durations as people write them, `500ms`, `60s`, `5m`, `1h30m`, and as the program uses them: in seconds."""

from __future__ import annotations

import math
import re
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, WithJsonSchema

_MILLISECONDS = {"d": 86_400_000, "h": 3_600_000, "m": 60_000, "s": 1_000, "ms": 1}
_WRITTEN = re.compile("".join(rf"(?:([0-9]+(?:\.[0-9]+)?){unit})?" for unit in _MILLISECONDS))
_EXPECTED = "must be a duration such as 500ms, 60s, 5m or 1h"


def parse(value: object) -> float:
    """Seconds; a plain number is taken as seconds too.

    Raises:
        ValueError: it is no duration; the message says what is expected.
    """
    if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value) and value >= 0:
        return float(value)
    written = _WRITTEN.fullmatch(value) if isinstance(value, str) else None
    if not written or not written[0]:
        raise ValueError(_EXPECTED)
    # Milliseconds are added before they become seconds, so that 1s100ms is 1.1 exactly.
    milliseconds = 0.0
    for amount, size in zip(written.groups(default="0"), _MILLISECONDS.values(), strict=True):
        milliseconds += float(amount) * size
    return milliseconds / 1000


def shown(seconds: float) -> str:
    """The shortest way to write it that `parse` reads as the same, to the millisecond."""
    left = round(seconds * 1000)
    parts = []
    for unit, size in _MILLISECONDS.items():
        amount, left = divmod(left, size)
        if amount:
            parts.append(f"{amount}{unit}")
    return "".join(parts) or "0s"


def _between(least: float, most: float) -> AfterValidator:
    def check(seconds: float) -> float:
        if not least <= seconds <= most:
            raise ValueError(f"must be {shown(least)} to {shown(most)}")
        return seconds

    return AfterValidator(check)


_SCHEMA = WithJsonSchema(
    {
        "anyOf": [
            {"type": "string", "pattern": f"^(?=.){_WRITTEN.pattern}$"},
            {"type": "number", "minimum": 0},
        ],
        "examples": ["500ms", "60s", "5m", "1h"],
    }
)

Period = Annotated[float, BeforeValidator(parse), _between(0.1, 86_400), _SCHEMA]
"""Time between two runs."""

Limit = Annotated[float, BeforeValidator(parse), _between(0.01, 3_600), _SCHEMA]
"""Time after which something is given up."""

Pause = Annotated[float, BeforeValidator(parse), _between(0, 7 * 86_400), _SCHEMA]
"""Time for which something is left alone; may be none."""
