"""From rows to what the pages say: sentences, labels and charts as plain values.

Nothing here depends on the passing of time alone, other than the strip, which moves on once in each
interval of its worker: "3 min ago" is written where a page is delivered, from the instants in these values.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from exporter.clock import rfc3339
from exporter.core.model import Reason, Row, Status, Wall

from . import words
from .roster import Part, Severity, Tally, Wanted
from .strip import State, Strip, state_of, strip

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


class Tone(NamedTuple):
    """How a sentence sounds: a class in page.css, which brings a shape with it, and the sentence."""

    name: str
    sentence: str


class Instant(NamedTuple):
    """`iso` for programs, `text` for people; `kind` is `ago` or `for`, how it is said of now."""

    kind: str
    iso: str
    text: str


class Badge(NamedTuple):
    """A state with its colour and shape, in words, and why and since when it is so."""

    state: str
    name: str
    reason: str
    since: Instant | None


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


class Choice(NamedTuple):
    value: str
    name: str
    number: str
    chosen: bool
    state: str


def ago(at: Wall) -> Instant:
    return Instant("ago", rfc3339(at), words.instant(at))


def lasting(since: Wall) -> Instant:
    return Instant("for", rfc3339(since), words.instant(since))


def fleet_tone(tally: Tally, *, warming_up: bool) -> Tone:
    """The state of the fleet in one sentence."""
    total = tally.total
    if not total:
        return Tone("quiet", "No worker has registered yet.")
    lost = tally.of(Severity.LOST, Severity.CUT_OFF)
    pending, stopped = tally.of(Severity.PENDING), tally.of(Severity.STOPPED)
    failing = tally.of(Severity.UNHEALTHY, Severity.DEGRADED)
    alive = total - lost - pending - stopped
    if lost == total:
        what = ["The only worker is down" if total == 1 else f"All {total:,} workers are down"]
    elif lost:
        what = [f"{lost:,} of {total:,} workers {'is' if lost == 1 else 'are'} down"]
    elif alive == total:
        what = ["The only worker is alive" if total == 1 else f"All {total:,} workers are alive"]
    else:
        what = [
            f"{alive:,} of {words.count(total, 'worker', 'workers')} {'is' if alive == 1 else 'are'} alive"
        ]
    if pending:
        what.append(f"{pending:,} {'is' if pending == 1 else 'are'} starting")
    if stopped:
        what.append(f"{stopped:,} {'has' if stopped == 1 else 'have'} shut down")
    if failing:
        what.append(f"{failing:,} {'has' if failing == 1 else 'have'} failing checks")
    sentence = words.listing(what) + "."
    if warming_up:
        sentence += " The exporter has just started: who is missing will show."
    name = "bad" if lost else "warn" if failing else "wait" if pending else "good"
    return Tone(name, sentence)


def line(row: Row, now: Wall) -> Line:
    facts = row.facts
    return Line(
        facts.worker_id,
        facts.name,
        facts.group,
        badge(row),
        row.last_heartbeat is not None,
        strip(row.history, facts.interval, now),
        "" if row.round_trip is None else words.small(row.round_trip),
        checks_badge(row),
    )


def badge(row: Row) -> Badge:
    state = state_of(row.status, row.reason)
    return Badge(state, STATUS_NAMES[row.status], REASON_NAMES[row.reason], lasting(row.since))


def checks_badge(row: Row) -> Badge | None:
    """The worst of a worker's checks by name; None if it has told of none."""
    if not row.checks:
        return None
    for state, looks in (("unhealthy", State.NOT_RESPONDING), ("degraded", State.DISCONNECTED)):
        names = [name for name, found in row.checks if found == state]
        if names:
            more = f" and {len(names) - 2} more" if len(names) > 2 else ""
            return Badge(looks, state.capitalize(), ", ".join(names[:2]) + more, None)
    return Badge(State.ALIVE, f"{len(row.checks)} healthy", "", None)


def status_choices(tally: Tally, wanted: Wanted) -> list[Choice]:
    return [
        Choice(
            status.value,
            STATUS_NAMES[status],
            f"{number:,}",
            wanted.status is status,
            state_of(status, Reason.TIMEOUT),
        )
        for status, number in tally.statuses
    ]


def group_choices(groups: Sequence[str], wanted: Wanted) -> list[Choice]:
    """The one that is asked for is there, known or not."""
    names = sorted({*groups, *filter(None, [wanted.group])}, key=str.casefold)
    return [Choice(name, name, "", name == wanted.group, "") for name in names]


def extent(part: Part, tally: Tally) -> str:
    """Which workers are shown, of how many."""
    if not part.matching:
        return "None match." if tally.total else ""
    last = part.first + len(part.rows) - 1
    text = f"{part.first:,}–{last:,} of {words.count(part.matching, 'worker', 'workers')}"
    return text if part.matching == tally.total else f"{text} that match, of {tally.total:,}"
