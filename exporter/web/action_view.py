"""The words for actions."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from exporter.core.acting import ActionRow, Cause, Kind, Outcome
from exporter.core.brake import Hold

from . import words
from .strip import State
from .view import Badge, Fact, Instant, Tone, ago, exactly, lasting


class Line(NamedTuple):
    """An action in the table."""

    name: str
    badge: Badge
    cause: str
    doing: str
    last: Badge | None
    last_at: Instant | None


class Run(NamedTuple):
    """A finished run in a table; `detail` and `output` are empty if there is nothing to say."""

    action: str
    kind: str
    at: Instant
    badge: Badge
    detail: str
    output: str
    duration: str
    cause: str


_STATES = {Kind.PROMOTE: Badge(State.ALIVE, "Promoted"), Kind.DEMOTE: Badge(State.STOPPED, "Demoted")}
_UNKNOWN = Badge(State.PENDING, "Not known yet")


def badge(row: ActionRow) -> Badge:
    if row.state is None:
        return _UNKNOWN
    return _STATES[row.state.kind]._replace(since=lasting(row.state.since))


def last_run(row: ActionRow) -> Outcome | None:
    return max((outcome for _, outcome in row.last), key=lambda outcome: outcome.at, default=None)


def actions(rows: Sequence[ActionRow], hold: Hold | None) -> Tone:
    """How all of them are, in one sentence."""
    if not rows:
        return Tone("quiet", "No action is configured.")
    if hold is not None:
        return Tone("warn", "All actions are held.")
    failed = sum(1 for row in rows if _failed(row))
    busy = sum(1 for row in rows if row.running is not None)
    all_of_them = words.number(len(rows), "action", "actions")
    parts = [f"{failed:,} of {all_of_them} failed last time"] if failed else []
    parts += [f"{busy:,} {'is' if busy == 1 else 'are'} running"] if busy else []
    if not parts:
        return Tone("good", f"{all_of_them}, none of which failed last time.")
    return Tone("bad" if failed else "wait", words.listing(parts) + ".")


def brake(hold: Hold | None) -> str:
    """Why actions are held; empty if they are not."""
    if hold is None:
        return ""
    return (
        f"{hold.fell:,} of {hold.of:,} in {hold.scope} went down together, which is rather a failure of the"
        " exporter's network than of them: nothing is run until that is clear."
    )


def line(row: ActionRow, *, held: bool) -> Line:
    last = last_run(row)
    return Line(
        row.name,
        badge(row),
        _cause(row.cause),
        doing(row, held=held),
        None if last is None else _went(last),
        None if last is None else ago(last.at),
    )


def doing(row: ActionRow, *, held: bool) -> str:
    if row.running is not None:
        return f"{row.running} is running"
    if row.waiting is not None:
        return f"{row.waiting} is {'held' if held else 'waiting'}"
    return ""


def action(row: ActionRow, *, held: bool) -> Tone:
    """How one is, in one sentence."""
    busy, last = doing(row, held=held), last_run(row)
    stands = "is not known yet" if row.state is None else f"is {row.state.name}"
    parts = [f"{row.name} {stands}", *([busy] if busy else [])]
    if last is not None and last.failure is not None:
        return Tone("bad", f"{words.listing([*parts, f'the last {last.kind} failed ({last.failure})'])}.")
    return Tone("wait" if busy or row.state is None else "good", f"{words.listing(parts)}.")


def facts(row: ActionRow) -> tuple[Fact, ...]:
    failures = [f"{count:,} {kind} {reason}" for (kind, reason), count in row.failures if count]
    return (
        *(Fact(f"On {kind}", shown, code=True) for kind, shown in row.hooks),
        Fact("Dry run", "yes: it says what it would run" if row.dry_run else "no"),
        Fact("State", "not known yet") if row.state is None else Fact("Since", "", ago(row.state.since)),
        Fact("Wanted", "not known yet" if row.wanted is None else f"{row.wanted}d"),
        Fact("Because of", _cause(row.cause) or "nothing yet", ago(row.cause.since) if row.cause else None),
        Fact("Runs", ", ".join(f"{count:,} {kind}" for kind, count in row.runs)),
        Fact("Failures", ", ".join(failures) or "none"),
    )


def runs(outcomes: Iterable[tuple[str, Outcome]]) -> tuple[Run, ...]:
    """In the order in which they come, each with the name of its action."""
    return tuple(
        Run(
            name,
            outcome.kind.value + (f", attempt {outcome.attempt}" if outcome.attempt > 1 else ""),
            exactly(outcome.at),
            _went(outcome),
            outcome.detail,
            outcome.output,
            words.duration(outcome.duration),
            _cause(outcome.cause),
        )
        for name, outcome in outcomes
    )


def _failed(row: ActionRow) -> bool:
    last = last_run(row)
    return last is not None and last.failure is not None


def _went(outcome: Outcome) -> Badge:
    if outcome.failure is not None:
        return Badge(State.NOT_RESPONDING, "Failed", outcome.failure)
    return Badge(State.PENDING, "Dry run") if outcome.dry_run else Badge(State.ALIVE, "Succeeded")


def _cause(cause: Cause | None) -> str:
    if cause is None:
        return ""
    return f"{cause.name}: {cause.reason}" + (f" ({cause.detail})" if cause.detail else "")
