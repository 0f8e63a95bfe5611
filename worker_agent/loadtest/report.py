"""What came of a load test: a table, and whether it is good enough."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

from rich.table import Table
from rich.text import Text

from worker_agent.loadtest.crowd import Plan, Standing

QUANTILES = (0.5, 0.9, 0.99, 1.0)


class Limits(NamedTuple):
    """What is good enough: the share of workers connected at the end, the 99th of 100 round trips in
    seconds, and errors in all."""

    connected: float
    round_trip: float
    errors: int


class Result(NamedTuple):
    """`round_trips` in seconds, sorted; `connected_within` is None if not all ever were; `left_behind` is how
    many the exporter will call lost."""

    plan: Plan
    standing: Standing
    round_trips: Sequence[float]
    connected_within: float | None
    left_behind: int

    def round_trip(self, quantile: float) -> float | None:
        """The smallest that so many are at most; None without any."""
        count = len(self.round_trips)
        return self.round_trips[min(count - 1, int(count * quantile))] if count else None


def failures(result: Result, limits: Limits) -> list[str]:
    """Each limit that was not kept, with the figure and what it was to be."""
    standing, workers = result.standing, result.plan.workers
    found = []
    if standing.connected < limits.connected * workers:
        found.append(
            f"{standing.connected:,} of {workers:,} workers connected, expected {limits.connected:.0%}"
        )
    slowest = result.round_trip(0.99)
    if slowest is None:
        found.append("no heartbeat was acknowledged")
    elif slowest > limits.round_trip:
        found.append(f"99 of 100 round trips within {said(slowest)}, expected {said(limits.round_trip)}")
    errors = sum(standing.errors.values())
    if errors > limits.errors:
        found.append(f"{errors:,} errors, expected at most {limits.errors:,}")
    return found


def table(result: Result) -> Table:
    plan, standing = result.plan, result.standing
    made = Table(box=None, show_header=False, pad_edge=False)
    made.add_column(style="bold", no_wrap=True)
    made.add_column(overflow="fold")
    for name, text in (
        ("workers", f"{plan.workers:,}, a heartbeat each {plan.interval:g} s"),
        ("connected", f"{standing.connected:,}{_rate(result)}"),
        ("heartbeats sent", f"{standing.sent:,} in {standing.elapsed:.0f} s"),
        ("acknowledged", f"{standing.acknowledged:,}"),
        ("round trip", _round_trips(result)),
        ("errors", _listed(standing.errors) or "none"),
        *((("not connected", _listed(standing.problems)),) if standing.problems else ()),
        *(
            (("left behind", f"{result.left_behind:,}, which could not take leave"),)
            if result.left_behind
            else ()
        ),
        ("late by at most", f"{said(standing.late)}{_own_fault(standing)}"),
    ):
        made.add_row(name, Text(text))
    return made


def line(standing: Standing, plan: Plan) -> str:
    """How things stand, in a line."""
    errors = sum(standing.errors.values())
    return (
        f"{standing.elapsed:5.0f} s  {standing.connected:,} of {plan.workers:,} connected,"
        f" {standing.sent:,} heartbeats sent, {standing.acknowledged:,} acknowledged, {errors:,} errors"
    )


def said(seconds: float) -> str:
    """A short time for people: `0.8 ms`, `120 ms`, `2.5 s`."""
    return f"{seconds:.3g} s" if seconds >= 1 else f"{1000 * seconds:.3g} ms"


def _rate(result: Result) -> str:
    if result.connected_within is None:
        return ""
    rate = result.plan.workers / result.connected_within
    return f", all of them after {result.connected_within:.1f} s: {rate:,.0f} a second"


def _round_trips(result: Result) -> str:
    names = ("median", "90 of 100", "99 of 100", "largest")
    found = [
        f"{name} {said(seconds)}"
        for name, quantile in zip(names, QUANTILES, strict=True)
        if (seconds := result.round_trip(quantile)) is not None
    ]
    return ", ".join(found) or "none"


def _listed(counts: Counter[str]) -> str:
    """The most frequent ones."""
    return ", ".join(f"{count:,} {name}" for name, count in counts.most_common(3))


def _own_fault(standing: Standing) -> str:
    """A load generator that cannot keep up measures itself."""
    return ": this machine is too slow for so many" if standing.late > 0.25 else ""
