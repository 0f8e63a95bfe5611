"""The stores under test, each with a back door: what is really in there, and how to damage it."""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Protocol

from redis import Redis

from exporter.store.base import Owner, Store
from exporter.store.redis import RedisStore
from exporter.store.sqlite import SQLiteStore

FIELDS = ("worker_id", "worker", "group", "from", "to", "reason", "at", "timestamp")


class Backend(Protocol):
    def store(self, name: str = "a") -> Store:
        """One more exporter's store, not opened."""

    def plant(self, records: dict[bytes, bytes]) -> None:
        """Put something among the workers by hand."""

    def workers(self) -> dict[bytes, bytes]: ...

    def quarantine(self) -> dict[bytes, bytes]: ...

    def transitions(self) -> list[dict[str, str]]: ...

    def plant_actions(self, states: dict[bytes, bytes]) -> None:
        """Put something among the states of actions by hand."""

    def actions(self) -> dict[bytes, bytes]: ...

    def wipe(self) -> None:
        """Lose everything, as a flush or an empty replacement does."""

    def copy(self) -> Callable[[], None]:
        """Take a copy; the result puts it back, as restoring a snapshot does."""


def owner(name: str) -> Owner:
    return Owner(f"host-{name}", 7, f"token-{name}")


class RedisBackend:
    def __init__(self, port: int) -> None:
        self._port = port

    @contextlib.contextmanager
    def _redis(self) -> Iterator[Redis]:
        with Redis(port=self._port) as redis:
            yield redis

    def store(self, name: str = "a") -> Store:
        return RedisStore(f"redis://127.0.0.1:{self._port}/0", owner(name))

    def plant(self, records: dict[bytes, bytes]) -> None:
        with self._redis() as redis:
            redis.hset("workers", mapping=records)

    def workers(self) -> dict[bytes, bytes]:
        with self._redis() as redis:
            return redis.hgetall("workers")

    def quarantine(self) -> dict[bytes, bytes]:
        with self._redis() as redis:
            return redis.hgetall("heartbeat:quarantine")

    def transitions(self) -> list[dict[str, str]]:
        with self._redis() as redis:
            entries = redis.xrange("heartbeat:transitions")
        return [{key.decode(): value.decode() for key, value in fields.items()} for _, fields in entries]

    def plant_actions(self, states: dict[bytes, bytes]) -> None:
        with self._redis() as redis:
            redis.hset("heartbeat:actions", mapping=states)

    def actions(self) -> dict[bytes, bytes]:
        with self._redis() as redis:
            return redis.hgetall("heartbeat:actions")

    def wipe(self) -> None:
        with self._redis() as redis:
            redis.flushall()

    def copy(self) -> Callable[[], None]:
        with self._redis() as redis:
            dumped = {key: redis.dump(key) for key in redis.scan_iter()}

        def put_back() -> None:
            with self._redis() as redis:
                redis.flushall()
                for key, value in dumped.items():
                    redis.restore(key, 0, value)

        return put_back


class SQLiteBackend:
    def __init__(self, path: Path) -> None:
        self._path = path

    @contextlib.contextmanager
    def _database(self, path: Path | None = None) -> Iterator[sqlite3.Connection]:
        with contextlib.closing(sqlite3.connect(path or self._path)) as connection, connection:
            yield connection

    def store(self, name: str = "a") -> Store:
        return SQLiteStore(self._path, owner(name))

    def plant(self, records: dict[bytes, bytes]) -> None:
        with self._database() as database:
            database.executemany(
                "INSERT OR REPLACE INTO workers VALUES (CAST(? AS TEXT), CAST(? AS TEXT))", records.items()
            )

    def workers(self) -> dict[bytes, bytes]:
        return self._pairs("workers")

    def quarantine(self) -> dict[bytes, bytes]:
        return self._pairs("quarantine")

    def _pairs(self, table: str) -> dict[bytes, bytes]:
        with self._database() as database:
            return dict(
                database.execute(f"SELECT CAST(worker_id AS BLOB), CAST(record AS BLOB) FROM {table}")
            )

    def transitions(self) -> list[dict[str, str]]:
        columns = ", ".join(f'"{field}"' for field in FIELDS)
        with self._database() as database:
            rows = database.execute(f"SELECT {columns} FROM transitions ORDER BY number").fetchall()
        return [dict(zip(FIELDS, map(str, row), strict=True)) for row in rows]

    def plant_actions(self, states: dict[bytes, bytes]) -> None:
        with self._database() as database:
            database.executemany(
                "INSERT OR REPLACE INTO actions VALUES (CAST(? AS TEXT), CAST(? AS TEXT))", states.items()
            )

    def actions(self) -> dict[bytes, bytes]:
        with self._database() as database:
            return dict(database.execute("SELECT CAST(name AS BLOB), CAST(state AS BLOB) FROM actions"))

    def wipe(self) -> None:
        self._path.unlink()

    def copy(self) -> Callable[[], None]:
        taken = self._path.with_name("copy.db")
        with self._database() as source, self._database(taken) as target:
            source.backup(target)
        return lambda: os.replace(taken, self._path)
