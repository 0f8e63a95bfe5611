"""Whatever happens, in whatever order: what is true of every action at every time."""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from exporter.core.acting import (
    Cause,
    Health,
    Kind,
    Machine,
    Policy,
    Run,
    RunFailure,
    State,
    Subject,
    SubjectKind,
)
from exporter.core.model import SECOND, Wall
from tests.support.clock import FakeClock

NAMES = "abc"
HEALTH = st.sampled_from(Health)
FAILURE = st.sampled_from([None, None, RunFailure.EXIT, RunFailure.TIMEOUT, RunFailure.START])


class Action(RuleBasedStateMachine):
    """A machine beside a list of what it was told and what it ran."""

    @initialize(
        restored=st.sampled_from([None, *Kind]),
        run_on_start=st.booleans(),
        cooldown=st.sampled_from([0, 10]),
        retries=st.sampled_from([0, 2]),
    )
    def begin(self, restored: Kind | None, run_on_start: bool, cooldown: int, retries: int) -> None:
        self.clock = FakeClock()
        policy = Policy(
            cooldown=cooldown * SECOND, retries=retries, backoff=3 * SECOND, run_on_start=run_on_start
        )
        self.machine = Machine(policy, [subject(name) for name in NAMES])
        if restored is not None:
            self.machine.restore(State(restored, Wall(1.0)))
        self.restored = restored
        self.health = dict.fromkeys(NAMES, Health.UNKNOWN)
        self.wanted: list[Kind] = []  # every change of what is wanted
        self.runs: list[Run] = []
        self.under_way: Run | None = None
        self.held = False
        self.dropped = False
        self.machine.settle(self.clock.now())

    @rule(name=st.sampled_from(NAMES), health=HEALTH)
    def change(self, name: str, health: Health) -> None:
        self.health[name] = health
        now = self.clock.now()
        self.machine.observe(subject(name), health, Cause(name, "", "", now.wall), now)
        wanted = self.expected()
        if wanted is not None and wanted is not (self.wanted[-1] if self.wanted else None):
            self.wanted.append(wanted)
            self.dropped = False
        self.turn()

    @rule(seconds=st.integers(0, 20))
    def wait(self, seconds: int) -> None:
        self.clock.move(seconds)
        self.turn()

    @precondition(lambda self: self.under_way is not None)
    @rule(failure=FAILURE)
    def finish(self, failure: RunFailure | None) -> None:
        self.under_way = None
        self.machine.finish(failure, self.clock.now())
        self.turn()

    @rule()
    def hold(self) -> None:
        self.held = True

    @rule(drop=st.booleans())
    def release(self, drop: bool) -> None:
        if self.held and drop:
            self.dropped = self.machine.drop() is not None or self.dropped
        self.held = False
        self.turn()

    def turn(self) -> None:
        run = self.machine.advance(self.clock.now(), held=self.held)
        if run is not None:
            assert self.under_way is None, "two runs at once"
            assert not self.held
            assert run.kind is self.wanted[-1], "not the newest"
            previous = self.runs[-1] if self.runs else None
            if previous is not None and previous.kind is run.kind:
                assert 1 < run.attempt <= self.machine.policy.retries + 1, "a run without a change"
                assert run.attempt == previous.attempt + 1
            else:
                assert run.attempt == 1
            self.runs.append(run)
            self.under_way = run

    def expected(self) -> Kind | None:
        """What these healths want, or None where they leave it as it is."""
        if Health.DOWN in self.health.values():
            return Kind.DEMOTE
        return None if Health.UNKNOWN in self.health.values() else Kind.PROMOTE

    @invariant()
    def runs_are_no_more_than_changes(self) -> None:
        if hasattr(self, "machine"):
            firsts = [run for run in self.runs if run.attempt == 1]
            assert len(firsts) <= len(self.wanted)
            if self.restored is None and not self.machine.policy.run_on_start:
                assert len(firsts) <= max(0, len(self.wanted) - 1)

    def teardown(self) -> None:
        """Once it is quiet, the last run, or what was found, is what health wants."""
        if not hasattr(self, "machine"):
            return
        self.held = False
        for _ in range(20):
            if self.under_way is not None:
                self.under_way = None
                self.machine.finish(None, self.clock.now())
            self.clock.move(1000)
            self.turn()
        assert (self.machine.waiting, self.machine.ready(), self.machine.running) == (None, None, None)
        if not self.wanted or self.dropped:
            return
        assert self.machine.state is not None
        assert self.machine.state.kind is self.wanted[-1]
        if self.runs:
            assert self.runs[-1].kind is self.wanted[-1]
        else:
            assert self.wanted[-1] is (self.restored or self.wanted[0])


def subject(name: str) -> Subject:
    return Subject(SubjectKind.PROBE, name)


TestAction = Action.TestCase
TestAction.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
