"""One action of the configuration: its machine, told of probes and workers, and what it did so far."""

from __future__ import annotations

import asyncio
from collections import Counter

from exporter.actions import selection
from exporter.actions.base import Action, BrakeRules
from exporter.core.acting import (
    ActionRow,
    Cause,
    Health,
    Kind,
    Machine,
    Outcome,
    Policy,
    RunFailure,
    State,
    Subject,
    SubjectKind,
)
from exporter.core.model import SECOND, Now, Row, Transition
from exporter.core.probing import ProbeChange


class Managed:
    """`task` is its run, if one is under way. Counts are since the exporter started."""

    def __init__(self, action: Action, brake: BrakeRules) -> None:
        self.action = action
        self.machine = Machine(_policy(action, brake), map(_probe, action.probes))
        self.task: asyncio.Task[None] | None = None
        self._runs: Counter[Kind] = Counter()
        self._failures: Counter[tuple[Kind, RunFailure]] = Counter()
        self._last: dict[Kind, Outcome] = {}

    # Another configuration

    def can_become(self, action: Action) -> bool:
        """Whether what is known of it stays true: what a dry run did, and how other workers stand, is not."""
        return (self.action.dry_run, self.action.workers) == (action.dry_run, action.workers)

    def become(self, action: Action, brake: BrakeRules) -> set[str]:
        """Go on as this one; returns the probes that it did not depend on before."""
        before, after = set(self.action.probes), set(action.probes)
        for gone in before - after:
            self.machine.forget(_probe(gone))
        for new in after - before:
            self.machine.expect(_probe(new))
        self.action = action
        self.machine.policy = _policy(action, brake)
        return after - before

    # What happens

    def on_probe(self, change: ProbeChange, now: Now) -> None:
        if change.probe in self.action.probes:
            result = change.result
            reason = "success" if result.failure is None else result.failure.value
            cause = Cause(change.probe, reason, result.detail, result.at)
            health = Health.UP if change.up else Health.DOWN
            self.machine.observe(_probe(change.probe), health, cause, now)

    def on_worker(self, change: Transition, now: Now) -> None:
        """A worker changed, which may be in another group than it was."""
        workers, subject = self.action.workers, _worker(change.worker_id)
        health = None
        if workers is not None and selection.selects(workers, change.group):
            health = selection.health(workers, change.after, change.reason)
        if health is not None:
            self.machine.observe(subject, health, selection.cause_of_change(change), now)
        if health is None or change.after is None:
            self.machine.forget(subject)

    def see(self, row: Row, now: Now) -> None:
        """How a worker stands."""
        workers = self.action.workers
        if workers is not None and selection.selects(workers, row.facts.group):
            health = selection.health(workers, row.status, row.reason)
            if health is not None:
                subject = _worker(row.facts.worker_id)
                self.machine.observe(subject, health, selection.cause_of_standing(row), now)

    def finished(self, outcome: Outcome, now: Now) -> None:
        """Its run is over."""
        self.task = None
        self._runs[outcome.kind] += 1
        if outcome.failure is not None:
            self._failures[outcome.kind, outcome.failure] += 1
        self._last[outcome.kind] = outcome
        self.machine.finish(outcome.failure, now)

    # How it stands

    @property
    def memorable(self) -> State | None:
        """The state that the next exporter has to know: what a dry run did never was."""
        return None if self.action.dry_run else self.machine.state

    def row(self) -> ActionRow:
        machine, hooks = self.machine, self.action.hooks
        return ActionRow(
            name=self.action.name,
            hooks=tuple((kind, hook.options.shown) for kind, hook in hooks.items()),
            dry_run=self.action.dry_run,
            state=machine.state,
            wanted=machine.wanted,
            cause=machine.cause,
            running=None if machine.running is None else machine.running.kind,
            waiting=machine.waiting,
            runs=tuple((kind, self._runs[kind]) for kind in hooks),
            failures=tuple(
                ((kind, failure), self._failures[kind, failure]) for kind in hooks for failure in RunFailure
            ),
            last=tuple(self._last.items()),
        )


def _probe(name: str) -> Subject:
    return Subject(SubjectKind.PROBE, name)


def _worker(worker_id: str) -> Subject:
    return Subject(SubjectKind.WORKER, worker_id)


def _policy(action: Action, brake: BrakeRules) -> Policy:
    return Policy(
        kinds=frozenset(action.hooks),
        cooldown=round(action.cooldown * SECOND),
        retries=action.retries,
        backoff=round(action.backoff * SECOND),
        # Without a brake there is nothing to wait for.
        patience=round(brake.patience * SECOND) if brake.share < 1 else 0,
        run_on_start=action.run_on_start,
    )
