"""Limits as they are given, and what passing one makes of a check."""

from __future__ import annotations

import pytest

from worker_agent.health.checks.limits import checked_limit, checked_measure, checked_severity, verdict
from worker_agent.health.result import Result
from worker_agent.protocol import CheckState


def test_limits() -> None:
    """A limit is a number of things, and may be missing."""
    assert [checked_limit("max", limit) for limit in (None, 0, 10**9)] == [None, 0, 10**9]


@pytest.mark.parametrize(
    ("limit", "error", "text"),
    [
        (-1, ValueError, "max must be 0 or more, not -1"),
        (1.5, TypeError, "max must be a whole number or None, not 1.5"),
        (True, TypeError, "max must be a whole number or None, not True"),
        ("5", TypeError, "max must be a whole number or None, not '5'"),
    ],
)
def test_no_limit(limit: object, error: type[Exception], text: str) -> None:
    """Any other is refused."""
    with pytest.raises(error) as refused:
        checked_limit("max", limit)
    assert str(refused.value) == text


def test_measures() -> None:
    """What is measured has a limit that need not be whole, and may be missing."""
    assert [checked_measure("max", limit, 100) for limit in (None, 0.5, 100)] == [None, 0.5, 100.0]


@pytest.mark.parametrize(
    ("limit", "error", "text"),
    [
        (0, ValueError, "max must be above 0 and at most 100, not 0"),
        (100.5, ValueError, "max must be above 0 and at most 100, not 100.5"),
        (float("nan"), ValueError, "max must be above 0 and at most 100, not nan"),
        (True, TypeError, "max must be a number or None, not True"),
        ("5", TypeError, "max must be a number or None, not '5'"),
    ],
)
def test_no_measure(limit: object, error: type[Exception], text: str) -> None:
    """Any other is refused."""
    with pytest.raises(error) as refused:
        checked_measure("max", limit, 100)
    assert str(refused.value) == text


def test_severity() -> None:
    """What is beyond a limit is degraded or unhealthy, by name or by state."""
    given = ["degraded", CheckState.DEGRADED, "unhealthy", CheckState.UNHEALTHY]
    assert [checked_severity("beyond", severity) for severity in given] == [
        CheckState.DEGRADED,
        CheckState.DEGRADED,
        CheckState.UNHEALTHY,
        CheckState.UNHEALTHY,
    ]


@pytest.mark.parametrize("severity", ["healthy", "bad", None, 1])
def test_no_severity(severity: object) -> None:
    """Any other is refused."""
    with pytest.raises(ValueError, match="must be") as refused:
        checked_severity("beyond", severity)
    assert str(refused.value) == f"beyond must be 'degraded' or 'unhealthy', not {severity!r}"


def test_verdicts() -> None:
    """Details are told in any case; the limits that were passed are the error."""
    details = {"length": 5}
    assert verdict(CheckState.UNHEALTHY, [], details) == Result.healthy(length=5)
    assert verdict(CheckState.DEGRADED, ["a is 5, above 4"], details) == Result.degraded(
        "a is 5, above 4", length=5
    )
    assert verdict(CheckState.UNHEALTHY, ["one", "two"], details) == Result.unhealthy("one; two", length=5)
