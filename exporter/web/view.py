"""What pages are made of, as plain values, and the words for workers.

Nothing in them depends on the passing of time alone, other than a strip, which moves on once in each interval
of its worker: "3 min ago" is written where a page is delivered, from the instants in these values.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from exporter.clock import rfc3339
from exporter.core.model import SECOND, Reason, Row, Status, Transition, Wall

from . import strip, words
from .arrangement import Part
from .roster import Severity, Tally, Wanted
from .strip import State, Strip, state_of

STATUS_NAMES = {
    Status.ALIVE: "Alive",
    Status.REGISTERED: "Registered",
    Status.CONNECTED: "Connected",
    Status.DISCONNECTED: "Disconnected",
    Status.NOT_RESPONDING: "Not responding",
}
REASON_NAMES = {
    Reason.NEVER_CONNECTED: "never connected",
    Reason.TIMEOUT: "timeout",
    Reason.CONNECTION_LOST: "connection lost",
    Reason.SHUTDOWN: "shut down",
    Reason.REGISTERED: "registered",
    Reason.CONNECTED: "connected",
    Reason.HEARTBEAT: "heartbeat",
    Reason.RESTART: "restarted",
    Reason.LEAVE: "left",
    Reason.DELETED: "deleted",
    Reason.EXPIRED: "expired",
    Reason.EVICTED: "evicted",
}

_TELLS_NOTHING = frozenset({Reason.REGISTERED, Reason.CONNECTED, Reason.HEARTBEAT})
"""Reasons that are clear from the status."""


class Tone(NamedTuple):
    """A sentence and how it sounds: a class in page.css, which brings a shape with it."""

    name: str
    sentence: str


class Instant(NamedTuple):
    """`text` is for people, unless it is said of now: `kind` is `ago`, or `for` of what lasts since then."""

    kind: str
    iso: str
    text: str


class Badge(NamedTuple):
    """A state in colour, shape and word, why it is so and since when."""

    state: State
    name: str
    reason: str = ""
    since: Instant | None = None


class Fact(NamedTuple):
    """One line about something: a name and what it is, followed by an instant if there is one."""

    name: str
    text: str
    at: Instant | None = None
    code: bool = False


class Choice(NamedTuple):
    """Something to filter by, and how many there are."""

    value: str
    name: str
    number: str
    state: State | None
    chosen: bool


class Line(NamedTuple):
    """A worker in the table. Values only, so that equal lines are rendered once."""

    worker_id: str
    name: str
    group: str
    badge: Badge
    beaten: bool
    strip: Strip
    round_trip: str
    checks: Badge | None


class Change(NamedTuple):
    """A transition in a worker's table; `lasted` is how long what it led to did, empty if it still does."""

    at: Instant
    before: Badge
    after: Badge
    reason: str
    lasted: str
    lasting: Instant | None


def ago(at: float) -> Instant:
    return Instant("ago", rfc3339(Wall(at)), words.instant(Wall(at)))


def exactly(at: float) -> Instant:
    return ago(at)._replace(kind="")


def lasting(since: float) -> Instant:
    return ago(since)._replace(kind="for")


# The fleet


def fleet(tally: Tally, *, warming_up: bool) -> Tone:
    """Its state in one sentence; a second one while it is too early to miss anybody."""
    total = tally.total
    if not total:
        return Tone("quiet", "No worker has registered yet.")
    down = tally.of(Severity.LOST, Severity.CUT_OFF)
    pending, stopped = tally.of(Severity.PENDING), tally.of(Severity.STOPPED)
    failing = tally.of(Severity.UNHEALTHY, Severity.DEGRADED)
    alive = total - down - pending - stopped
    if stopped == total:
        return Tone("quiet", f"{_all(total)} {_verb(total, 'has', 'have')} shut down.")
    parts = [_share(down, total, "down") if down else _share(alive, total, "alive")]
    parts += [f"{pending:,} {_verb(pending, 'is', 'are')} starting"] if pending else []
    parts += [f"{stopped:,} {_verb(stopped, 'has', 'have')} shut down"] if stopped else []
    parts += [f"{failing:,} {_verb(failing, 'has', 'have')} failing checks"] if failing else []
    sentence = words.listing(parts) + "."
    if warming_up:
        sentence += " The exporter has just started; whoever is missing will show soon."
    name = "bad" if down else "warn" if failing else "wait" if pending else "good"
    return Tone(name, sentence)


def statuses(tally: Tally, wanted: Wanted) -> tuple[Choice, ...]:
    """All of them, and each status."""
    everybody = Choice("", "All", f"{tally.total:,}", None, wanted.status is None)
    each = (
        Choice(
            status.value,
            STATUS_NAMES[status],
            f"{count:,}",
            state_of(status, Reason.TIMEOUT),
            wanted.status is status,
        )
        for status, count in sorted(tally.statuses, key=lambda item: list(STATUS_NAMES).index(item[0]))
    )
    return (everybody, *each)


def groups(names: Iterable[str], wanted: Wanted) -> Sequence[str]:
    """To choose from: by name, and the one that is asked for whether it is known or not."""
    return sorted({*names, *filter(None, [wanted.group])}, key=lambda name: (name.casefold(), name))


def extent(part: Part[Any], total: int, one: str, many: str) -> str:
    """Which of them are shown, and of how many."""
    if not part.total:
        return f"No {one} matches." if total else ""
    first, last = part.first, part.first + len(part.rows) - 1
    shown = f"{first:,}" if first == last else f"{first:,} to {last:,}"
    if part.total == total:
        return f"{shown} of {words.number(total, one, many)}"
    return f"{shown} of {part.total:,} that match, of {words.number(total, one, many)} in all"


