"""What every store has to do, whatever it is made of."""

from __future__ import annotations

import asyncio
import contextlib
import json

import pytest

from exporter.core.acting import Kind, State
from exporter.core.model import Reason, Record, Status, Transition, Wall, WorkerId
from exporter.store.base import (
    BATCH,
    TRANSITIONS_KEPT,
    Batch,
    LoadedActions,
    Memory,
    Quarantined,
    Saved,
    Store,
    Unreadable,
)
from tests.conformance.backends import Backend, owner
from tests.conformance.conftest import Opened
from tests.exporter.store.records import change, record
from tests.support.fleets import facts


async def load(store: Store) -> tuple[dict[WorkerId, Record], list[Quarantined]]:
    records: dict[WorkerId, Record] = {}
    quarantined: list[Quarantined] = []
    async for step in store.load():
        assert len(step.records) <= BATCH
        records.update((one.facts.worker_id, one) for one in step.records)
        quarantined += step.quarantined
    return records, quarantined


def many(count: int, *, heartbeats: int = 3) -> dict[WorkerId, Record]:
    made = (record(f"worker-{number}", heartbeats=heartbeats) for number in range(count))
    return {one.facts.worker_id: one for one in made}


async def test_a_new_store_is_empty(store: Store) -> None:
    """There is nothing to load, and that is no error."""
    assert await load(store) == ({}, [])


async def test_what_is_saved_is_loaded_after_a_restart(opened: Opened) -> None:
    """Another exporter finds every record as it was saved."""
    first = await opened("a")
    saved = many(BATCH)
    assert await first.save(Batch(list(saved.values()))) == Saved()
    await first.release()
    second = await opened("b")
    assert await second.acquire() is None
    assert await load(second) == (saved, [])


async def test_the_newest_record_of_a_worker_counts(store: Store) -> None:
    """A worker has one record, the last that was saved."""
    await store.save(Batch([record(heartbeats=1), record("w2")]))
    await store.save(Batch([record(heartbeats=2)]))
    assert await load(store) == ({"w1": record(heartbeats=2), "w2": record("w2")}, [])


async def test_forgotten_workers_do_not_come_back(store: Store) -> None:
    """Forgetting deletes; an id that was never saved does no harm, and a worker may return."""
    await store.save(Batch([record("w1"), record("w2")]))
    await store.save(Batch([record("w3")], [WorkerId("w1"), WorkerId("w9")]))
    assert set((await load(store))[0]) == {"w2", "w3"}
    await store.save(Batch([record("w1")]))
    assert set((await load(store))[0]) == {"w1", "w2", "w3"}


@pytest.mark.parametrize(
    "name", ["a b", "ünïcode ☃", 'quote " and \\', "'; DROP TABLE workers; --", "x" * 200]
)
async def test_any_id_is_kept_as_it_is(store: Store, name: str) -> None:
    """Ids and names are data, never part of a command."""
    original = record(name, name=name, group=name)
    await store.save(Batch([original], (), original.history))
    assert await load(store) == ({name: original}, [])
    await store.save(Batch((), [WorkerId(name)]))
    assert await load(store) == ({}, [])


async def test_people_can_read_a_record(store: Store, backend: Backend) -> None:
    """A record is JSON under the worker's id, and says who wrote it."""
    await store.save(Batch([record()]))
    text = backend.workers()[b"w1"]
    assert {key: json.loads(text)[key] for key in ("v", "worker_id", "status", "owner", "epoch")} == {
        "v": 1,
        "worker_id": "w1",
        "status": "alive",
        "owner": "host-a:7",
        "epoch": 1,
    }


