"""When what is written, and what happens while that is impossible."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator

import pytest

from exporter.core.acting import Kind, State
from exporter.core.effects import Discarded, Unusable
from exporter.core.events import Delete
from exporter.core.model import Status, Wall, WorkerId
from exporter.store import journal as journal_module
from exporter.store.base import BATCH, LeaseHeld, Memory, Owner, StoreError, Unreadable
from exporter.telemetry import Operation
from tests.exporter.store.records import record
from tests.exporter.store.rig import RecordingStore, Rig
from tests.support.clock import settle
from tests.support.fleets import beat, connect, register

OTHER = Owner("db2", 99, "token")
W1 = WorkerId("w1")


@pytest.fixture
async def store() -> RecordingStore:
    return RecordingStore()


@pytest.fixture
async def rig(store: RecordingStore) -> AsyncIterator[Rig]:
    """A journal that has loaded an empty store and claimed it."""
    rig = Rig(store)
    await rig.journal.start()
    await settle()
    store.batches.clear()
    yield rig
    await rig.journal.stop()


def written(store: RecordingStore) -> list[tuple[list[str], list[str], list[str]]]:
    """Each batch as ids recorded, ids forgotten and statuses gone to."""
    return [
        (
            [one.facts.worker_id for one in batch.records],
            list(batch.forgotten),
            [transition.to_name for transition in batch.transitions],
        )
        for batch in store.batches
    ]


# Behind


async def test_changes_are_written_within_a_second(rig: Rig, store: RecordingStore) -> None:
    """Nothing is written when it happens; a second later all of it is, once."""
    rig.receive(register("w1"), register("w2"), connect("w1"), beat("w1"))
    await settle()
    assert written(store) == []
    assert rig.metric("pending_writes") == 6
    await rig.clock.jump(1.0)
    assert written(store) == [(["w1", "w2"], [], ["registered", "registered", "connected", "alive"])]
    assert rig.metric("pending_writes") == 0
    assert store.records[W1].status is Status.ALIVE


async def test_a_worker_is_written_at_most_once_a_second(rig: Rig, store: RecordingStore) -> None:
    """However often it beats."""
    rig.receive(register("w1"), connect("w1"))
    for _ in range(50):
        rig.receive(beat("w1"))
        await rig.clock.jump(0.1)
    assert len(store.batches) == 5


async def test_many_changes_are_written_in_batches(rig: Rig, store: RecordingStore) -> None:
    """Never more than a batch at a time, and everything in one go."""
    rig.receive(*(register(f"w{number}") for number in range(2 * BATCH + 1)))
    await rig.clock.jump(1.0)
    assert [len(batch.records) for batch in store.batches] == [BATCH, BATCH, 1]
    assert [len(batch.transitions) for batch in store.batches] == [BATCH, BATCH, 1]
    assert rig.metric("flush_duration_seconds_count") == 4


async def test_forgotten_workers_are_deleted_in_batches(rig: Rig, store: RecordingStore) -> None:
    """They must not come back with the next restart."""
    ids = [WorkerId(f"w{number}") for number in range(BATCH + 1)]
    rig.receive(*(register(worker_id) for worker_id in ids))
    await rig.clock.jump(1.0)
    rig.receive(*(Delete(worker_id) for worker_id in ids))
    await rig.clock.jump(1.0)
    assert [len(batch.forgotten) for batch in store.batches] == [0, 0, BATCH, 1]
    assert store.records == {}


async def test_an_idle_fleet_only_extends_the_lease(rig: Rig, store: RecordingStore) -> None:
    """Now and then, with an empty batch."""
    await rig.clock.jump(9.0)
    assert written(store) == [([], [], [])] * 3


async def test_other_effects_mean_nothing_here(rig: Rig) -> None:
    """Only changes of status are kept."""
    rig.journal(Discarded(Unusable.LATENCY))
    assert rig.metric("pending_writes") == 0


async def test_a_worker_that_comes_back_at_once_is_kept(rig: Rig, store: RecordingStore) -> None:
    """Deleted and registered again within the second, or within a write, it is recorded and not forgotten."""
    rig.receive(register("w1"), Delete(W1), register("w1"))
    await rig.clock.jump(1.0)
    assert written(store) == [(["w1"], [], ["registered", "forgotten", "registered"])]
    store.open_gate.clear()
    rig.receive(Delete(W1))
    await rig.clock.jump(1.0)
    rig.receive(register("w1"))
    store.fails = StoreError("memory", Operation.SAVE, "gone")
    store.open_gate.set()
    await settle()
    store.fails = None
    await rig.clock.jump(5.0)
    assert list(store.records) == ["w1"]


# Through


async def test_a_registration_is_written_before_it_is_answered(rig: Rig, store: RecordingStore) -> None:
    """Without waiting for the second to be over."""
    rig.receive(register("w1"))
    assert await rig.journal.written_through(W1)
    assert written(store) == [(["w1"], [], ["registered"])]


async def test_registrations_at_the_same_time_share_a_round_trip(rig: Rig, store: RecordingStore) -> None:
    """What arrives during a write goes with the next, all together."""
    store.open_gate.clear()
    rig.receive(register("w1"))
    first = asyncio.create_task(rig.journal.written_through(W1))
    await settle()
    others = [WorkerId(f"o{number}") for number in range(BATCH + 5)]
    rig.receive(*(register(worker_id) for worker_id in others))
    waiting = [asyncio.create_task(rig.journal.written_through(worker_id)) for worker_id in others]
    await settle()
    store.open_gate.set()
    assert await asyncio.gather(first, *waiting) == [True] * (BATCH + 6)
    assert [len(batch.records) for batch in store.batches] == [1, BATCH, 5]


async def test_a_deletion_can_be_waited_for_too(rig: Rig, store: RecordingStore) -> None:
    """Through means: as the fleet has it now, and it may have forgotten the worker."""
    rig.receive(register("w1"))
    await rig.journal.written_through(W1)
    rig.receive(Delete(W1))
    assert await rig.journal.written_through(W1)
    assert store.records == {}


async def test_a_slow_store_does_not_hold_up_an_answer(rig: Rig, store: RecordingStore) -> None:
    """Whoever waits is told in time that it is not known to be written; the write itself goes on."""
    store.open_gate.clear()
    rig.receive(register("w1"))
    assert not await rig.journal.written_through(W1, timeout=0.01)
    store.open_gate.set()
    await settle()
    assert W1 in store.records


async def test_who_no_longer_waits_is_not_told(rig: Rig, store: RecordingStore) -> None:
    """A write that fails after its waiter went away fails for the others only."""
    store.open_gate.clear()
    rig.receive(register("w1"))
    assert not await rig.journal.written_through(W1, timeout=0.01)
    waiting = asyncio.create_task(rig.journal.written_through(W1))
    await settle()
    store.fails = StoreError("memory", Operation.SAVE, "gone")
    store.open_gate.set()
    assert not await waiting
    store.fails = None


async def test_a_store_that_is_away_does_not_hold_up_an_answer(rig: Rig, store: RecordingStore) -> None:
    """The one who finds out is told with the failure, later ones at once."""
    store.away = True
    rig.receive(register("w1"))
    assert not await rig.journal.written_through(W1)
    assert not await rig.journal.written_through(W1, timeout=0.0)
    store.away = False
    await rig.clock.jump(1.0)
    assert W1 in store.records


async def test_flushing_does_not_hold_up_a_registration(rig: Rig, store: RecordingStore) -> None:
    """It goes with the next batch of a long flush, not after the last."""
    rig.receive(*(register(f"w{number}") for number in range(3 * BATCH)))
    store.open_gate.clear()
    await rig.clock.jump(1.0)
    rig.receive(register("new"))
    waiting = asyncio.create_task(rig.journal.written_through(WorkerId("new")))
    await settle()
    store.open_gate.set()
    assert await waiting
    await settle()
    assert [len(batch.records) for batch in store.batches] == [BATCH, 1, BATCH, BATCH, 1]


# Away


async def test_nothing_is_lost_while_the_store_is_away(
    rig: Rig, store: RecordingStore, caplog: pytest.LogCaptureFixture
) -> None:
    """Changes are kept, the outage is told and counted, and afterwards the store is whole."""
    caplog.set_level(logging.INFO)
    rig.receive(register("w1"), register("w2"))
    store.away = True
    await rig.clock.jump(1.0)
    rig.receive(connect("w1"), beat("w1"), Delete(WorkerId("w2")))
    await rig.clock.jump(20.0)
    assert store.records == {}
    assert (rig.metric("up"), rig.metric("pending_writes")) == (0, 7)
    assert rig.journal.problem == "memory cannot be opened or claimed: it does not answer"
    assert rig.metric("failures_total", operation="save") == 1
    assert rig.metric("failures_total", operation="lease") == 6
    store.away = False
    await rig.clock.jump(6.0)
    assert list(store.records) == ["w1"]
    assert [transition.to_name for transition in store.transitions] == [
        *("registered", "registered", "connected", "alive", "forgotten"),
    ]
    assert (rig.metric("up"), rig.metric("pending_writes"), rig.journal.problem) == (1, 0, None)
    assert [message.split(";")[0].split(" after")[0] for message in caplog.messages] == [
        "memory cannot take workers: it does not answer",
        "memory cannot be opened or claimed: it does not answer",
        "memory is back and up to date",
    ]


async def test_a_store_that_answers_but_takes_nothing_is_not_up(rig: Rig, store: RecordingStore) -> None:
    """A full Redis still extends the lease; that does not make it a working store."""
    store.fails = StoreError("memory", Operation.SAVE, "full")
    rig.receive(register("w1"))
    for _ in range(20):
        await rig.clock.jump(1.0)
        assert rig.metric("up") == 0
    store.fails = None
    await rig.clock.jump(6.0)
    assert (rig.metric("up"), list(store.records)) == (1, ["w1"])


async def test_an_error_of_our_own_does_not_end_the_journal(
    rig: Rig, store: RecordingStore, caplog: pytest.LogCaptureFixture
) -> None:
    """It is logged with its traceback and treated like an outage."""
    store.fails = RuntimeError("a mistake")
    rig.receive(register("w1"))
    await rig.clock.jump(1.0)
    assert rig.journal.problem == "memory cannot take workers: RuntimeError('a mistake')"
    assert caplog.records[0].exc_info is not None
    store.fails = None
    await rig.clock.jump(1.0)
    assert (rig.journal.problem, list(store.records)) == (None, ["w1"])


async def test_transitions_that_find_no_room_are_counted(
    rig: Rig, store: RecordingStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The oldest go first; records are not affected."""
    monkeypatch.setattr(journal_module, "TRANSITIONS_KEPT", 3)
    store.away = True
    rig.receive(*(register(f"w{number}") for number in range(5)))
    await rig.clock.jump(3.0)
    assert rig.metric("dropped_total") == 2
    store.away = False
    await rig.clock.jump(6.0)
    assert [transition.worker_id for transition in store.transitions] == ["w2", "w3", "w4"]
    assert len(store.records) == 5


