"""The SQLite file: its tables and every statement that touches them. Blocking; see sqlite.py.

Write-ahead logging with `synchronous = NORMAL`: a commit is in the operating system's hands before
it is answered, so killing this process loses nothing. A power cut may lose the last commits, never
the file; waiting for the disk on each commit would cost a registration some 10 ms.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from exporter.store.base import TRANSITIONS_KEPT, Memory

PATIENCE = 2.0
"""Seconds to wait while somebody else, such as a backup, locks the file."""

APPLICATION = 0x48_62_45_78  # "HbEx", so that `file` and we can tell our databases from others
LAYOUT = 1

_TABLES = """
CREATE TABLE IF NOT EXISTS workers (worker_id TEXT PRIMARY KEY, record TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS quarantine (worker_id TEXT PRIMARY KEY, record TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS transitions (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    worker_id TEXT, worker TEXT, "group" TEXT, "from" TEXT, "to" TEXT, reason TEXT, at TEXT, timestamp REAL
);
CREATE TABLE IF NOT EXISTS actions (name TEXT PRIMARY KEY, state TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS marker (
    id INTEGER PRIMARY KEY CHECK (id = 1), owner TEXT, epoch INTEGER NOT NULL, saves INTEGER NOT NULL
);
INSERT OR IGNORE INTO marker VALUES (1, NULL, 0, 0);
"""


class NotOurs(Exception):
    """The file is a database, but not one that this program may write to."""


class Database:
    """Opens the file when it is first needed, and again when it was replaced.

    All methods may raise sqlite3.Error, OSError and NotOurs, and have changed nothing then.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._connection: sqlite3.Connection | None = None
        self._inode: os.stat_result | None = None

    def open(self) -> None:
        """Be sure that the file is there and can be written. Cheap when it is open already."""
        with self._transaction():
            pass

    def next_epoch(self, known: int) -> int:
        """Count one more change of hands; above `known` too, should the file be an older copy."""
        with self._transaction() as run:
            [(last,)] = run.execute("SELECT epoch FROM marker")
            epoch: int = max(last, known) + 1
            run.execute("UPDATE marker SET epoch = ?", (epoch,))
        return epoch

    def page(self, after: int, limit: int) -> list[tuple[int, bytes, bytes]]:
        """Row number, id and record of the workers that follow, whatever somebody put there."""
        query = (
            "SELECT rowid, CAST(worker_id AS BLOB), CAST(record AS BLOB) FROM workers"
            " WHERE rowid > ? ORDER BY rowid LIMIT ?"
        )
        return self._connected().execute(query, (after, limit)).fetchall()

    def quarantine(self, rows: Iterable[int]) -> None:
        with self._transaction() as run:
            for row in rows:
                run.execute(
                    "INSERT OR REPLACE INTO quarantine SELECT worker_id, record FROM workers WHERE rowid = ?",
                    (row,),
                )
                run.execute("DELETE FROM workers WHERE rowid = ?", (row,))

    def actions(self) -> list[tuple[bytes, bytes]]:
        """Name and state of every action, whatever somebody put there."""
        query = "SELECT CAST(name AS BLOB), CAST(state AS BLOB) FROM actions ORDER BY rowid"
        return self._connected().execute(query).fetchall()

    def save(
        self,
        token: str,
        epoch: int,
        confirmed: int,
        forgotten: Sequence[tuple[str]],
        records: Sequence[tuple[str, str]],
        transitions: Sequence[tuple[str, ...]],
        actions: Sequence[tuple[str, str]],
    ) -> tuple[Memory, int]:
        """What the file remembers of our saves, `confirmed` of them so far, and the number of this one."""
        with self._transaction() as run:
            [(owner, saves)] = run.execute("SELECT CAST(owner AS BLOB), saves FROM marker")
            ours = owner == token.encode()
            memory = Memory.WHOLE
            if confirmed > 0 and not (ours and saves >= confirmed):
                memory = Memory.BEHIND if ours else Memory.NOTHING
            number = max(saves if ours else 0, confirmed) + 1
            run.execute("UPDATE marker SET owner = ?, epoch = ?, saves = ?", (token, epoch, number))
            run.executemany("DELETE FROM workers WHERE worker_id = ?", forgotten)
            run.executemany(
                "INSERT INTO workers VALUES (?, ?)"
                " ON CONFLICT (worker_id) DO UPDATE SET record = excluded.record",
                records,
            )
            run.executemany(
                "INSERT INTO actions VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET state = excluded.state",
                actions,
            )
            if transitions:
                run.executemany("INSERT INTO transitions VALUES (NULL, ?, ?, ?, ?, ?, ?, ?, ?)", transitions)
                run.execute(
                    "DELETE FROM transitions WHERE number <= (SELECT max(number) FROM transitions) - ?",
                    (TRANSITIONS_KEPT,),
                )
        return memory, number

    def close(self) -> None:
        if self._connection is not None:
            connection, self._connection = self._connection, None
            connection.close()

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        connection = self._connected()
        try:
            connection.execute("BEGIN IMMEDIATE")
            yield connection
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:  # some errors end it by themselves
                connection.execute("ROLLBACK")
            raise

    def _connected(self) -> sqlite3.Connection:
        if self._connection is not None and self._replaced():
            self.close()
            # The log that we leave behind belongs to the old file; played into another it would spoil it.
            for leftover in ("-wal", "-shm"):
                Path(f"{self._path}{leftover}").unlink(missing_ok=True)
        if self._connection is None:
            self._connection = self._connect()
            self._inode = self._path.stat()
        return self._connection

    def _replaced(self) -> bool:
        """Somebody deleted or exchanged the file: what we write to the old one, nobody will ever see."""
        try:
            return self._inode is None or not os.path.samestat(self._inode, self._path.stat())
        except FileNotFoundError:
            return True

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self._path, timeout=PATIENCE, isolation_level=None)
        try:
            connection.text_factory = bytes  # what is no UTF-8 is put aside, not an error of the query
            self._claim(connection)
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = NORMAL")
        except BaseException:
            connection.close()
            raise
        return connection

    def _claim(self, connection: sqlite3.Connection) -> None:
        [(application,)] = connection.execute("PRAGMA application_id")
        [(layout,)] = connection.execute("PRAGMA user_version")
        [(tables,)] = connection.execute("SELECT count(*) FROM sqlite_master")
        if application != APPLICATION and tables:
            raise NotOurs("it is the database of another program")
        if layout > LAYOUT:
            raise NotOurs(f"a newer version of this program made it (layout {layout}, this one has {LAYOUT})")
        connection.executescript(
            f"BEGIN IMMEDIATE; PRAGMA application_id = {APPLICATION}; PRAGMA user_version = {LAYOUT};"
            f"{_TABLES} COMMIT;"
        )
