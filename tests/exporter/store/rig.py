"""A fleet, a store and the journal between them, on a clock that jumps."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping
from typing import Any

from prometheus_client import CollectorRegistry

from exporter.clock import Clock
from exporter.core.acting import State
from exporter.core.events import Event, Restore
from exporter.core.fleet import Fleet, Rules
from exporter.core.model import Record
from exporter.store.base import Batch, LeaseHeld, Loaded, Saved, Store
from exporter.store.journal import Journal
from exporter.telemetry import Telemetry
from tests.support.clock import FakeClock
from tests.support.stores import MemoryStore


class RecordingStore(MemoryStore):
    """Remembers each batch; loads and saves wait for `open_gate`, and `fails` is raised if it is set."""

    def __init__(self, records: Iterable[Record] = ()) -> None:
        super().__init__(records)
        self.batches: list[Batch] = []
        self.open_gate = asyncio.Event()
        self.open_gate.set()
        self.fails: Exception | None = None
        self.released = False

    async def load(self) -> AsyncIterator[Loaded]:
        await self.open_gate.wait()
        async for step in super().load():
            yield step

    async def save(self, batch: Batch) -> Saved:
        await self.open_gate.wait()
        if self.fails is not None:
            raise self.fails
        saved = await super().save(batch)
        self.batches.append(batch)
        return saved

    async def release(self) -> None:
        await super().release()
        self.released = True


class Rig:
    """What the exporter does around a journal, without the exporter."""

    def __init__(self, store: Store, clock: Clock | None = None) -> None:
        self.clock: Any = clock or FakeClock()  # each test knows which it gave
        self.fleet = Fleet(Rules())
        self.telemetry = Telemetry(CollectorRegistry())
        self.lost: list[LeaseHeld] = []
        self.restored_actions: list[Mapping[str, State]] = []
        self.journal = Journal(
            self.fleet,
            store,
            restore=lambda records: self.receive(Restore(records)),
            restore_actions=self.restored_actions.append,
            lost=self.lost.append,
            clock=self.clock,
            telemetry=self.telemetry,
        )

    def receive(self, *events: Event) -> None:
        for event in events:
            self.fleet.receive(event, self.clock.now())
            for effect in self.fleet.effects():
                self.journal(effect)

    def metric(self, name: str, **labels: str) -> float | None:
        return self.telemetry.registry.get_sample_value(f"heartbeat_store_{name}", labels)
