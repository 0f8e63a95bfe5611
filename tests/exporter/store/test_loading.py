"""Loading: waited for, given up, merged, repeated."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator

import pytest

from exporter.core.events import Delete
from exporter.core.model import Record, Status, WorkerId
from exporter.store.base import Loaded, Memory, Quarantined, StoreError
from exporter.store.loading import PATIENCE
from exporter.telemetry import Operation
from tests.exporter.store.records import record
from tests.exporter.store.rig import RecordingStore, Rig
from tests.support.clock import settle
from tests.support.fleets import beat, connect, register

W1, W2 = WorkerId("w1"), WorkerId("w2")


class StumblingStore(RecordingStore):
    """Gives back one record at a time, and fails before each of the numbers in `stumbles`, once."""

    def __init__(self, records: list[Record], stumbles: set[int]) -> None:
        super().__init__(records)
        self.given = records
        self.stumbles = stumbles
        self.quarantined: tuple[Quarantined, ...] = ()

    async def load(self) -> AsyncIterator[Loaded]:
        for number, one in enumerate(self.given):
            if number in self.stumbles:
                self.stumbles.remove(number)
                raise StoreError("memory", Operation.LOAD, "it stumbled")
            yield Loaded((one,), self.quarantined)


async def test_the_fleet_is_whole_before_anybody_is_let_in() -> None:
    """Loading is over once every record was restored, and nothing of it is written back."""
    store = RecordingStore([record("w1"), record("w2")])
    rig = Rig(store)
    assert rig.journal.loading
    await rig.journal.start()
    await settle()
    assert not rig.journal.loading
    assert set(rig.fleet.ids()) == {"w1", "w2"}
    assert [list(batch.records) for batch in store.batches] == [[]]
    await rig.journal.stop()


async def test_a_store_that_does_not_answer_is_given_up(caplog: pytest.LogCaptureFixture) -> None:
    """After five seconds without progress workers are let in, and merged with the store when it comes."""
    store = RecordingStore([record("w1", heartbeats=7), record("w2")])
    store.away = True
    rig = Rig(store)
    await rig.journal.start()
    await rig.clock.jump(PATIENCE - 0.1)
    assert rig.journal.loading
    await rig.clock.jump(0.1)
    assert not rig.journal.loading
    assert caplog.messages[-1] == (
        "memory gave back nothing for 5 s: going on without, and merging when it comes"
    )
    rig.receive(register("w1"), connect("w1"), beat("w1"), register("w3"))
    store.away = False
    await rig.clock.jump(6.0)
    assert set(rig.fleet.ids()) == {"w1", "w2", "w3"} == set(store.records)
    merged = store.records[W1]
    assert (merged.status, merged.totals.heartbeats) == (Status.ALIVE, 8)
    assert [transition.to_name for transition in merged.history] == [
        *("registered", "connected", "alive"),
        *("registered", "connected", "alive"),
    ]
    await rig.journal.stop()


async def test_who_left_before_the_store_came_does_not_come_back_with_it() -> None:
    """What the fleet has forgotten is deleted from the store instead of restored from it."""
    store = RecordingStore([record("w1"), record("w2")])
    store.away = True
    rig = Rig(store)
    await rig.journal.start()
    await rig.clock.jump(PATIENCE)
    rig.receive(register("w1"), Delete(W1))
    store.away = False
    await rig.clock.jump(6.0)
    assert (rig.fleet.ids(), list(store.records)) == (["w2"], ["w2"])
    await rig.journal.stop()


async def test_a_slow_load_is_waited_for_while_it_gets_on() -> None:
    """Five seconds are counted from the last step, not from the first."""
    store = RecordingStore()
    steps: asyncio.Queue[Record] = asyncio.Queue()

    async def load() -> AsyncIterator[Loaded]:
        for _ in range(4):
            yield Loaded((await steps.get(),))

    store.load = load  # type: ignore[method-assign]  # a fault, put in
    rig = Rig(store)
    await rig.journal.start()
    for number in range(3):
        await rig.clock.jump(PATIENCE - 0.5)
        assert rig.journal.loading
        steps.put_nowait(record(f"w{number}"))
    await rig.clock.jump(PATIENCE)
    assert not rig.journal.loading
    await rig.journal.stop(timeout=0.01)


async def test_a_load_that_stumbles_begins_again_without_counting_twice() -> None:
    """Records that came before the failure, or twice, are merged once."""
    one, two = record("w1", heartbeats=7), record("w2")
    store = StumblingStore([one, one, two], {2})
    rig = Rig(store)
    await rig.journal.start()
    await rig.clock.jump(1.0)
    rows = {row.facts.worker_id: row.record() for row in rig.fleet.rows([W1, W2], rig.clock.now())}
    assert (rows[W1].totals.heartbeats, rows[W1].history) == (7, one.history)
    assert set(rows) == {"w1", "w2"}
    assert (rig.journal.loading, rig.metric("failures_total", operation="load")) == (False, 1)
    await rig.journal.stop()


async def test_the_lease_is_extended_during_a_long_load() -> None:
    """Or another exporter would take a store that is merely slow."""
    store = RecordingStore()
    asked: list[float] = []
    rig = Rig(store)

    async def acquire() -> None:
        asked.append(rig.clock.now().wall)

    async def load() -> AsyncIterator[Loaded]:
        for number in range(10):
            await rig.clock.sleep(1.0)
            yield Loaded((record(f"w{number}"),))

    store.acquire, store.load = acquire, load  # type: ignore[method-assign]  # likewise
    await rig.journal.start()
    began = rig.clock.now().wall
    await rig.clock.jump(10.0)
    assert [moment - began for moment in asked] == [0.0, 3.0, 6.0, 9.0]
    await rig.journal.stop()


async def test_what_was_put_aside_is_named_and_counted(caplog: pytest.LogCaptureFixture) -> None:
    """With the id and the reason."""
    store = StumblingStore([record("w1")], set())
    store.quarantined = (Quarantined("w2", "not a JSON object"),)
    rig = Rig(store)
    await rig.journal.start()
    await settle()
    assert caplog.messages == ["memory: the record of worker 'w2' was put aside: not a JSON object"]
    assert rig.metric("quarantined_total") == 1
    await rig.journal.stop()


async def test_loading_is_told(caplog: pytest.LogCaptureFixture) -> None:
    """How many workers, and how long it took."""
    caplog.set_level(logging.INFO)
    rig = Rig(RecordingStore([record("w1")]))
    await rig.journal.start()
    await settle()
    assert caplog.messages == ["loaded 1 workers from memory in 0.0 s"]
    await rig.journal.stop()


async def test_a_store_that_keeps_forgetting_is_not_rewritten_all_the_time() -> None:
    """Once at once, then at most each ten seconds."""
    store = RecordingStore()
    rig = Rig(store)
    await rig.journal.start()
    await settle()
    rig.receive(register("w1"))
    await rig.clock.jump(1.0)
    store.batches.clear()
    for _ in range(25):
        store.memory = Memory.BEHIND
        await rig.clock.jump(1.0)
    rewritten = [batch for batch in store.batches if batch.records]
    assert len(rewritten) == 3
    await rig.journal.stop()


@pytest.mark.parametrize("first", [Memory.NOTHING, Memory.BEHIND])
async def test_of_two_losses_the_graver_counts(first: Memory) -> None:
    """Nobody is taken for forgotten who may be news."""
    store = RecordingStore()
    rig = Rig(store)
    await rig.journal.start()
    await settle()
    second = Memory.BEHIND if first is Memory.NOTHING else Memory.NOTHING
    rig.journal._loading.mind(first)
    rig.journal._loading.mind(second)
    store.records = {W2: record("w2")}
    await rig.clock.jump(2.0)
    assert rig.fleet.ids() == ["w2"]
    await rig.journal.stop()