async def test_transitions_are_kept_in_order(store: Store, backend: Backend) -> None:
    """Every transition is there with all it says, oldest first."""
    of = facts("w1", name="Worker 1", group="web")
    await store.save(Batch((), (), [change(of, None, Status.REGISTERED, Reason.REGISTERED, 1_700_000_000.5)]))
    await store.save(Batch((), (), [change(of, Status.REGISTERED, None, Reason.DELETED, 1_700_000_001.0)]))
    same = {"worker_id": "w1", "worker": "Worker 1", "group": "web"}
    assert backend.transitions() == [
        {
            **same,
            "from": "none",
            "to": "registered",
            "reason": "registered",
            "at": "2023-11-14T22:13:20.500Z",
            "timestamp": "1700000000.5",
        },
        {
            **same,
            "from": "registered",
            "to": "forgotten",
            "reason": "deleted",
            "at": "2023-11-14T22:13:21.000Z",
            "timestamp": "1700000001.0",
        },
    ]


@pytest.mark.slow
async def test_old_transitions_make_room(store: Store, backend: Backend) -> None:
    """About so many are kept as was promised, and those are the newest."""
    batches = TRANSITIONS_KEPT // BATCH + 3
    of = facts()
    for number in range(batches):
        one = change(of, Status.ALIVE, Status.DISCONNECTED, Reason.SHUTDOWN, float(number))
        await store.save(Batch((), (), [one] * BATCH))
    kept = [float(transition["timestamp"]) for transition in backend.transitions()]
    assert TRANSITIONS_KEPT <= len(kept) <= TRANSITIONS_KEPT + BATCH
    assert kept == sorted(kept)
    assert kept[-1] == batches - 1


# Actions

PROMOTED, DEMOTED = State(Kind.PROMOTE, Wall(1_700_000_000.125)), State(Kind.DEMOTE, Wall(1_700_000_001.5))


async def test_states_of_actions_are_loaded_after_a_restart(opened: Opened) -> None:
    """Another exporter finds the last that was saved of each, also if nothing else was saved with it."""
    first = await opened("a")
    assert await first.load_actions() == LoadedActions({})
    await first.save(Batch(actions=[("nginx", PROMOTED), ("pager", PROMOTED)]))
    await first.save(Batch([record()], actions=[("nginx", DEMOTED)]))
    await first.release()
    second = await opened("b")
    assert await second.acquire() is None
    assert await second.load_actions() == LoadedActions({"nginx": DEMOTED, "pager": PROMOTED})


@pytest.mark.parametrize("name", ["a b", "ünïcode ☃", 'quote " and \\', "'; DROP TABLE actions; --"])
async def test_an_action_can_have_any_name(store: Store, name: str) -> None:
    """Names are data, never part of a command."""
    await store.save(Batch(actions=[(name, PROMOTED)]))
    assert await store.load_actions() == LoadedActions({name: PROMOTED})


async def test_a_batch_is_full_of_actions_too(store: Store) -> None:
    """As many of them as of the rest."""
    states = {f"action-{number}": DEMOTED for number in range(BATCH)}
    await store.save(Batch(actions=list(states.items())))
    assert await store.load_actions() == LoadedActions(states)


async def test_people_can_read_the_state_of_an_action(store: Store, backend: Backend) -> None:
    """It is JSON under the name of the action, and says who wrote it."""
    await store.save(Batch(actions=[("nginx", DEMOTED)]))
    assert {name: json.loads(text) for name, text in backend.actions().items()} == {
        b"nginx": {
            "v": 1,
            "action": "nginx",
            "state": "demoted",
            "since": "2023-11-14T22:13:21.500Z",
            "since_timestamp": 1_700_000_001.5,
            "owner": "host-a:7",
            "epoch": 1,
        }
    }


async def test_who_has_not_the_lease_changes_no_action(opened: Opened, backend: Backend) -> None:
    """What another exporter's actions did is for that one to say."""
    a, b = await opened("a"), await opened("b")
    await a.save(Batch(actions=[("nginx", PROMOTED)]))
    before = backend.actions()
    assert (await b.save(Batch(actions=[("nginx", DEMOTED)]))).holder == owner("a")
    assert backend.actions() == before


