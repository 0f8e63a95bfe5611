"""The words for probes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from exporter.core.model import Wall
from exporter.core.probing import KEPT, ProbeRow, Result

from . import strip, words
from .strip import State, Strip
from .view import Badge, Choice, Fact, Instant, Tone, ago, exactly, lasting


class Standing(NamedTuple):
    """How a probe's target can stand: its name in a query, how it looks, and in words."""

    value: str
    state: State
    name: str


DOWN = Standing("down", State.NOT_RESPONDING, "Down")
UNKNOWN = Standing("unknown", State.PENDING, "Not known yet")
UP = Standing("up", State.ALIVE, "Up")
STANDINGS = (DOWN, UNKNOWN, UP)
"""Worst first."""


class Wanted(NamedTuple):
    """Which probes: part of a name or target; how they stand. And which page of them, from 1."""

    text: str = ""
    standing: Standing | None = None
    page: int = 1

    def matches(self, row: ProbeRow) -> bool:
        if self.standing is not None and standing(row) is not self.standing:
            return False
        part = self.text.casefold()
        return not part or any(part in text.casefold() for text in (row.name, row.target))


class Line(NamedTuple):
    """A probe in the table."""

    name: str
    kind: str
    target: str
    badge: Badge
    last: Instant | None
    strip: Strip
    duration: str


class Run(NamedTuple):
    """A result in a probe's table."""

    at: Instant
    badge: Badge
    detail: str
    duration: str
    phases: str
    http_status: str


def standing(row: ProbeRow) -> Standing:
    return UNKNOWN if row.up is None else UP if row.up else DOWN


def key(row: ProbeRow) -> tuple[int, int, str, str]:
    """Worst first: what is down, then what failed last time, then by name."""
    failing = row.last is not None and not row.last.success
    return STANDINGS.index(standing(row)), not failing, row.name.casefold(), row.name


def probes(counts: Mapping[Standing, int]) -> Tone:
    """How all of them stand, in one sentence."""
    total = sum(counts.values())
    if not total:
        return Tone("quiet", "No probe is configured.")
    down, unknown = counts[DOWN], counts[UNKNOWN]
    of_all = f"of {words.number(total, 'target', 'targets')}"
    if down:
        return Tone("bad", f"{down:,} {of_all} {'is' if down == 1 else 'are'} down.")
    if unknown:
        return Tone("wait", f"{unknown:,} {of_all} {'is' if unknown == 1 else 'are'} not known yet.")
    return Tone("good", "The only target is up." if total == 1 else f"All {total:,} targets are up.")


def choices(counts: Mapping[Standing, int], wanted: Wanted) -> tuple[Choice, ...]:
    everything = Choice("", "All", f"{sum(counts.values()):,}", None, wanted.standing is None)
    each = (
        Choice(one.value, one.name, f"{counts[one]:,}", one.state, wanted.standing is one)
        for one in reversed(STANDINGS)
    )
    return (everything, *each)


def badge(row: ProbeRow) -> Badge:
    """How its target stands. What thresholds still forgive is said besides."""
    how = standing(row)
    failure = None if row.last is None else row.last.failure
    if failure is not None:
        reason = failure.value if how is DOWN else f"last run failed: {failure}"
    else:
        reason = "last run succeeded" if how is DOWN else ""
    return Badge(how.state, how.name, reason, None if row.since is None else lasting(row.since))


def line(row: ProbeRow) -> Line:
    last = row.last
    return Line(
        row.name,
        row.kind,
        row.target,
        badge(row),
        None if last is None else ago(last.at),
        runs_strip(row),
        "" if last is None else words.small(last.duration),
    )


def runs_strip(row: ProbeRow) -> Strip:
    return strip.of_runs([result.success for result in row.history.latest], KEPT)


def probe(row: ProbeRow) -> Tone:
    """How one stands, in one sentence."""
    how, last = standing(row), row.last
    if how is UNKNOWN or last is None:
        return Tone("wait", f"{row.name} has no result yet.")
    failure = "" if last.failure is None else f" ({last.failure})"
    if how is UP:
        but = f", but its last run failed{failure}" if failure else ""
        return Tone("warn" if failure else "good", f"The target of {row.name} is up{but}.")
    but = "" if failure else ", though its last run succeeded"
    return Tone("bad", f"The target of {row.name} is down{failure}{but}.")


def facts(row: ProbeRow) -> tuple[Fact, ...]:
    expiry = None if row.last is None else row.last.certificate_expiry
    failures = [f"{count:,} {reason}" for reason, count in row.failures if count]
    return (
        Fact("Kind", row.kind),
        Fact("Target", row.target, code=True),
        Fact("Since", "no result yet") if row.since is None else Fact("Since", "", ago(row.since)),
        Fact("Runs", f"{row.runs:,}"),
        Fact("Failures", ", ".join(failures) or "none"),
        *([] if expiry is None else [Fact("Certificate expires", words.instant(Wall(expiry)))]),
    )


def runs(results: Sequence[Result]) -> tuple[Run, ...]:
    """Newest first."""
    return tuple(
        Run(
            exactly(result.at),
            Badge(State.ALIVE, "Success")
            if result.failure is None
            else Badge(State.NOT_RESPONDING, "Failure", result.failure),
            result.detail,
            words.small(result.duration),
            ", ".join(f"{phase} {words.small(took)}" for phase, took in result.phases),
            "" if result.http_status is None else str(result.http_status),
        )
        for result in reversed(results)
    )


def earlier_failures(row: ProbeRow) -> Sequence[Result]:
    """Those that are older than the latest results."""
    latest = row.history.latest
    return [result for result in row.history.failures if result.at < latest[0].at]
