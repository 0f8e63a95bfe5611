"""A store in memory that fails when it is told to."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable

from exporter.core.acting import State
from exporter.core.model import Record, Transition, WorkerId
from exporter.store.base import (
    BATCH,
    Batch,
    Loaded,
    LoadedActions,
    Memory,
    Owner,
    Saved,
    StoreError,
    Unreadable,
)
from exporter.telemetry import Operation


class MemoryStore:
    """Keeps every promise of a store but durability; `away` makes each call fail as if nobody answered."""

    where = "memory"

    def __init__(self, records: Iterable[Record] = ()) -> None:
        self.records: dict[WorkerId, Record] = {record.facts.worker_id: record for record in records}
        self.transitions: list[Transition] = []
        self.actions: dict[str, State] = {}
        self.unreadable: tuple[Unreadable, ...] = ()
        self.away = False
        self.holder: Owner | None = None
        self.memory = Memory.WHOLE
        self.closed = False

    def _reach(self, operation: Operation) -> None:
        if self.away:
            raise StoreError(self.where, operation, "it does not answer")

    async def open(self) -> None:
        pass

    async def acquire(self) -> Owner | None:
        self._reach(Operation.LEASE)
        return self.holder

    async def load(self) -> AsyncIterator[Loaded]:
        self._reach(Operation.LOAD)
        records = list(self.records.values())
        for start in range(0, len(records), BATCH):
            yield Loaded(tuple(records[start : start + BATCH]))

    async def load_actions(self) -> LoadedActions:
        self._reach(Operation.LOAD)
        return LoadedActions(dict(self.actions), self.unreadable)

    async def save(self, batch: Batch) -> Saved:
        self._reach(Operation.SAVE)
        if self.holder is not None:
            return Saved(tuple(record.facts.worker_id for record in batch.records), self.holder)
        for record in batch.records:
            self.records[record.facts.worker_id] = record
        for worker_id in batch.forgotten:
            self.records.pop(worker_id, None)
        self.transitions += batch.transitions
        self.actions.update(batch.actions)
        memory, self.memory = self.memory, Memory.WHOLE
        return Saved(memory=memory)

    async def release(self) -> None:
        self._reach(Operation.LEASE)

    async def close(self) -> None:
        self.closed = True
