"""The store in a file: one machine, no server. docs/store.md describes its tables.

SQLite blocks, so it has a thread of its own: one, so that calls stay in order.
"""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from collections.abc import AsyncIterator, Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from exporter.core.model import Record, WorkerId
from exporter.store import action_codec, codec
from exporter.store.base import (
    Batch,
    Loaded,
    LoadedActions,
    Owner,
    Quarantined,
    Saved,
    StoreError,
    Unreadable,
    this_process,
)
from exporter.store.database import Database, NotOurs
from exporter.store.lockfile import LockFile
from exporter.telemetry import Operation

T = TypeVar("T")

_STEP = 100
"""Records read and decoded at a time, in the thread: the event loop competes for Python meanwhile."""

_PERMANENT = {"SQLITE_NOTADB", "SQLITE_CORRUPT", "SQLITE_READONLY", "SQLITE_CANTOPEN", "SQLITE_ERROR"}


class SQLiteStore:
    """Records in the table `workers` of a file, which is made if its directory exists."""

    def __init__(self, path: Path | str, owner: Owner | None = None) -> None:
        self._path = Path(path)
        self.where = f"SQLite file {self._path}"
        self._owner = owner or this_process()
        self._encoder = codec.Encoder(self._owner.name)
        self._epoch = 0
        self._confirmed = 0  # the number of the last save, 0 before the first
        self._database = Database(self._path)
        self._lock = LockFile(self._path.with_name(self._path.name + ".lock"), self._owner)
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="sqlite")

    async def open(self) -> None:
        await self._call(Operation.LEASE, self._database.open)

    async def acquire(self) -> Owner | None:
        return await self._call(Operation.LEASE, self._acquire)

    def _acquire(self) -> Owner | None:
        newly = not self._lock.held()
        if (holder := self._lock.acquire()) is not None:
            return holder
        if newly:
            try:
                self._epoch = self._database.next_epoch(self._epoch)
            except BaseException:
                self._lock.release()
                raise
            self._encoder.stamp(self._epoch)
        return None

    async def load(self) -> AsyncIterator[Loaded]:
        after = 0
        while True:
            loaded, after = await self._call(Operation.LOAD, self._load, after)
            if after == 0:
                return
            yield loaded

    def _load(self, after: int) -> tuple[Loaded, int]:
        """The records after that row, and the last row of them; 0 when there are none."""
        page = self._database.page(after, _STEP)
        read = {row: codec.read(worker_id, text) for row, worker_id, text in page}
        corrupt = {row: found for row, found in read.items() if isinstance(found, Quarantined)}
        records = tuple([found for found in read.values() if isinstance(found, Record)])
        outcome = self._quarantine(corrupt) if corrupt else ""
        quarantined = [Quarantined(who, why + outcome) for who, why in corrupt.values()]
        return Loaded(records, tuple(quarantined)), page[-1][0] if page else 0

    def _quarantine(self, rows: Iterable[int]) -> str:
        """Put records aside. Where that fails they stay where they are, and the rest still loads."""
        try:
            self._database.quarantine(rows)
        except (sqlite3.Error, OSError) as error:
            return f" (not put aside: {_problem(error)})"
        return ""

    async def load_actions(self) -> LoadedActions:
        found = await self._call(Operation.LOAD, self._database.actions)
        read = [action_codec.read(name, text) for name, text in found]
        return LoadedActions(
            dict([one for one in read if not isinstance(one, Unreadable)]),
            tuple([one for one in read if isinstance(one, Unreadable)]),
        )

    async def save(self, batch: Batch) -> Saved:
        encode = self._encoder.encode
        records = [(record.facts.worker_id, encode(record)) for record in batch.records]
        saved = await self._call(batch.operation, self._save, batch, records)
        self._encoder.forget(batch.forgotten)
        return saved

    def _save(self, batch: Batch, records: list[tuple[WorkerId, str]]) -> Saved:
        if (holder := self._acquire()) is not None:
            return Saved((*(worker_id for worker_id, _ in records), *batch.forgotten), holder)
        memory, self._confirmed = self._database.save(
            self._owner.token,
            self._epoch,
            self._confirmed,
            [(worker_id,) for worker_id in batch.forgotten],
            records,
            [codec.flat(transition) for transition in batch.transitions],
            [
                (name, action_codec.encode(name, state, self._owner.name, self._epoch))
                for name, state in batch.actions
            ],
        )
        return Saved(memory=memory)

    async def release(self) -> None:
        await self._call(Operation.LEASE, self._lock.release)

    async def close(self) -> None:
        # A thread that was shut down takes nothing any more, and there is nothing left to close.
        with contextlib.suppress(StoreError, RuntimeError):
            await self._call(Operation.LEASE, self._close)
        self._thread.shutdown()

    def _close(self) -> None:
        self._lock.release()
        self._database.close()

    async def _call(self, operation: Operation, function: Callable[..., T], *arguments: object) -> T:
        """Run in the thread. The one place where errors of sqlite3 and the system become ours."""
        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, function, *arguments)
        except (sqlite3.Error, OSError, NotOurs) as error:
            raise StoreError(self.where, operation, _problem(error), _is_permanent(error)) from error


def _problem(error: Exception) -> str:
    match error:
        case sqlite3.Error(sqlite_errorname="SQLITE_CANTOPEN"):
            return "it cannot be opened or made; is its directory there, and writable by this user?"
        case sqlite3.Error(sqlite_errorname="SQLITE_NOTADB"):
            return "it is not a database; choose another SQLITE_PATH, or move the file away"
        case OSError():
            return f"{error.strerror}: {error.filename}" if error.filename else str(error)
        case _:
            return str(error)


def _is_permanent(error: Exception) -> bool:
    match error:
        case sqlite3.Error():
            return getattr(error, "sqlite_errorname", None) in _PERMANENT
        case _:
            return True