# One worker


def line(row: Row, now: Wall) -> Line:
    facts = row.facts
    return Line(
        facts.worker_id,
        facts.name,
        facts.group,
        badge(row),
        row.last_heartbeat is not None,
        strip.of_worker(row.history, facts.interval, now),
        "" if row.round_trip is None else words.small(row.round_trip),
        checks_badge(row),
    )


def badge(row: Row) -> Badge:
    return Badge(
        state_of(row.status, row.reason),
        STATUS_NAMES[row.status],
        "" if row.reason in _TELLS_NOTHING else REASON_NAMES[row.reason],
        lasting(row.since),
    )


def worker(row: Row) -> Tone:
    """How it is, in one sentence."""
    name = row.facts.name
    state = state_of(row.status, row.reason)
    if state is State.ALIVE:
        checks = checks_badge(row)
        if checks is not None and checks.reason:
            return Tone("warn", f"{name} is alive, but {checks.name.lower()}: {checks.reason}.")
        return Tone("good", f"{name} is alive.")
    if state is State.STOPPED:
        return Tone("quiet", f"{name} has shut down.")
    if state is State.PENDING:
        return Tone("wait", f"{name} is {row.status}, and has not sent a heartbeat since.")
    return Tone("bad", f"{name} is {STATUS_NAMES[row.status].lower()}: {REASON_NAMES[row.reason]}.")


def check_badges(row: Row) -> tuple[Badge, ...]:
    """Each of its checks, those that fail first."""
    ranked = sorted(row.checks, key=lambda check: (_CHECKS.index(check[1]), check[0]))
    return tuple(Badge(_CHECK_STATES[state], state.capitalize(), name) for name, state in ranked)


_CHECKS = ("unhealthy", "degraded", "healthy")
_CHECK_STATES = {
    "unhealthy": State.NOT_RESPONDING,
    "degraded": State.DEGRADED,
    "healthy": State.ALIVE,
}


def checks_badge(row: Row) -> Badge | None:
    """The worst of its checks, by name; None if it has told of none."""
    if not row.checks:
        return None
    for state in _CHECKS[:2]:
        names = [name for name, found in row.checks if found == state]
        if names:
            more = f" and {len(names) - 2} more" if len(names) > 2 else ""
            return Badge(_CHECK_STATES[state], state.capitalize(), ", ".join(names[:2]) + more)
    return Badge(State.ALIVE, f"{len(row.checks)} healthy")


def facts(row: Row) -> tuple[Fact, ...]:
    """What it says of itself."""
    about = row.facts
    host = f"[{about.host}]" if ":" in about.host else about.host
    metrics = about.metrics_path and f"{about.metrics_scheme}://{host}:{about.port}{about.metrics_path}"
    started = None if about.started_at is None else ago(about.started_at)
    return (
        Fact("Id", about.worker_id, code=True),
        Fact("Group", about.group),
        Fact("Address", f"{host}:{about.port}", code=True),
        Fact("Version", about.version or "not told"),
        Fact("Started", "" if started else "not told", started),
        Fact("Interval and timeout", f"{about.interval:g} s and {about.timeout:g} s"),
        Fact("Metrics", metrics or "none of its own", code=bool(metrics)),
        *(Fact(f"Label {name}", value) for name, value in about.labels),
    )


def figures(row: Row) -> tuple[Fact, ...]:
    """What was counted and measured."""
    totals = row.carried.plus(row.counted)
    unplanned = sum(time for reason, time in totals.down if reason is not Reason.SHUTDOWN)
    counted = totals.up + unplanned
    return (
        Fact("Availability", f"{_percent(totals.up / counted)}" if counted else "not known yet"),
        Fact("Time up", words.brief(totals.up / SECOND)),
        Fact("Time down", words.brief(sum(time for _, time in totals.down) / SECOND)),
        Fact("Heartbeats", f"{totals.heartbeats:,}"),
        Fact("Missed", f"{totals.missed:,}"),
        Fact("Restarts", f"{totals.restarts:,}"),
        Fact("Round trip", _measured(row.round_trip)),
        Fact("Clock offset", _measured(row.clock_offset)),
        Fact("Event loop lag", _measured(row.loop_lag)),
    )


def changes(history: Sequence[Transition]) -> tuple[Change, ...]:
    """Its transitions, newest first."""
    told = []
    for number, transition in enumerate(history):
        following = history[number + 1].at if number + 1 < len(history) else None
        told.append(
            Change(
                exactly(transition.at),
                _stand(transition.before, Reason.TIMEOUT, "new"),
                _stand(transition.after, transition.reason, "forgotten"),
                REASON_NAMES[transition.reason],
                "" if following is None else words.duration(following - transition.at),
                lasting(transition.at) if following is None else None,
            )
        )
    return tuple(reversed(told))


def _stand(status: Status | None, reason: Reason, none: str) -> Badge:
    if status is None:
        return Badge(State.UNKNOWN, none)
    return Badge(state_of(status, reason), STATUS_NAMES[status])


def _share(count: int, total: int, what: str) -> str:
    if count == total:
        return f"{_all(total)} {_verb(total, 'is', 'are')} {what}"
    return f"{count:,} of {total:,} workers {_verb(count, 'is', 'are')} {what}"


def _all(total: int) -> str:
    return "The only worker" if total == 1 else f"All {total:,} workers"


def _verb(count: int, one: str, many: str) -> str:
    return one if count == 1 else many


def _percent(share: float) -> str:
    """Rounded down: what was not always so is not 100 %."""
    return f"{int(share * 10_000) / 100:g} %"


def _measured(seconds: float | None) -> str:
    return "–" if seconds is None else words.small(seconds)