# Forgetful stores


async def test_a_store_that_lost_everything_is_written_again(rig: Rig, store: RecordingStore) -> None:
    """The whole fleet, and not just who changes."""
    rig.receive(register("w1"), register("w2"))
    await rig.clock.jump(1.0)
    store.records.clear()
    store.memory = Memory.NOTHING
    await rig.clock.jump(5.0)
    assert set(store.records) == {"w1", "w2"}


async def test_a_fleet_that_comes_with_another_store_is_taken_over(rig: Rig, store: RecordingStore) -> None:
    """Its unknown workers get time to come back; what we know ourselves stands."""
    rig.receive(register("w1"))
    await rig.clock.jump(1.0)
    store.records = {W1: record("w1", heartbeats=99), WorkerId("w2"): record("w2")}
    store.memory = Memory.NOTHING
    await rig.clock.jump(5.0)
    assert set(rig.fleet.ids()) == {"w1", "w2"}
    assert store.records[W1].totals.heartbeats == 0
    assert rig.fleet.warming_up(rig.clock.now())


async def test_an_older_copy_does_not_bring_back_who_was_forgotten(rig: Rig, store: RecordingStore) -> None:
    """It is brought up to the present: written again, and rid of those that left since."""
    rig.receive(register("w1"), register("w2"))
    await rig.clock.jump(1.0)
    older = dict(store.records)
    rig.receive(Delete(WorkerId("w2")), register("w3"))
    await rig.clock.jump(1.0)
    store.records = older
    store.memory = Memory.BEHIND
    await rig.clock.jump(5.0)
    assert set(store.records) == {"w1", "w3"} == set(rig.fleet.ids())


