"""What is said of a load test."""

from __future__ import annotations

import io
from collections import Counter

import pytest
from rich.console import Console

from worker_agent.loadtest import report
from worker_agent.loadtest.crowd import Plan, Standing
from worker_agent.loadtest.report import Limits, Result

PLAN = Plan("http://exporter:8000", 1000, 5.0, 60.0, 200.0, "loadtest", 1)
STANDING = Standing(65.2, 1000, 1000, 12_345, 4_321, Counter(), Counter(), 0.0021)
GOOD = Result(PLAN, STANDING, [n / 1000 for n in range(1, 101)], 6.4, 0)
LIMITS = Limits(1.0, 1.0, 0)


def printed(result: Result) -> list[str]:
    text = io.StringIO()
    Console(file=text, width=200).print(report.table(result))
    return [line.rstrip() for line in text.getvalue().splitlines()]


def test_a_good_run() -> None:
    """Who was connected and how quickly, what was sent and answered, and how fast."""
    assert printed(GOOD) == [
        "workers          1,000, a heartbeat each 5 s",
        "connected        1,000, all of them after 6.4 s: 156 a second",
        "heartbeats sent  12,345 in 65 s",
        "acknowledged     4,321",
        "round trip       median 51 ms, 90 of 100 91 ms, 99 of 100 100 ms, largest 100 ms",
        "errors           none",
        "late by at most  2.1 ms",
    ]
    assert report.failures(GOOD, LIMITS) == []


def test_a_bad_run() -> None:
    """Each limit that was not kept is named, with the figure and what was expected."""
    bad = Result(
        PLAN,
        STANDING._replace(
            connected=990,
            errors=Counter(unreachable=12, connection_lost=1),
            problems=Counter({"connection refused": 9, "closed": 1}),
            late=0.9,
        ),
        [0.2, 3.0],
        None,
        10,
    )
    assert printed(bad)[1:] == [
        "connected        990",
        "heartbeats sent  12,345 in 65 s",
        "acknowledged     4,321",
        "round trip       median 3 s, 90 of 100 3 s, 99 of 100 3 s, largest 3 s",
        "errors           12 unreachable, 1 connection_lost",
        "not connected    9 connection refused, 1 closed",
        "left behind      10, which could not take leave",
        "late by at most  900 ms: this machine is too slow for so many",
    ]
    assert report.failures(bad, LIMITS) == [
        "990 of 1,000 workers connected, expected 100%",
        "99 of 100 round trips within 3 s, expected 1 s",
        "13 errors, expected at most 0",
    ]


def test_a_run_without_an_answer() -> None:
    """It fails, whatever the limits are."""
    silent = Result(PLAN, STANDING._replace(acknowledged=0, connected=0), [], None, 0)
    assert "round trip       none" in printed(silent)
    assert report.failures(silent, Limits(0.0, 99.0, 99)) == ["no heartbeat was acknowledged"]


@pytest.mark.parametrize(
    ("limits", "kept"),
    [(Limits(0.99, 3.0, 13), True), (Limits(0.991, 3.0, 13), False), (Limits(0.99, 2.9, 13), False)],
)
def test_limits_are_inclusive(limits: Limits, kept: bool) -> None:
    """What is exactly at a limit has kept it."""
    standing = STANDING._replace(connected=990, errors=Counter(unreachable=13))
    assert (report.failures(Result(PLAN, standing, [3.0], None, 0), limits) == []) is kept


def test_progress_is_a_line() -> None:
    """How many of how many, and what else there is by then."""
    assert report.line(STANDING._replace(connected=7, errors=Counter(a=1, b=2)), PLAN) == (
        "   65 s  7 of 1,000 connected, 12,345 heartbeats sent, 4,321 acknowledged, 3 errors"
    )
