"""The words for actions."""

from __future__ import annotations

import pytest

from exporter.core.acting import ActionRow, Kind, RunFailure, State
from exporter.core.brake import Hold
from exporter.core.model import Mono, Wall
from exporter.web import action_view, strip
from exporter.web.action_view import Line, Run
from exporter.web.view import Badge, Fact, Instant, Tone
from tests.exporter.web.rows import CAUSE, T0, action, outcome

ISO, TEXT = "2023-11-14T22:13:20.000Z", "2023-11-14 22:13:20 UTC"
HOLD = Hold("probes", 12, 40, Wall(T0), Mono(0))
DEMOTED = State(Kind.DEMOTE, Wall(T0))
FAILED = outcome(failure=RunFailure.EXIT, detail="exit code 3", output="no such unit")
WENT_WELL = outcome(Kind.PROMOTE, T0 - 5)
WHY = "shop: refused (10.0.0.1:80: Connection refused)"


@pytest.mark.parametrize(
    ("rows", "hold", "tone"),
    [
        ([], None, Tone("quiet", "No action is configured.")),
        ([action()], HOLD, Tone("warn", "All actions are held.")),
        ([action()], None, Tone("good", "1 action, none of which failed last time.")),
        ([action(running=Kind.DEMOTE), action()], None, Tone("wait", "1 is running.")),
        (
            [
                action(last=((Kind.PROMOTE, WENT_WELL), (Kind.DEMOTE, FAILED))),
                action(running=Kind.DEMOTE),
                action(running=Kind.PROMOTE),
            ],
            None,
            Tone("bad", "1 of 3 actions failed last time and 2 are running."),
        ),
    ],
)
def test_all_of_them_in_one_sentence(rows: list[ActionRow], hold: Hold | None, tone: Tone) -> None:
    """What is wrong comes first; while nothing may run nothing else matters."""
    assert action_view.actions(rows, hold) == tone


def test_the_brake() -> None:
    """Why nothing is run, in full; nothing is said while it is off."""
    assert action_view.brake(HOLD).startswith("12 of 40 in probes went down together, ")
    assert action_view.brake(None) == ""


@pytest.mark.parametrize(
    ("row", "held", "doing", "tone"),
    [
        (action(), False, "", Tone("wait", "nginx is not known yet.")),
        (action(state=DEMOTED), False, "", Tone("good", "nginx is demoted.")),
        (
            action(state=DEMOTED, running=Kind.PROMOTE),
            False,
            "promote is running",
            Tone("wait", "nginx is demoted and promote is running."),
        ),
        (
            action(state=DEMOTED, waiting=Kind.PROMOTE),
            False,
            "promote is waiting",
            Tone("wait", "nginx is demoted and promote is waiting."),
        ),
        (
            action(state=DEMOTED, waiting=Kind.PROMOTE),
            True,
            "promote is held",
            Tone("wait", "nginx is demoted and promote is held."),
        ),
        (
            action(state=DEMOTED, last=((Kind.DEMOTE, FAILED),)),
            False,
            "",
            Tone("bad", "nginx is demoted and the last demote failed (exit)."),
        ),
    ],
)
def test_one_of_them(row: ActionRow, held: bool, doing: str, tone: Tone) -> None:
    """What it has made of the world, what it is about to do, and whether that went wrong."""
    assert (action_view.doing(row, held=held), action_view.action(row, held=held)) == (doing, tone)


def test_a_line() -> None:
    """The latest run of either kind."""
    row = action(state=DEMOTED, cause=CAUSE, last=((Kind.PROMOTE, WENT_WELL), (Kind.DEMOTE, FAILED)))
    assert action_view.line(row, held=False) == Line(
        "nginx",
        Badge(strip.State.STOPPED, "Demoted", "", Instant("for", ISO, TEXT)),
        WHY,
        "",
        Badge(strip.State.NOT_RESPONDING, "Failed", "exit"),
        Instant("ago", ISO, TEXT),
    )
    assert action_view.line(action(), held=False) == Line(
        "nginx", Badge(strip.State.PENDING, "Not known yet"), "", "", None, None
    )


def test_facts() -> None:
    """What it runs, what is wanted and why, and what came of all runs."""
    row = action(
        state=DEMOTED,
        wanted=Kind.DEMOTE,
        cause=CAUSE,
        dry_run=True,
        runs=((Kind.PROMOTE, 1), (Kind.DEMOTE, 1200)),
        failures=(((Kind.PROMOTE, RunFailure.EXIT), 0), ((Kind.DEMOTE, RunFailure.TIMEOUT), 2)),
    )
    assert action_view.facts(row) == (
        Fact("On promote", "systemctl start nginx", code=True),
        Fact("On demote", "systemctl stop nginx", code=True),
        Fact("Dry run", "yes: it says what it would run"),
        Fact("Since", "", Instant("ago", ISO, TEXT)),
        Fact("Wanted", "demoted"),
        Fact("Because of", WHY, Instant("ago", "2023-11-14T22:12:20.000Z", "2023-11-14 22:12:20 UTC")),
        Fact("Runs", "1 promote, 1,200 demote"),
        Fact("Failures", "2 demote timeout"),
    )
    unknown = {fact.name: fact.text for fact in action_view.facts(action())}
    assert [unknown[name] for name in ("Dry run", "State", "Wanted", "Because of", "Failures")] == [
        *("no", "not known yet", "not known yet", "nothing yet", "none")
    ]


def test_runs() -> None:
    """With what each said; a second attempt is told from the first, and a dry run from a real one."""
    told = action_view.runs([("nginx", FAILED), ("pager", outcome(attempt=2, dry_run=True))])
    assert told == (
        Run(
            "nginx",
            "demote",
            Instant("", ISO, TEXT),
            Badge(strip.State.NOT_RESPONDING, "Failed", "exit"),
            "exit code 3",
            "no such unit",
            "1.5 s",
            WHY,
        ),
        Run(
            "pager",
            "demote, attempt 2",
            Instant("", ISO, TEXT),
            Badge(strip.State.PENDING, "Dry run"),
            "",
            "",
            "1.5 s",
            WHY,
        ),
    )