# The lease


async def test_a_store_in_use_stops_the_start(store: RecordingStore) -> None:
    """After the wait for a dead holder, and with the store closed again."""
    store.holder = OTHER
    rig = Rig(store)
    starting = asyncio.create_task(rig.journal.start())
    await rig.clock.jump(10.0)
    with pytest.raises(LeaseHeld) as caught:
        await starting
    assert (caught.value.holder, store.closed) == (OTHER, True)
    await rig.journal.stop()


async def test_a_lease_that_is_lost_is_reported_once(rig: Rig, store: RecordingStore) -> None:
    """Whoever waits is told, nothing more is written, and the end does not take it back."""
    rig.receive(register("w1"))
    store.holder = OTHER
    assert not await rig.journal.written_through(W1)
    await rig.clock.jump(10.0)
    await rig.journal.stop()
    assert [held.holder for held in rig.lost] == [OTHER]
    assert (store.records, store.released, rig.metric("up")) == ({}, False, 0)


async def test_a_store_found_in_use_after_an_outage_is_reported(store: RecordingStore) -> None:
    """Serving began without it, so it could not be noticed at the start."""
    store.away = True
    rig = Rig(store)
    await rig.journal.start()
    await rig.clock.jump(3.0)
    store.away = False
    store.holder = OTHER
    await rig.clock.jump(9.0)
    assert rig.lost == []
    await rig.clock.jump(6.0)
    assert [held.holder for held in rig.lost] == [OTHER]
    await rig.journal.stop()


# The end