async def test_a_state_that_cannot_be_read_is_named_and_the_rest_loads(
    store: Store, backend: Backend
) -> None:
    """It stays until the action has a state again."""
    await store.save(Batch(actions=[("nginx", PROMOTED)]))
    backend.plant_actions({b"pager": b"garbage", b"\xff": b"{}"})
    states, unreadable = await store.load_actions()
    assert states == {"nginx": PROMOTED}
    assert sorted(unreadable) == [
        Unreadable("\\xff", "'utf-8' codec can't decode byte 0xff in position 0: invalid start byte"),
        Unreadable("pager", "not JSON: Expecting value: line 1 column 1 (char 0)"),
    ]
    await store.save(Batch(actions=[("pager", DEMOTED)]))
    assert (await store.load_actions()).states == {"nginx": PROMOTED, "pager": DEMOTED}


# The lease


async def test_one_exporter_at_a_time(opened: Opened) -> None:
    """The lease is had by one, who is named to the others, until it is given back."""
    a, b = await opened("a"), await opened("b")
    assert [await a.acquire(), await b.acquire(), await a.acquire()] == [None, owner("a"), None]
    await b.release()
    assert await b.acquire() == owner("a")
    await a.release()
    assert [await b.acquire(), await a.acquire()] == [None, owner("b")]


async def test_who_has_not_the_lease_changes_nothing(opened: Opened, backend: Backend) -> None:
    """Records, forgotten ids and transitions of the other exporter are refused, all of them."""
    a, b = await opened("a"), await opened("b")
    await a.save(Batch([record("w1"), record("w2")]))
    before = backend.workers()
    refused = await b.save(Batch([record("w3")], [WorkerId("w1")], record().history))
    assert refused == Saved((WorkerId("w3"), WorkerId("w1")), owner("a"), Memory.WHOLE)
    assert (backend.workers(), backend.transitions()) == (before, [])


async def test_saving_takes_a_lease_that_is_free(opened: Opened) -> None:
    """A store that was flushed has lost the lease too; the next save takes it again."""
    a, b = await opened("a"), await opened("b")
    assert await a.save(Batch()) == Saved()
    assert await b.acquire() == owner("a")


async def test_each_change_of_hands_is_counted(opened: Opened, backend: Backend) -> None:
    """Records carry the epoch they were written in, which grows with every new holder."""
    epochs = []
    for name in ("a", "b", "a"):
        store = await opened(name)
        await store.acquire()
        await store.acquire()
        await store.save(Batch([record()]))
        epochs.append(json.loads(backend.workers()[b"w1"])["epoch"])
        await store.release()
    assert epochs == [1, 2, 3]


# What a store remembers


async def test_a_store_that_lost_everything_says_so_once(store: Store, backend: Backend) -> None:
    """After a flush, or with another store in its place, the next save tells."""
    await store.save(Batch([record("w1")]))
    backend.wipe()
    saved = [await store.save(Batch([record("w2")])) for _ in range(2)]
    assert saved == [Saved(memory=Memory.NOTHING), Saved()]
    assert set((await load(store))[0]) == {"w2"}


async def test_a_store_that_went_back_in_time_says_so_once(store: Store, backend: Backend) -> None:
    """After a restart from a snapshot, or with a lagging replica promoted, the next save tells."""
    await store.save(Batch([record("w1")]))
    put_back = backend.copy()
    await store.save(Batch([record("w2")]))
    put_back()
    saved = [await store.save(Batch([record("w3")])) for _ in range(2)]
    assert saved == [Saved(memory=Memory.BEHIND), Saved()]
    assert set((await load(store))[0]) == {"w1", "w3"}


async def test_a_copy_of_the_present_has_lost_nothing(store: Store, backend: Backend) -> None:
    """A store that comes back as it was is as good as one that never left."""
    await store.save(Batch([record("w1")]))
    backend.copy()()
    assert await store.save(Batch([record("w2")])) == Saved()


