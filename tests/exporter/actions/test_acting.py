"""From changes of probes and workers to runs, and to what a restart knows of them."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from exporter.actions.acting import Acting
from exporter.actions.base import Action, BrakeRules, Ran, WorkerSelection
from exporter.core.acting import Kind, RunFailure, State
from exporter.core.events import Close, Connect, Delete, Event, Goodbye, Restore
from exporter.core.fleet import Fleet, Rules
from exporter.core.model import Connection, Row, Wall, WorkerId
from exporter.telemetry import Telemetry
from tests.support.actions import Remembered, Toys, change, toy
from tests.support.clock import FakeClock, settle
from tests.support.fleets import beat, connect, register

OFF = BrakeRules(share=1.0)
ALL = WorkerSelection()
PROMOTED, DEMOTED = State(Kind.PROMOTE, Wall(1.0)), State(Kind.DEMOTE, Wall(2.0))


class Workers:
    """A fleet without the shell around it, walked one worker at a time."""

    def __init__(self, clock: FakeClock) -> None:
        self.clock = clock
        self.fleet = Fleet(Rules())
        self.acting: Acting | None = None

    def happen(self, *events: Event) -> None:
        for event in events:
            self.fleet.receive(event, self.clock.now())
            self.publish()

    def after(self, seconds: float) -> None:
        self.clock.move(seconds)
        self.fleet.advance(self.clock.now())
        self.publish()

    def publish(self) -> None:
        for effect in self.fleet.effects():
            if self.acting is not None:
                self.acting.on_effect(effect)

    def warming_up(self) -> bool:
        return self.fleet.warming_up(self.clock.now())

    async def walk(self) -> AsyncIterator[Sequence[Row]]:
        for worker_id in self.fleet.ids():
            yield self.fleet.rows([worker_id], self.clock.now())
            await asyncio.sleep(0)


class Stage:
    """Actions under way, on a clock that jumps."""

    def __init__(
        self, *actions: Action, brake: BrakeRules = OFF, workers: bool = False, probes: Sequence[str] = ()
    ) -> None:
        self.clock = FakeClock()
        self.toys = Toys()
        self.memory = Remembered()
        self.telemetry = Telemetry(CollectorRegistry())
        self.workers = Workers(self.clock)
        self.acting = Acting(
            actions,
            brake,
            clock=self.clock,
            store=self.memory,
            telemetry=self.telemetry,
            fleet=self.workers if workers else None,
            probes=probes,
            varieties=self.toys.varieties,
        )
        self.workers.acting = self.acting

    async def __aenter__(self) -> Stage:
        self.task = asyncio.create_task(self.acting.run())
        await settle()
        return self

    async def __aexit__(self, *_: object) -> None:
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)

    async def probe(self, *names: str, up: bool) -> None:
        for name in names:
            self.tell(name, up=up)
        await settle()

    def tell(self, name: str, *, up: bool) -> None:
        """As the probes do: every result, then what it changes."""
        told = change(name, up)
        self.acting.on_result(name, told.result)
        self.acting.on_probe(told)

    async def happen(self, *events: Event) -> None:
        self.workers.happen(*events)
        await settle()

    @property
    def held(self) -> float | None:
        return self.telemetry.registry.get_sample_value("heartbeat_actions_held")

    def row(self, name: str = "nginx") -> Any:
        [row] = [row for row in self.acting.rows() if row.name == name]
        return row


def alive(worker_id: str, number: int, **about: Any) -> tuple[Event, ...]:
    return register(worker_id, **about), connect(worker_id, number), beat(worker_id, number)


def lost(worker_id: str, number: int) -> Event:
    return Close(WorkerId(worker_id), Connection(number))


# Probes


async def test_a_change_is_answered_once_and_remembered() -> None:
    """Learned first, then run for each change, with all that a hook is told."""
    async with Stage(toy("nginx", "web", "db")) as stage:
        await stage.probe("web", "db", up=True)
        assert (stage.toys.runs, stage.memory.names) == ([], {"nginx": "promoted"})
        await stage.probe("web", up=False)
        await stage.probe("db", up=False)
        assert stage.toys.told == [
            {
                "HEARTBEAT_ACTION": "nginx",
                "HEARTBEAT_KIND": "demote",
                "HEARTBEAT_STATE": "down",
                "HEARTBEAT_CAUSE": "web",
                "HEARTBEAT_REASON": "refused",
                "HEARTBEAT_DETAIL": "no answer",
                "HEARTBEAT_SINCE": "2023-11-14T22:13:20.500Z",
            }
        ]
        assert stage.memory.names == {"nginx": "demoted"}
        await stage.probe("web", "db", up=True)
        assert stage.toys.runs == ["nginx demote", "nginx promote"]
        assert stage.toys.told[1]["HEARTBEAT_REASON"] == "success"
        assert stage.memory.names == {"nginx": "promoted"}


async def test_a_restart_runs_only_what_changed_meanwhile() -> None:
    """What the store remembers is waited for, and then compared with what is true, once."""
    stage = Stage(toy("same", "a"), toy("other", "a"))
    stage.memory.loading = True
    async with stage:
        await stage.probe("a", up=False)
        await stage.clock.jump(3.0)
        assert (stage.toys.runs, stage.memory.names) == ([], {})
        stage.acting.restore({"same": DEMOTED, "other": PROMOTED, "gone": PROMOTED})
        stage.memory.loading = False
        await stage.clock.jump(0.5)
        assert (stage.toys.runs, stage.memory.names) == (["other demote"], {"other": "demoted"})


async def test_a_store_that_comes_late_is_compared_too() -> None:
    """What was learned without it gives way to what it remembers; what was run does not."""
    async with Stage(toy("nginx", "a"), toy("pager", "b")) as stage:
        await stage.probe("a", "b", up=True)
        await stage.probe("b", up=False)
        stage.acting.restore({"nginx": DEMOTED, "pager": PROMOTED})
        await settle()
        assert stage.toys.runs == ["pager demote", "nginx promote"]
        assert stage.memory.names == {"nginx": "promoted", "pager": "demoted"}


async def test_one_run_at_a_time_and_the_newest_wins() -> None:
    """A change while one runs waits for its end; what is no longer wanted then is not run."""
    async with Stage(toy("nginx", "a", cooldown=10.0)) as stage:
        await stage.probe("a", up=True)
        stage.toys.gate.clear()
        await stage.probe("a", up=False)
        await stage.probe("a", up=True)
        assert (stage.row().running, stage.row().waiting) == (Kind.DEMOTE, Kind.PROMOTE)
        stage.toys.gate.set()
        await settle()
        assert (stage.row().running, stage.row().waiting) == (None, Kind.PROMOTE)
        assert stage.toys.runs == ["nginx demote"]
        await stage.clock.jump(10.0)
        assert stage.toys.runs == ["nginx demote", "nginx promote"]
        await stage.probe("a", up=False)
        await stage.probe("a", up=True)
        await stage.clock.jump(60.0)
        assert stage.toys.runs == ["nginx demote", "nginx promote"]


async def test_a_slow_action_delays_no_other() -> None:
    """Each has its own run under way."""
    async with Stage(toy("one", "a"), toy("two", "a")) as stage:
        await stage.probe("a", up=True)
        stage.toys.gate.clear()
        await stage.probe("a", up=False)
        assert stage.toys.runs == ["one demote", "two demote"]


async def test_retries_come_later_and_twice_as_late() -> None:
    """Each attempt is a run of its own in the journal and in the counts."""
    async with Stage(toy("nginx", "a", retries=2, backoff=5.0)) as stage:
        await stage.probe("a", up=True)
        stage.toys.result = Ran(RunFailure.EXIT, "exit code 3", "oops")
        await stage.probe("a", up=False)
        await stage.clock.jump(4.9)
        assert len(stage.toys.runs) == 1
        await stage.clock.jump(0.1)
        assert (len(stage.toys.runs), stage.memory.names) == (2, {"nginx": "promoted"})
        await stage.clock.jump(100.0)
        assert (len(stage.toys.runs), stage.memory.names) == (3, {"nginx": "demoted"})
        assert [outcome.attempt for _, outcome in stage.acting.journal.newest()] == [3, 2, 1]
        row = stage.row()
        assert row.runs == ((Kind.PROMOTE, 0), (Kind.DEMOTE, 3))
        assert [(key, count) for key, count in row.failures if count] == [((Kind.DEMOTE, RunFailure.EXIT), 3)]
        assert len(row.failures) == 8
        [(kind, last)] = row.last
        assert (kind, last.failure, last.detail, last.output) == (
            Kind.DEMOTE,
            RunFailure.EXIT,
            "exit code 3",
            "oops",
        )


async def test_a_dry_run_runs_nothing_and_is_not_remembered(caplog: pytest.LogCaptureFixture) -> None:
    """It says what it would do, and what it did not do is not taken for done by a later start."""
    caplog.set_level(logging.INFO)
    async with Stage(toy("nginx", "a", dry_run=True)) as stage:
        stage.acting.restore({"nginx": DEMOTED})
        await stage.probe("a", up=True)
        await stage.probe("a", up=False)
        assert (stage.toys.runs, stage.memory.names, stage.row().state.name) == ([], {}, "demoted")
        assert caplog.messages == ["action nginx: would demote now (a: refused), but it is a dry run"]
        [(_, outcome)] = stage.acting.journal.newest()
        assert (outcome.dry_run, outcome.failure) == (True, None)


async def test_a_defect_in_a_hook_is_a_failed_run(caplog: pytest.LogCaptureFixture) -> None:
    """The other actions go on."""
    async with Stage(toy("nginx", "a")) as stage:
        await stage.probe("a", up=True)
        stage.toys.result = RuntimeError("oh")
        await stage.probe("a", up=False)
        [(_, outcome)] = stage.acting.journal.newest()
        assert (outcome.failure, outcome.detail) == (RunFailure.START, "a defect: RuntimeError")
        assert "action nginx failed by a defect" in caplog.messages
        stage.toys.result = Ran()
        await stage.probe("a", up=True)
        assert stage.toys.runs == ["nginx demote", "nginx promote"]


async def test_what_is_under_way_at_the_end_is_ended_and_not_remembered() -> None:
    """The next start makes up for it."""
    stage = Stage(toy("nginx", "a"))
    async with stage:
        await stage.probe("a", up=True)
        stage.toys.gate.clear()
        await stage.probe("a", up=False)
    assert (stage.toys.ended, stage.memory.names) == (["demote"], {"nginx": "promoted"})
    [(_, outcome)] = stage.acting.journal.newest()
    assert outcome.failure is RunFailure.CANCELLED


async def test_what_is_told_is_fit_for_an_environment() -> None:
    """No NUL, no half characters, and not without end."""
    async with Stage(toy("nginx", "a")) as stage:
        await stage.probe("a", up=True)
        stage.acting.on_probe(change("a", False, detail="\0\ud83d" + "x" * 9999))
        await settle()
        assert stage.toys.told[0]["HEARTBEAT_DETAIL"] == "??" + "x" * 4094


# Workers


async def test_workers_are_subjects_too() -> None:
    """Learned from how they stand at the start; down demotes, and all alive promotes."""
    stage = Stage(toy("nginx", workers=WorkerSelection(group="web")), workers=True)
    stage.workers.happen(*alive("w1", 1, group="web"), *alive("w2", 2, group="web"))
    stage.workers.happen(*alive("d1", 3, group="db"), lost("d1", 3))
    async with stage:
        assert stage.memory.names == {"nginx": "promoted"}
        await stage.happen(lost("w1", 1))
        assert stage.toys.runs == ["nginx demote"]
        told = stage.toys.told[0]
        assert (told["HEARTBEAT_CAUSE"], told["HEARTBEAT_REASON"]) == ("W1", "connection_lost")
        assert told["HEARTBEAT_DETAIL"] == "worker w1 of group web"
        await stage.happen(connect("w1", 4))
        assert stage.toys.runs == ["nginx demote"]
        await stage.happen(beat("w1", 4))
        assert stage.toys.runs == ["nginx demote", "nginx promote"]


async def test_a_new_worker_is_waited_for() -> None:
    """Pending is neither up nor down."""
    async with Stage(toy("nginx", workers=ALL), workers=True) as stage:
        await stage.happen(*alive("w1", 1))
        assert stage.memory.names == {"nginx": "promoted"}
        await stage.happen(register("w2"))
        assert stage.toys.runs == []
        stage.workers.after(16)
        await settle()
        assert stage.toys.told[0]["HEARTBEAT_REASON"] in ("never_connected", "timeout")


@pytest.mark.parametrize("counts", [False, True])
@pytest.mark.parametrize("leave", [False, True])
async def test_an_end_on_purpose_counts_only_where_that_is_said(counts: bool, leave: bool) -> None:
    """A clean stop, and leaving for good."""
    workers = WorkerSelection(shutdown_is_down=counts, leave_is_down=counts)
    async with Stage(toy("nginx", workers=workers), workers=True) as stage:
        await stage.happen(*alive("w1", 1), *alive("w2", 2))
        await stage.happen(Goodbye(WorkerId("w1"), Connection(1), leave=leave))
        assert stage.toys.runs == (["nginx demote"] if counts else [])
        stage.workers.after(60)
        await settle()
        assert stage.row().wanted is Kind.DEMOTE  # w2 is silent by now


async def test_a_worker_that_is_forgotten_changes_nothing() -> None:
    """Nor does a selection that became empty."""
    async with Stage(toy("nginx", workers=ALL), workers=True) as stage:
        await stage.happen(*alive("w1", 1), lost("w1", 1), Delete(WorkerId("w1")))
        assert (stage.toys.runs, stage.memory.names) == (["nginx demote"], {"nginx": "demoted"})
        await stage.happen(*alive("w2", 2))
        assert stage.toys.runs == ["nginx demote", "nginx promote"]


async def test_a_worker_that_went_to_another_group_is_no_longer_waited_for() -> None:
    """It is a subject of the actions of that one, from its next change on."""
    async with Stage(toy("nginx", workers=WorkerSelection(group="web")), workers=True) as stage:
        await stage.happen(*alive("w1", 1, group="web"), lost("w1", 1))
        await stage.happen(*alive("w1", 2, group="db"), *alive("w2", 3, group="web"))
        assert stage.toys.runs == ["nginx demote", "nginx promote"]


async def test_restored_workers_have_time_to_come_back() -> None:
    """Nothing is done about them before the fleet is warm, and then what is true is compared."""
    before = Workers(FakeClock())
    before.happen(*alive("w1", 1), *alive("w2", 2))
    rows = before.fleet.rows(before.fleet.ids(), before.clock.now())
    stage = Stage(toy("nginx", workers=ALL), workers=True)
    stage.acting.restore({"nginx": PROMOTED})
    stage.workers.happen(Restore(tuple(row.record() for row in rows)))
    async with stage:
        await stage.happen(Connect(WorkerId("w1"), Connection(3)), lost("w1", 3))
        await stage.clock.jump(20.0)
        assert stage.toys.runs == []
        await stage.happen(Connect(WorkerId("w1"), Connection(4)), beat("w1", 4))
        stage.workers.after(10.1)
        await stage.clock.jump(1.0)
        assert stage.toys.runs == ["nginx demote"]
        assert stage.toys.told[0]["HEARTBEAT_CAUSE"] == "W2"


async def test_what_changes_during_the_first_look_is_not_missed() -> None:
    """Workers that were looked at already may go down before the last has been."""
    stage = Stage(toy("nginx", workers=ALL), workers=True)
    stage.workers.happen(*alive("w1", 1), *alive("w2", 2), *alive("w3", 3))
    stage.acting.restore({"nginx": PROMOTED})
    walk = stage.workers.walk

    async def disturbed() -> AsyncIterator[Sequence[Row]]:
        async for rows in walk():
            yield rows
            if rows[0].facts.worker_id == "w2":
                stage.workers.happen(lost("w1", 1))

    stage.workers.walk = disturbed  # type: ignore[method-assign]  # a fault, put in
    async with stage:
        assert stage.toys.runs == ["nginx demote"]


async def test_a_look_that_fails_is_taken_again(caplog: pytest.LogCaptureFixture) -> None:
    """A defect somewhere else must not be the end of all actions."""
    stage = Stage(toy("nginx", workers=ALL), workers=True)
    stage.workers.happen(*alive("w1", 1))
    walk, times = stage.workers.walk, 0

    async def failing() -> AsyncIterator[Sequence[Row]]:
        nonlocal times
        times += 1
        if times == 1:
            raise RuntimeError("oh")
        async for rows in walk():
            yield rows

    stage.workers.walk = failing  # type: ignore[method-assign]  # a fault, put in
    async with stage:
        assert (caplog.messages, stage.memory.names) == (["acting failed; trying again"], {})
        await stage.clock.jump(1.0)
        assert stage.memory.names == {"nginx": "promoted"}


# The brake


MANY = [toy(f"action-{name}", name) for name in "abcdef"]
PULLED = BrakeRules(share=0.5, at_least=3, window=30.0, patience=0.0, hold=300.0)


async def test_a_mass_failure_holds_all_actions(caplog: pytest.LogCaptureFixture) -> None:
    """They run when the hold is over, if that is still wanted then."""
    async with Stage(*MANY, brake=PULLED) as stage:
        await stage.probe(*"abcdef", up=True)
        for name in "abcd":
            stage.tell(name, up=False)
        await settle()
        assert (stage.toys.runs, stage.held, stage.acting.hold_left()) == ([], 1.0, 300.0)
        await stage.clock.jump(200.0)
        await stage.probe("a", up=True)
        assert (stage.toys.runs, stage.acting.hold_left()) == ([], 100.0)
        await stage.clock.jump(100.0)
        assert stage.toys.runs == ["action-b demote", "action-c demote", "action-d demote"]
        assert (stage.held, stage.acting.hold_left()) == (0.0, None)
    assert [message for message in caplog.messages if "held" in message] == [
        "actions are held for 300 s: 4 of 6 went down together (all probes); it may be that the exporter has"
        " lost its own network",
        "actions are no longer held (4 of 6, all probes, went down together): those that waited, 3, are run",
    ]


async def test_a_demotion_waits_for_what_else_fails() -> None:
    """The first of many is not acted upon before the others are seen, nor when it comes back in time."""
    rules = BrakeRules(share=0.5, at_least=3, window=300.0, patience=10.0, hold=300.0)
    async with Stage(*MANY, brake=rules) as stage:
        await stage.probe(*"abcdef", up=True)
        await stage.probe("a", up=False)
        await stage.clock.jump(9.0)
        await stage.probe("a", up=True)
        await stage.clock.jump(60.0)
        await stage.probe("a", up=False)
        await stage.clock.jump(9.0)
        await stage.probe("b", "c", "d", up=False)
        await stage.clock.jump(60.0)
        assert (stage.toys.runs, stage.held) == ([], 1.0)


async def test_runs_that_fail_count_before_their_probes_are_down() -> None:
    """With a threshold of three what fails together is down minutes later, one after the other."""
    async with Stage(*MANY, brake=replace(PULLED, window=300.0)) as stage:
        await stage.probe(*"abcdef", up=True)
        for name in "abcd":
            stage.acting.on_result(name, change(name, False).result)
        await stage.probe("a", up=False)
        assert (stage.toys.runs, stage.held) == ([], 1.0)


async def test_what_goes_on_failing_pulls_the_brake_once() -> None:
    """Each further run that fails is no news; after the hold the actions run."""
    async with Stage(*MANY, brake=PULLED) as stage:
        await stage.probe(*"abcdef", up=True)
        for _ in range(3):
            await stage.probe(*"abcd", up=False)
        await stage.clock.jump(301.0)
        await stage.probe(*"abcd", up=False)
        assert stage.held == 0.0
        assert len(stage.toys.runs) == 4


async def test_what_was_held_can_be_dropped(caplog: pytest.LogCaptureFixture) -> None:
    """Then health that returns has nothing to undo, and the next failure is a new one."""
    rules = BrakeRules(share=0.5, at_least=3, window=30.0, patience=0.0, hold=300.0, then="drop")
    async with Stage(*MANY, brake=rules) as stage:
        await stage.probe(*"abcdef", up=True)
        for name in "abcd":
            stage.tell(name, up=False)
        await stage.clock.jump(301.0)
        await stage.probe(*"abcd", up=True)
        await stage.clock.jump(100.0)
        assert stage.toys.runs == []
        await stage.probe("a", up=False)
        assert stage.toys.runs == ["action-a demote"]
    assert caplog.messages[1].endswith("those that waited, 4, are dropped")


async def test_probes_without_actions_count_as_probes() -> None:
    """Four of ten are no mass; those that the exporter begins with are all there from the start."""
    async with Stage(*MANY, brake=PULLED, probes="ghij") as stage:
        await stage.probe("a", "b", "c", "d", up=False)
        assert stage.held == 0.0
        await stage.probe("g", "h", up=False)
        assert stage.held == 1.0


async def test_a_group_of_workers_that_falls_together_holds_actions() -> None:
    """A few of another group do not; nor do workers that stop on purpose."""
    async with Stage(toy("nginx", workers=ALL), brake=PULLED, workers=True) as stage:
        for number in range(6):
            await stage.happen(*alive(f"w{number}", number, group="web"))
        for number in range(10, 20):
            await stage.happen(*alive(f"d{number}", number, group="db"))
        assert stage.memory.names == {"nginx": "promoted"}
        goodbyes = [
            Goodbye(WorkerId(f"d{number}"), Connection(number), leave=False) for number in range(10, 20)
        ]
        await stage.happen(*goodbyes)
        assert stage.held == 0.0
        await stage.happen(*(lost(f"w{number}", number) for number in range(4)))
        assert (stage.held, stage.toys.runs) == (1.0, [])
        await stage.clock.jump(300.0)
        assert (stage.held, stage.toys.runs) == (0.0, ["nginx demote"])


async def test_falls_before_the_first_look_are_weighed_against_all() -> None:
    """Three that are lost while the fleet warms up are not most of it because nobody else was seen yet."""
    before = Workers(FakeClock())
    before.happen(*(event for number in range(8) for event in alive(f"w{number}", number, group="web")))
    rows = before.fleet.rows(before.fleet.ids(), before.clock.now())
    for gone, held in ((3, 0.0), (5, 1.0)):
        stage = Stage(toy("nginx", workers=ALL), brake=PULLED, workers=True)
        stage.acting.restore({"nginx": PROMOTED})
        stage.workers.happen(Restore(tuple(row.record() for row in rows)))
        async with stage:
            for number in range(8):
                await stage.happen(connect(f"w{number}", 100 + number))
            await stage.clock.jump(25.0)
            await stage.happen(*(beat(f"w{number}", 100 + number) for number in range(8)))
            await stage.happen(*(lost(f"w{number}", 100 + number) for number in range(gone + 1)))
            await stage.happen(connect("w0", 200), beat("w0", 200))
            assert (stage.held, stage.toys.runs) == (0.0, [])
            await stage.clock.jump(6.0)
            assert (stage.held, len(stage.toys.runs)) == (held, 1 - held)


async def test_without_actions_nothing_is_held() -> None:
    """There is nothing to hold, and nothing to say."""
    async with Stage(brake=PULLED, probes="abcdef") as stage:
        await stage.probe(*"abcdef", up=False)
        assert stage.held == 0.0


# One pass


async def one_pass(stage: Stage, **probes: bool) -> None:
    for name, up in probes.items():
        told = change(name, up, first=True)
        stage.acting.on_result(name, told.result)
        stage.acting.on_probe(told)
    passing = asyncio.create_task(stage.acting.settle())
    for _ in range(100):
        if passing.done():
            break
        await stage.clock.jump(1.0)
    await passing


async def test_one_pass_learns_or_acts_and_ends() -> None:
    """Learns what nobody knew, runs what differs, and retries until that is done."""
    stage = Stage(toy("new", "a"), toy("same", "a"), toy("other", "a", retries=3, backoff=2.0))
    stage.acting.restore({"same": DEMOTED, "other": PROMOTED})
    stage.toys.result = Ran(RunFailure.EXIT, "exit code 1")
    await one_pass(stage, a=False)
    assert stage.toys.runs == ["other demote"] * 4
    assert stage.memory.names == {"new": "demoted", "other": "demoted"}


async def test_one_pass_waits_for_the_store() -> None:
    """What it remembers is what this is about."""
    stage = Stage(toy("nginx", "a"))
    stage.memory.loading = True
    stage.acting.on_probe(change("a", False, first=True))
    passing = asyncio.create_task(stage.acting.settle())
    await stage.clock.jump(2.0)
    stage.acting.restore({"nginx": PROMOTED})
    stage.memory.loading = False
    await stage.clock.jump(1.0)
    await passing
    assert stage.toys.runs == ["nginx demote"]


async def test_one_pass_does_not_wait_for_the_brake() -> None:
    """Nothing is run, and nothing forgotten: the next pass compares again."""
    stage = Stage(*MANY, brake=PULLED)
    stage.acting.restore({action.name: PROMOTED for action in MANY})
    await one_pass(stage, a=False, b=False, c=False, d=False, e=True, f=True)
    assert (stage.toys.runs, stage.memory.names, stage.held) == ([], {}, 1.0)


async def test_one_pass_that_is_cancelled_leaves_nothing_running() -> None:
    """A signal in the middle of a run ends that, too."""
    stage = Stage(toy("nginx", "a"))
    stage.acting.restore({"nginx": PROMOTED})
    stage.toys.gate.clear()
    stage.acting.on_probe(change("a", False, first=True))
    passing = asyncio.create_task(stage.acting.settle())
    await settle()
    passing.cancel()
    await asyncio.gather(passing, return_exceptions=True)
    assert (stage.toys.ended, stage.memory.names) == (["demote"], {})


# Another configuration


async def test_an_action_that_stays_keeps_what_is_known_of_it() -> None:
    """Nothing is run or learned anew by a reload; a probe that comes or goes is minded."""
    async with Stage(toy("nginx", "a")) as stage:
        await stage.probe("a", up=True)
        await stage.probe("b", up=False)
        stage.acting.reconfigure([toy("nginx", "a", cooldown=5.0)], OFF, "ab")
        await settle()
        assert (stage.toys.runs, stage.row().state.name) == ([], "promoted")
        stage.acting.reconfigure([toy("nginx", "a", "b", "c")], OFF, "abc")
        await settle()
        assert stage.toys.runs == ["nginx demote"]
        stage.acting.reconfigure([toy("nginx", "a", "c")], OFF, "ac")
        await stage.probe("a", up=True)
        assert stage.toys.runs == ["nginx demote"]
        stage.acting.reconfigure([toy("nginx", "a")], OFF, "a")
        await settle()
        assert stage.toys.runs == ["nginx demote", "nginx promote"]


async def test_a_new_action_knows_how_its_probes_stand() -> None:
    """They need not change first; and it knows what an earlier one of its name did."""
    async with Stage(toy("nginx", "a")) as stage:
        await stage.probe("a", up=True)
        stage.acting.reconfigure([toy("pager", "a")], OFF, "a")
        await settle()
        assert stage.memory.names == {"nginx": "promoted", "pager": "promoted"}
        await stage.probe("a", up=False)
        stage.acting.reconfigure([toy("pager", "a"), toy("nginx", "a")], OFF, "a")
        await settle()
        assert stage.toys.runs == ["pager demote", "nginx demote"]


async def test_the_run_of_an_action_that_is_gone_is_ended() -> None:
    """One of the same name waits for that end: two never run at once."""
    async with Stage(toy("nginx", "a")) as stage:
        await stage.probe("a", up=True)
        stage.toys.gate.clear()
        stage.toys.farewell = 3
        await stage.probe("a", up=False)
        stage.acting.reconfigure([], OFF, "a")
        await asyncio.sleep(0)
        stage.acting.reconfigure([toy("nginx", "a")], OFF, "a")
        for _ in range(3):
            assert (stage.toys.runs, stage.toys.ended) == (["nginx demote"], [])
            await asyncio.sleep(0)
        await settle()
        assert (stage.toys.runs, stage.toys.ended) == (["nginx demote"] * 2, ["demote"])


async def test_what_a_dry_run_did_was_not_done() -> None:
    """When it is for real, what really was the last state counts."""
    async with Stage(toy("nginx", "a")) as stage:
        await stage.probe("a", up=True)
        stage.acting.reconfigure([toy("nginx", "a", dry_run=True)], OFF, "a")
        await stage.probe("a", up=False)
        assert (stage.toys.runs, stage.row().state.name) == ([], "demoted")
        stage.acting.reconfigure([toy("nginx", "a")], OFF, "a")
        await settle()
        assert stage.toys.runs == ["nginx demote"]


async def test_an_action_that_comes_to_depend_on_workers_looks_at_them() -> None:
    """Also when it depended on others before."""
    async with Stage(workers=True) as stage:
        await stage.happen(*alive("w1", 1, group="web"), *alive("d1", 2, group="db"))
        stage.acting.reconfigure([toy("nginx", workers=WorkerSelection(group="web"))], OFF)
        await stage.clock.jump(1.0)
        assert stage.memory.names == {"nginx": "promoted"}
        await stage.happen(lost("d1", 2))
        assert stage.toys.runs == []
        stage.acting.reconfigure([toy("nginx", workers=ALL)], OFF)
        await stage.clock.jump(1.0)
        assert stage.toys.runs == ["nginx demote"]


def test_how_a_hook_is_shown() -> None:
    """As what it runs."""
    stage_row = Acting(
        [toy("nginx", kinds=(Kind.DEMOTE,))],
        OFF,
        clock=FakeClock(),
        store=Remembered(),
        telemetry=Telemetry(CollectorRegistry()),
    ).rows()
    assert [row.hooks for row in stage_row] == [((Kind.DEMOTE, "toy demote"),)]