async def test_stopping_writes_what_is_left(store: RecordingStore) -> None:
    """Without waiting for the next second, and gives the lease back."""
    rig = Rig(store)
    await rig.journal.start()
    await settle()
    rig.receive(register("w1"))
    await rig.journal.stop()
    assert (list(store.records), store.released, store.closed) == (["w1"], True, True)
    assert not await rig.journal.written_through(W1)


async def test_stopping_does_not_wait_for_ever(
    store: RecordingStore, caplog: pytest.LogCaptureFixture
) -> None:
    """What could not be written in time is counted in the log."""
    rig = Rig(store)
    await rig.journal.start()
    await settle()
    store.open_gate.clear()
    rig.receive(register("w1"))
    await rig.journal.stop(timeout=0.01)
    assert caplog.messages == ["ending without reaching the store, 2 changes unwritten: no time left"]
    assert store.closed


async def test_stopping_in_an_outage_tries_once_more(store: RecordingStore) -> None:
    """At once, although the next try is not due."""
    rig = Rig(store)
    await rig.journal.start()
    await settle()
    store.away = True
    rig.receive(register("w1"))
    await rig.clock.jump(10.0)
    store.away = False
    await rig.journal.stop()
    assert (list(store.records), store.released) == (["w1"], True)


async def test_stopping_while_the_store_is_away_says_what_is_missing(
    store: RecordingStore, caplog: pytest.LogCaptureFixture
) -> None:
    """The exporter ends all the same."""
    rig = Rig(store)
    await rig.journal.start()
    await settle()
    store.away = True
    rig.receive(register("w1"))
    await rig.journal.stop()
    assert caplog.messages[-1] == (
        "ending without reaching the store, 2 changes unwritten:"
        " memory cannot take workers: it does not answer"
    )
    assert store.closed


# Actions

PROMOTED, DEMOTED = State(Kind.PROMOTE, Wall(1.0)), State(Kind.DEMOTE, Wall(2.0))


async def test_the_state_of_an_action_is_written_at_once(rig: Rig, store: RecordingStore) -> None:
    """Without waiting for the second to be over, and without the workers, which keep their pace."""
    rig.receive(register("w1"))
    rig.journal.remember("nginx", DEMOTED)
    assert rig.metric("pending_writes") == 3
    await settle()
    assert store.actions == {"nginx": DEMOTED}
    assert [len(batch.records) for batch in store.batches] == [0]
    await rig.clock.jump(1.0)
    assert store.records.keys() == {W1}


async def test_many_actions_are_written_in_batches(rig: Rig, store: RecordingStore) -> None:
    """When all of them change together."""
    for number in range(BATCH + 1):
        rig.journal.remember(f"action-{number}", PROMOTED)
    await settle()
    assert [len(batch.actions) for batch in store.batches] == [BATCH, 1]


async def test_states_of_actions_survive_an_outage(rig: Rig, store: RecordingStore) -> None:
    """The newest of each is written when the store is back."""
    store.away = True
    rig.journal.remember("nginx", DEMOTED)
    rig.journal.remember("pager", DEMOTED)
    await settle()
    rig.journal.remember("nginx", PROMOTED)
    await rig.clock.jump(1.0)
    assert (store.actions, rig.metric("pending_writes")) == ({}, 2)
    store.away = False
    await rig.clock.jump(5.0)
    assert store.actions == {"nginx": PROMOTED, "pager": DEMOTED}


async def test_states_of_actions_are_given_back_at_the_start(caplog: pytest.LogCaptureFixture) -> None:
    """Before the registry counts as loaded; one that cannot be read is named."""
    store = RecordingStore()
    store.actions = {"nginx": DEMOTED}
    store.unreadable = (Unreadable("pager", "not JSON"),)
    store.open_gate.clear()
    rig = Rig(store)
    await rig.journal.start()
    await settle()
    assert (rig.restored_actions, rig.journal.loading) == ([{"nginx": DEMOTED}], True)
    assert caplog.messages == [
        "memory: the state of action 'pager' cannot be read, and is learned anew: not JSON"
    ]
    store.open_gate.set()
    await settle()
    assert not rig.journal.loading
    await rig.journal.stop()


async def test_a_store_that_lost_everything_is_told_the_states_of_actions_again(
    rig: Rig, store: RecordingStore
) -> None:
    """All that are known."""
    rig.journal.remember("nginx", DEMOTED)
    await settle()
    store.actions.clear()
    store.memory = Memory.NOTHING
    await rig.clock.jump(10.0)
    assert store.actions == {"nginx": DEMOTED}


async def test_stopping_writes_the_states_of_actions(store: RecordingStore) -> None:
    """Whatever was remembered before."""
    rig = Rig(store)
    await rig.journal.start()
    rig.journal.remember("nginx", DEMOTED)
    await rig.journal.stop()
    assert store.actions == {"nginx": DEMOTED}