async def test_a_store_that_another_exporter_wrote_to_is_not_ours(opened: Opened) -> None:
    """Who was away while another wrote cannot know what that one did."""
    a, b = await opened("a"), await opened("b")
    await a.save(Batch([record("w1")]))
    await a.release()
    await b.save(Batch([record("w2")]))
    await b.release()
    assert await a.save(Batch([record("w1")])) == Saved(memory=Memory.NOTHING)


# Damage


async def test_corrupt_records_are_put_aside_and_the_rest_loads(store: Store, backend: Backend) -> None:
    """They are named with the reason, kept byte for byte, and not met again."""
    good = many(3)
    await store.save(Batch(list(good.values())))
    bad = {b"w1": b"garbage", b"w2": b"\xff\xfe", b"\xffid": b"{}", b"w3": backend.workers()[b"worker-1"]}
    backend.plant(bad)
    records, quarantined = await load(store)
    assert records == good
    assert sorted(quarantined) == [
        Quarantined("\\xffid", "'utf-8' codec can't decode byte 0xff in position 0: invalid start byte"),
        Quarantined("w1", "not JSON: Expecting value: line 1 column 1 (char 0)"),
        Quarantined("w2", "not JSON: 'utf-8' codec can't decode byte 0xff in position 0: invalid start byte"),
        Quarantined("w3", "worker_id is 'worker-1', expected 'w3'"),
    ]
    assert backend.quarantine() == bad
    assert await load(store) == (good, [])


async def test_a_worker_whose_record_was_corrupt_can_come_back(store: Store, backend: Backend) -> None:
    """Its new record is saved as if nothing had been there, and the old one stays aside."""
    backend.plant({b"w1": b"garbage"})
    await load(store)
    await store.save(Batch([record("w1")]))
    assert await load(store) == ({"w1": record("w1")}, [])
    assert backend.quarantine() == {b"w1": b"garbage"}


async def test_a_call_that_is_given_up_does_not_spoil_the_next(store: Store) -> None:
    """Whoever stops waiting for an answer does not make another get it."""
    for turns in range(12):
        task = asyncio.create_task(store.save(Batch(list(many(20).values()))))
        for _ in range(turns):
            await asyncio.sleep(0)
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        assert (await store.save(Batch([record()]))).refused == ()
        assert "w1" in (await load(store))[0]


async def test_closing_is_always_possible(backend: Backend) -> None:
    """Also twice, and when it was never opened."""
    store = backend.store()
    await store.close()
    store = backend.store()
    await store.open()
    await store.close()


# Size


@pytest.mark.slow
async def test_a_large_fleet_loads_while_others_get_their_turn(store: Store) -> None:
    """20,000 workers load in many short steps: others had the event loop hundreds of times meanwhile."""
    fleet = many(20_000)
    records = list(fleet.values())
    for start in range(0, len(records), BATCH):
        await store.save(Batch(records[start : start + BATCH]))
    turns = 0

    async def others() -> None:
        nonlocal turns
        while True:
            await asyncio.sleep(0)
            turns += 1

    ticking = asyncio.create_task(others())
    loaded, quarantined = await load(store)
    ticking.cancel()
    assert (loaded, quarantined) == (fleet, [])
    assert turns > len(records) / BATCH


async def test_any_number_of_transitions_fits_with_a_full_batch(store: Store, backend: Backend) -> None:
    """A batch that is full in every part is written in one call."""
    fleet = many(BATCH)
    await store.save(Batch(list(fleet.values())))
    transitions: list[Transition] = [one.history[0] for one in fleet.values()]
    others = many(BATCH, heartbeats=9)
    gone = [WorkerId(f"gone-{number}") for number in range(BATCH)]
    assert await store.save(Batch(list(others.values()), gone, transitions)) == Saved()
    assert (await load(store))[0] == others
    assert len(backend.transitions()) == BATCH
