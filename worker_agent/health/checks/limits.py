"""Limits that a check may be given, and what becomes of it when one is passed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from worker_agent.health.result import Result
from worker_agent.protocol import CheckState


def checked_limit(what: str, value: object) -> int | None:
    """A number of things, or None for no limit.

    Raises:
        TypeError, ValueError: it is no whole number, or negative.
    """
    if value is None:
        return None
    if type(value) is not int:
        raise TypeError(f"{what} must be a whole number or None, not {value!r}")
    if value < 0:
        raise ValueError(f"{what} must be 0 or more, not {value}")
    return value


def checked_measure(what: str, value: object, most: float) -> float | None:
    """A number above 0 and up to `most`, or None for no limit.

    Raises:
        TypeError, ValueError: it is no number, or none of these.
    """
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"{what} must be a number or None, not {value!r}")
    if not 0 < value <= most:
        raise ValueError(f"{what} must be above 0 and at most {most:g}, not {value!r}")
    return float(value)


def checked_severity(what: str, value: object) -> CheckState:
    """What passing a limit means: degraded or unhealthy.

    Raises:
        ValueError: it is neither.
    """
    for state in (CheckState.DEGRADED, CheckState.UNHEALTHY):
        if value == state:
            return state
    raise ValueError(f"{what} must be 'degraded' or 'unhealthy', not {value!r}")


def verdict(severity: CheckState, passed: Sequence[str], details: Mapping[str, object]) -> Result:
    """Healthy, or as severe as said when limits were passed; `passed` says which, one clause each."""
    if not passed:
        return Result(CheckState.HEALTHY, details)
    return Result(severity, details, "; ".join(passed))
