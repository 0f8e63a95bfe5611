"""Actions on /metrics."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from prometheus_client import CollectorRegistry

from exporter.core.acting import ActionRow, Cause, Kind, Outcome, RunFailure, State
from exporter.core.model import Wall
from exporter.metrics.catalogue import action_sections
from exporter.metrics.render import Renderer
from tests.exporter.metrics.sources import TEXT, Listed, rendered

GOLDEN = Path(__file__).with_name("few_actions.txt")


@dataclass
class Actions:
    listed: Sequence[ActionRow]

    def rows(self) -> Sequence[ActionRow]:
        return self.listed


def action_row(name: str, *kinds: Kind, **changes: object) -> ActionRow:
    """An action that nothing is known of, unless `changes` say otherwise."""
    row = ActionRow(
        name=name,
        hooks=tuple((kind, "true") for kind in kinds),
        dry_run=False,
        state=None,
        wanted=None,
        cause=None,
        running=None,
        waiting=None,
        runs=tuple((kind, 0) for kind in kinds),
        failures=tuple(((kind, failure), 0) for kind in kinds for failure in RunFailure),
        last=(),
    )
    return row._replace(**changes)


def few_actions() -> Actions:
    """One that was demoted and knows all there can be to know, and one that has not done anything yet."""
    cause = Cause("web", "refused", "no answer", Wall(1_700_000_000.0))
    failed = Outcome(Wall(1_700_000_000.5), Kind.DEMOTE, cause, 0.0125, RunFailure.EXIT, "exit code 3")
    done = Outcome(Wall(1_700_000_100.25), Kind.PROMOTE, cause, 1.5)
    known = action_row(
        'say "hi"',
        *Kind,
        state=State(Kind.DEMOTE, Wall(1_700_000_000.5)),
        runs=((Kind.PROMOTE, 2), (Kind.DEMOTE, 3)),
        failures=tuple(
            ((kind, failure), int((kind, failure) == (Kind.DEMOTE, RunFailure.EXIT)))
            for kind in Kind
            for failure in RunFailure
        ),
        last=((Kind.DEMOTE, failed), (Kind.PROMOTE, done)),
    )
    return Actions([known, action_row("pager", Kind.DEMOTE)])


async def test_the_text_of_a_few_actions() -> None:
    """To the letter; the state of one that is not known is absent, and each count is there."""
    sections = action_sections(few_actions())
    text = await rendered(Listed(), TEXT, Renderer(CollectorRegistry(), sections))
    assert text[text.index("# HELP heartbeat_action_state") :] == GOLDEN.read_text()


async def test_a_promoted_action_is_a_1() -> None:
    """And without a failure or a run there is nothing but that and counts at 0."""
    promoted = action_row("nginx", state=State(Kind.PROMOTE, Wall(1.0)))
    sections = action_sections(Actions([promoted]))
    text = await rendered(Listed(), TEXT, Renderer(CollectorRegistry(), sections))
    shown = [line for line in text.splitlines() if line.startswith("heartbeat_action_")]
    assert shown == ['heartbeat_action_state{action="nginx"} 1']
