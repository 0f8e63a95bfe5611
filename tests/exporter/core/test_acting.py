"""When an action runs, and when it does not."""

from __future__ import annotations

import pytest

from exporter.core.acting import (
    LONGEST_BACKOFF,
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
from exporter.core.model import SECOND, Mono, Now, Wall
from tests.support.clock import FakeClock

UP, DOWN, UNKNOWN = Health.UP, Health.DOWN, Health.UNKNOWN
PROMOTE, DEMOTE = Kind.PROMOTE, Kind.DEMOTE


class Scene:
    """A machine over probes a and b on a clock that jumps; it is settled unless said otherwise."""

    def __init__(
        self,
        subjects: str = "ab",
        *,
        kinds: frozenset[Kind] = frozenset(Kind),
        cooldown: float = 0.0,
        retries: int = 0,
        backoff: float = 1.0,
        patience: float = 0.0,
        run_on_start: bool = False,
        restored: Kind | None = None,
        settled: bool = True,
    ) -> None:
        self.clock = FakeClock()
        self.policy = Policy(
            kinds=kinds,
            cooldown=round(cooldown * SECOND),
            retries=retries,
            backoff=round(backoff * SECOND),
            patience=round(patience * SECOND),
            run_on_start=run_on_start,
        )
        self.machine = Machine(self.policy, [probe(name) for name in subjects])
        if restored is not None:
            self.machine.restore(State(restored, Wall(1.0)))
        if settled:
            self.machine.settle(self.now)

    @property
    def now(self) -> Now:
        return self.clock.now()

    def see(self, name: str, health: Health) -> Run | None:
        """One stands so; the run that starts because of it."""
        self.machine.observe(probe(name), health, because(name, self.now), self.now)
        return self.machine.advance(self.now)

    def after(self, seconds: float) -> Run | None:
        self.clock.move(seconds)
        return self.machine.advance(self.now)

    def finish(self, failure: RunFailure | None = None) -> Run | None:
        """The run that is under way ends so; the one that starts because of it."""
        self.machine.finish(failure, self.now)
        return self.machine.advance(self.now)

    @property
    def state(self) -> str | None:
        return self.machine.state and self.machine.state.name

    def wait(self) -> float | None:
        """Seconds until what waits may run."""
        ready = self.machine.ready()
        return None if ready is None else (ready - self.now.mono) / SECOND


def probe(name: str) -> Subject:
    return Subject(SubjectKind.PROBE, name)


def because(name: str, now: Now) -> Cause:
    return Cause(name, "why", "how", now.wall)


def kind(run: Run | None) -> Kind | None:
    return run and run.kind


# The start


def test_what_is_found_at_the_start_is_learned() -> None:
    """All up is promoted and nothing is run; before all are known there is no state."""
    scene = Scene()
    assert (scene.see("a", UP), scene.state, scene.machine.wanted) == (None, None, None)
    assert (scene.see("b", UP), scene.state, scene.machine.wanted) == (None, "promoted", PROMOTE)
    assert scene.machine.state == State(PROMOTE, scene.now.wall)


def test_one_that_is_down_is_enough_to_know() -> None:
    """Demoted is learned from the first that is down, whatever the others turn out to be."""
    scene = Scene()
    assert (scene.see("a", DOWN), scene.state) == (None, "demoted")
    assert (scene.see("b", UP), scene.state) == (None, "demoted")


@pytest.mark.parametrize(("health", "expected"), [(UP, PROMOTE), (DOWN, DEMOTE)])
def test_run_on_start_runs_for_what_is_found(health: Health, expected: Kind) -> None:
    """Once, and there is no state before it was run."""
    scene = Scene("a", run_on_start=True)
    run = scene.see("a", health)
    assert run == Run(expected, because("a", scene.now), 1)
    assert (scene.state, scene.finish(), scene.state) == (None, None, f"{expected}d")


@pytest.mark.parametrize("run_on_start", [False, True])
@pytest.mark.parametrize("restored", Kind)
@pytest.mark.parametrize("health", [UP, DOWN])
def test_after_a_restart_only_a_difference_is_acted_upon(
    run_on_start: bool, restored: Kind, health: Health
) -> None:
    """Once, if what is true differs from what was remembered; if not, nothing is run twice."""
    scene = Scene("a", restored=restored, run_on_start=run_on_start)
    assert scene.state == f"{restored}d"
    true = PROMOTE if health is UP else DEMOTE
    assert kind(scene.see("a", health)) is (None if true is restored else true)
    if true is not restored:
        assert (scene.finish(), scene.machine.state) == (None, State(true, scene.now.wall))


def test_nothing_is_judged_before_it_is_settled() -> None:
    """What is observed before counts at that moment, with the cause that came last."""
    scene = Scene("", restored=PROMOTE, settled=False)
    assert (scene.see("a", DOWN), scene.see("b", DOWN), scene.machine.settled) == (None, None, False)
    scene.machine.settle(scene.now)
    assert scene.machine.advance(scene.now) == Run(DEMOTE, because("b", scene.now), 1)
    assert scene.machine.settled


def test_a_memory_that_comes_late_corrects_what_was_learned() -> None:
    """The store was away at the start: what differs from what it then says is acted upon, once."""
    scene = Scene("a")
    scene.see("a", DOWN)
    scene.machine.restore(State(PROMOTE, Wall(1.0)))
    assert kind(scene.machine.advance(scene.now)) is DEMOTE
    scene.machine.restore(State(PROMOTE, Wall(1.0)))
    assert (scene.finish(), scene.state) == (None, "demoted")
    scene.machine.restore(State(PROMOTE, Wall(1.0)))
    assert scene.state == "demoted"


def test_a_memory_does_not_replace_another() -> None:
    """What was restored once stands."""
    scene = Scene("a", restored=PROMOTE)
    scene.machine.restore(State(DEMOTE, Wall(2.0)))
    assert scene.state == "promoted"


# Changes


def test_it_runs_once_for_each_change() -> None:
    """When the first goes down, and when the last is up again; for nothing in between."""
    scene = Scene()
    scene.see("a", UP)
    scene.see("b", UP)
    assert scene.see("a", DOWN) == Run(DEMOTE, because("a", scene.now), 1)
    assert scene.finish() is None
    assert [scene.see("b", DOWN), scene.see("a", DOWN), scene.see("a", UP), scene.after(99)] == [None] * 4
    assert scene.see("b", UP) == Run(PROMOTE, because("b", scene.now), 1)
    assert scene.finish() is None
    assert [scene.see("b", UP), scene.see("a", UP), scene.after(99)] == [None] * 3


def test_an_unknown_one_is_waited_for() -> None:
    """Neither up nor down: it decides nothing, and while it is so, it keeps the others from promoting."""
    scene = Scene()
    scene.see("a", UP)
    scene.see("b", UP)
    assert (scene.see("a", UNKNOWN), scene.see("a", UP)) == (None, None)
    assert kind(scene.see("a", DOWN)) is DEMOTE
    assert (scene.finish(), scene.see("a", UNKNOWN), scene.see("b", UP)) == (None, None, None)
    assert kind(scene.see("a", UP)) is PROMOTE


def test_one_that_is_forgotten_changes_nothing_by_itself() -> None:
    """Not when it was the only one down, nor when none is left; the next that is observed decides."""
    scene = Scene()
    scene.see("a", UP)
    scene.see("b", DOWN)
    scene.machine.forget(probe("b"))
    assert (scene.after(1), scene.state) == (None, "demoted")
    scene.machine.forget(probe("a"))
    assert (scene.after(1), scene.state) == (None, "demoted")
    assert (scene.see("c", UNKNOWN), kind(scene.see("c", UP))) == (None, PROMOTE)


def test_a_kind_without_a_hook_changes_the_state_only() -> None:
    """At once, held or not, and cooldown or not."""
    scene = Scene("a", kinds=frozenset({DEMOTE}), cooldown=60, restored=PROMOTE)
    assert kind(scene.see("a", DOWN)) is DEMOTE
    assert scene.see("a", UP) is None
    assert scene.machine.waiting is None
    assert (scene.finish(), scene.state) == (None, "promoted")
    assert (scene.see("a", DOWN), scene.machine.waiting, scene.wait()) == (None, DEMOTE, 60)
    scene.machine.observe(probe("a"), UP, because("a", scene.now), scene.now)
    assert (scene.machine.waiting, scene.wait()) == (None, None)
    assert kind(scene.after(60)) is None


# One at a time


def test_the_newest_wanted_state_wins() -> None:
    """While one runs the other waits, and is not run at all if it is no longer wanted when it could."""
    scene = Scene("a", restored=DEMOTE)
    assert kind(scene.see("a", UP)) is PROMOTE
    assert (scene.see("a", DOWN), scene.machine.waiting) == (None, DEMOTE)
    assert (scene.see("a", UP), scene.machine.waiting) == (None, None)
    assert (scene.see("a", DOWN), scene.machine.waiting, scene.wait()) == (None, DEMOTE, None)
    assert kind(scene.finish()) is DEMOTE
    assert (scene.see("a", UP), scene.see("a", DOWN)) == (None, None)
    assert (scene.finish(), scene.state) == (None, "demoted")


def test_a_demotion_that_waits_is_dropped_when_health_returns() -> None:
    """And a promotion when it goes: after the cooldown nothing is run for what is past."""
    scene = Scene("a", restored=DEMOTE, cooldown=60)
    scene.see("a", UP)
    assert scene.finish() is None
    assert (scene.see("a", DOWN), scene.machine.waiting, scene.wait()) == (None, DEMOTE, 60)
    assert (scene.see("a", UP), scene.after(60), scene.machine.waiting) == (None, None, None)


def test_a_demotion_has_patience() -> None:
    """It waits, so that others that fail may be seen first; a promotion does not, nor does a retry."""
    scene = Scene("a", restored=PROMOTE, patience=10, retries=1, backoff=1)
    cause = because("a", scene.now)
    assert scene.see("a", DOWN) is None
    assert (scene.machine.waiting, scene.wait()) == (DEMOTE, 10.0)
    assert scene.after(9) is None
    assert scene.after(1) == Run(DEMOTE, cause, 1)
    assert scene.finish(RunFailure.EXIT) is None
    assert scene.wait() == 1.0
    assert scene.after(1) == Run(DEMOTE, cause, 2)
    assert scene.finish() is None
    assert scene.see("a", UP) == Run(PROMOTE, because("a", scene.now), 1)


def test_what_comes_back_in_time_is_not_demoted() -> None:
    """That is what patience is for, too; and it begins anew with the next failure."""
    scene = Scene("a", restored=PROMOTE, patience=10)
    assert scene.see("a", DOWN) is None
    assert scene.after(6) is None
    assert scene.see("a", UP) is None
    assert scene.after(6) is None
    assert scene.see("a", DOWN) is None
    assert scene.wait() == 10.0


def test_cooldown_and_patience_run_together() -> None:
    """The longer of them counts."""
    scene = Scene("a", restored=DEMOTE, patience=10, cooldown=60)
    assert scene.see("a", UP) == Run(PROMOTE, because("a", scene.now), 1)
    scene.finish()
    assert scene.see("a", DOWN) is None
    assert scene.wait() == 60.0


def test_there_is_a_cooldown_from_the_end_of_one_run_to_the_next() -> None:
    """Which is then for what is wanted by that time."""
    scene = Scene("a", restored=DEMOTE, cooldown=60)
    assert kind(scene.see("a", UP)) is PROMOTE
    scene.clock.move(10)
    assert scene.finish() is None
    assert (scene.see("a", DOWN), scene.after(59.9)) == (None, None)
    assert kind(scene.after(0.1)) is DEMOTE


def test_it_takes_a_run_to_finish_one() -> None:
    """Finishing what was not begun is a mistake of the caller."""
    with pytest.raises(AssertionError, match="no run is under way"):
        Scene().machine.finish(None, Now(Mono(0), Wall(0.0)))


# Failures


def test_a_failed_run_is_not_repeated_unless_asked() -> None:
    """The change was answered; that the answer failed is on the metrics, not tried on every cycle."""
    scene = Scene("a", restored=PROMOTE)
    scene.see("a", DOWN)
    assert (scene.finish(RunFailure.EXIT), scene.state) == (None, "demoted")
    assert (scene.see("a", DOWN), scene.after(3600)) == (None, None)
    assert kind(scene.see("a", UP)) is PROMOTE


def test_retries_wait_twice_as_long_each_time() -> None:
    """They are the same change: the cooldown is not for them, and the state changes with the last."""
    scene = Scene("a", restored=PROMOTE, retries=2, backoff=5, cooldown=60)
    assert scene.see("a", DOWN) == Run(DEMOTE, because("a", scene.now), 1)
    since = because("a", scene.now)
    assert (scene.finish(RunFailure.EXIT), scene.state, scene.wait()) == (None, "promoted", 5)
    assert scene.machine.waiting is DEMOTE
    assert scene.after(5) == Run(DEMOTE, since, 2)
    assert (scene.finish(RunFailure.TIMEOUT), scene.state, scene.wait()) == (None, "promoted", 10)
    assert scene.after(10) == Run(DEMOTE, since, 3)
    assert (scene.finish(RunFailure.START), scene.state, scene.wait()) == (None, "demoted", None)


def test_a_retry_that_succeeds_is_the_last() -> None:
    """And the next change has all its attempts again."""
    scene = Scene("a", restored=PROMOTE, retries=1, backoff=5)
    scene.see("a", DOWN)
    scene.finish(RunFailure.EXIT)
    assert scene.after(5) is not None
    assert (scene.finish(), scene.state, scene.wait()) == (None, "demoted", None)
    assert scene.see("a", UP) == Run(PROMOTE, because("a", scene.now), 1)
    assert (scene.finish(RunFailure.EXIT), scene.wait()) == (None, 5)


def test_a_change_ends_the_retries_of_the_other_kind() -> None:
    """What failed may have been half done, so it is undone, although the state never changed."""
    scene = Scene("a", restored=DEMOTE, retries=5, backoff=5, cooldown=1)
    scene.see("a", UP)
    scene.finish(RunFailure.EXIT)
    assert (scene.see("a", DOWN), scene.wait()) == (None, 1)
    assert scene.after(1) == Run(DEMOTE, because("a", Now(scene.now.mono, Wall(scene.now.wall - 1))), 1)
    before = scene.machine.state
    assert (scene.finish(), scene.machine.state) == (None, before)


def test_retries_go_on_where_they_were_when_a_change_was_taken_back() -> None:
    """The other kind never ran: there is nothing to undo, and what failed still has to be done."""
    scene = Scene("a", restored=DEMOTE, retries=2, backoff=5, cooldown=60)
    scene.see("a", UP)
    scene.finish(RunFailure.EXIT)
    scene.see("a", DOWN)
    assert (scene.see("a", UP), scene.wait()) == (None, 5)
    run = scene.after(5)
    assert run is not None
    assert run.attempt == 2


def test_the_backoff_has_an_end() -> None:
    """Five minutes, or what was set if that is more."""
    for backoff, longest in ((1.0, LONGEST_BACKOFF / SECOND), (400.0, 400.0)):
        scene = Scene("a", restored=PROMOTE, retries=100, backoff=backoff)
        scene.see("a", DOWN)
        for _ in range(100):
            scene.finish(RunFailure.EXIT)
            scene.after(longest)
        scene.finish(RunFailure.EXIT)
        assert scene.machine.ready() is None
        assert scene.state == "demoted"
        again = Scene("a", restored=PROMOTE, retries=100, backoff=backoff)
        again.see("a", DOWN)
        for _ in range(50):
            again.finish(RunFailure.EXIT)
            again.after(longest)
        again.finish(RunFailure.EXIT)
        assert again.wait() == longest


def test_a_cancelled_run_counts_as_not_made() -> None:
    """The exporter ends in the middle of it: the next one finds the old state, and makes up for it."""
    scene = Scene("a", restored=PROMOTE)
    scene.see("a", DOWN)
    scene.machine.finish(RunFailure.CANCELLED, scene.now)
    assert (scene.state, scene.machine.waiting) == ("promoted", DEMOTE)


# The brake


def test_what_is_held_waits_and_runs_afterwards() -> None:
    """Held is not lost: it runs when nobody holds it any more, if it is still wanted."""
    scene = Scene("a", restored=PROMOTE)
    scene.machine.observe(probe("a"), DOWN, because("a", scene.now), scene.now)
    assert scene.machine.advance(scene.now, held=True) is None
    assert scene.machine.waiting is DEMOTE
    assert kind(scene.machine.advance(scene.now)) is DEMOTE


def test_what_is_dropped_is_as_if_it_had_not_been_wanted() -> None:
    """It does not run, its opposite has nothing to undo, and the next change is a new one."""
    scene = Scene("a", restored=PROMOTE)
    assert scene.machine.drop() is None
    scene.machine.observe(probe("a"), DOWN, because("a", scene.now), scene.now)
    assert scene.machine.drop() is DEMOTE
    assert (scene.after(60), scene.state, scene.machine.waiting) == (None, "promoted", None)
    assert scene.machine.drop() is None
    assert (scene.see("a", DOWN), scene.see("a", UP)) == (None, None)
    assert kind(scene.see("a", DOWN)) is DEMOTE


def test_what_waits_for_a_run_to_end_can_be_dropped() -> None:
    """The run itself goes on."""
    scene = Scene("a", restored=DEMOTE)
    scene.see("a", UP)
    scene.see("a", DOWN)
    assert (scene.machine.drop(), scene.machine.waiting) == (DEMOTE, None)
    assert (scene.finish(), scene.state) == (None, "promoted")


def test_other_rules_keep_what_is_known() -> None:
    """After a reload the state is the same, and the new cooldown counts."""
    scene = Scene("a", restored=DEMOTE)
    scene.see("a", UP)
    scene.finish()
    scene.machine.policy = Policy(cooldown=7 * SECOND)
    assert (scene.see("a", DOWN), scene.wait(), scene.state) == (None, 7, "promoted")


def test_it_can_come_to_depend_on_others() -> None:
    """A new one is waited for; when one is gone, those that are left decide anew if they are asked to."""
    scene = Scene("ab", restored=DEMOTE)
    scene.machine.expect(probe("c"))
    assert [scene.see(name, UP) for name in "ab"] == [None, None]
    scene.machine.forget(probe("c"))
    assert scene.machine.advance(scene.now) is None
    scene.machine.settle(scene.now)
    assert kind(scene.machine.advance(scene.now)) is PROMOTE
