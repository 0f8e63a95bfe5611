"""The store in Redis (or Valkey): the default. docs/store.md describes its keys.

Whatever is written is written by a script: lease, marker and data in one round trip. So an exporter
that was frozen while another took over finds the lease gone in the same instant in which it would
have written. Nothing here is newer than Redis 7.0.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from typing import Any

from redis import exceptions
from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.connection import parse_url
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from exporter.core.acting import State
from exporter.core.model import Record
from exporter.store import action_codec, codec, scripts
from exporter.store.base import (
    BATCH,
    LEASE_SECONDS,
    TRANSITIONS_KEPT,
    Batch,
    Loaded,
    LoadedActions,
    Memory,
    Owner,
    Quarantined,
    Saved,
    StoreError,
    Unreadable,
    this_process,
)
from exporter.telemetry import Operation

WORKERS = "workers"
TRANSITIONS = "heartbeat:transitions"
QUARANTINE = "heartbeat:quarantine"
ACTIONS = "heartbeat:actions"
MARKER = "heartbeat:marker"
LEASE = "heartbeat:lease"

TYPES = {
    WORKERS: "hash",
    TRANSITIONS: "stream",
    QUARANTINE: "hash",
    ACTIONS: "hash",
    MARKER: "hash",
    LEASE: "string",
}

TIMEOUT = 2.0
"""Seconds for an answer. A lease outlives a few of these."""

_STEP = 50
"""Records decoded before others get the event loop: about a millisecond."""

_LEASE_MS = round(LEASE_SECONDS * 1000)


class RedisStore:
    """Records in the hash `workers`, one field for each worker.

    `url` is redis://, rediss:// or unix://; ValueError if it is not. Options in its query are
    redis-py's, as in `?ssl_ca_certs=...`.
    """

    def __init__(self, url: str, owner: Owner | None = None) -> None:
        given: dict[str, Any] = dict(parse_url(url))
        self.where = _where(given)
        self._owner = owner or this_process()
        self._lease = self._owner.to_json()
        self._encoder = codec.Encoder(self._owner.name)
        self._epoch = 0
        self._confirmed = 0  # the number of the last save that Redis confirmed, 0 before the first
        self._pool = BlockingConnectionPool(
            **{
                "socket_timeout": TIMEOUT,
                "socket_connect_timeout": TIMEOUT,
                "health_check_interval": 0,  # every operation is checked, and the journal has the patience
                **given,
                "max_connections": 2,
                "timeout": TIMEOUT,
                # A connection that Redis closed while it was idle is no outage; all else the journal sees.
                "retry": Retry(NoBackoff(), 1, (exceptions.ConnectionError,)),
                "protocol": 2,  # needs no HELLO, and nothing that version 3 adds is used
                "decode_responses": False,  # what cannot be read has to be put aside as it is
                "client_name": "heartbeat-exporter",
                "driver_info": None,  # or redis-py sends CLIENT SETINFO, which is of Redis 7.2
            }
        )
        self._redis = Redis(connection_pool=self._pool)

    async def open(self) -> None:
        """Redis may be away; only an address that makes no sense is an error."""
        try:
            self._pool.make_connection()
        except (TypeError, ValueError) as error:
            raise StoreError(
                self.where, Operation.LEASE, f"wrong address: {error}", permanent=True
            ) from error

    async def acquire(self) -> Owner | None:
        async with self._translated(Operation.LEASE):
            holder, self._epoch = await self._run(
                scripts.ACQUIRE, (LEASE, MARKER), self._lease, _LEASE_MS, self._epoch
            )
        self._encoder.stamp(self._epoch)
        return Owner.from_json(holder) if holder else None

    async def load(self) -> AsyncIterator[Loaded]:
        cursor = 0
        while True:
            async with self._translated(Operation.LOAD):
                cursor, found = await self._command("HSCAN", WORKERS, cursor, "COUNT", BATCH)
            texts = list(found.items())
            for start in range(0, len(texts), _STEP):
                yield await self._read(texts[start : start + _STEP])
                await asyncio.sleep(0)
            if cursor == 0:
                return

    async def _read(self, texts: list[tuple[bytes, bytes]]) -> Loaded:
        read = {field: codec.read(field, text) for field, text in texts}
        corrupt = {field: found for field, found in read.items() if isinstance(found, Quarantined)}
        records = tuple([found for found in read.values() if isinstance(found, Record)])
        if not corrupt:
            return Loaded(records)
        outcome = await self._quarantine(list(corrupt))
        return Loaded(records, tuple([Quarantined(who, why + outcome) for who, why in corrupt.values()]))

    async def _quarantine(self, fields: list[bytes]) -> str:
        """Put records aside. Where that fails they stay where they are, and the rest still loads."""
        try:
            async with self._translated(Operation.LOAD):
                await self._run(scripts.QUARANTINE, (WORKERS, QUARANTINE), *fields)
        except StoreError as error:
            return f" (not put aside: {error.problem})"
        return ""

    async def load_actions(self) -> LoadedActions:
        async with self._translated(Operation.LOAD):
            found = await self._command("HGETALL", ACTIONS)
        read = [action_codec.read(name, text) for name, text in found.items()]
        return LoadedActions(
            dict([one for one in read if not isinstance(one, Unreadable)]),
            tuple([one for one in read if isinstance(one, Unreadable)]),
        )

    async def save(self, batch: Batch) -> Saved:
        encode = self._encoder.encode
        arguments = (
            *(self._lease, _LEASE_MS, self._owner.token, self._epoch, self._confirmed, TRANSITIONS_KEPT),
            json.dumps(batch.forgotten),
            json.dumps([record.facts.worker_id for record in batch.records]),
            # One argument and not one each, because redis-py spends microseconds on every argument.
            "\n".join([encode(record) for record in batch.records]),
            json.dumps([codec.flat(transition) for transition in batch.transitions]),
            json.dumps([text for action in batch.actions for text in self._encoded_action(*action)]),
        )
        async with self._translated(batch.operation):
            holder, memory, number = await self._run(
                scripts.SAVE, (WORKERS, TRANSITIONS, MARKER, LEASE, ACTIONS), *arguments
            )
        if holder:
            ids = [record.facts.worker_id for record in batch.records]
            return Saved((*ids, *batch.forgotten), Owner.from_json(holder))
        self._confirmed = number
        self._encoder.forget(batch.forgotten)
        return Saved(memory=Memory(memory.decode()))

    def _encoded_action(self, name: str, state: State) -> tuple[str, str]:
        return name, action_codec.encode(name, state, self._owner.name, self._epoch)

    async def release(self) -> None:
        async with self._translated(Operation.LEASE):
            await self._run(scripts.RELEASE, (LEASE,), self._lease)

    async def close(self) -> None:
        with contextlib.suppress(exceptions.RedisError, OSError):
            await self._pool.aclose()

    async def _run(self, script: str, keys: tuple[str, ...], *arguments: str | bytes | int) -> Any:
        # The whole text each time: it is short beside a batch, and a Redis that restarted knows no hashes.
        return await self._command("EVAL", script, len(keys), *keys, *arguments)

    async def _command(self, *words: str | bytes | int) -> Any:
        return await self._redis.execute_command(*words)

    @contextlib.asynccontextmanager
    async def _translated(self, operation: Operation) -> AsyncIterator[None]:
        """The one place where errors of redis-py become ours."""
        try:
            yield
        except (exceptions.RedisError, OSError) as error:
            if "WRONGTYPE" in str(error):
                raise StoreError(self.where, operation, await self._wrong_types(), permanent=True) from error
            raise StoreError(self.where, operation, _problem(error), _is_permanent(error)) from error

    async def _wrong_types(self) -> str:
        """Which of our keys hold something else, for Redis does not say."""
        wrong = []
        with contextlib.suppress(exceptions.RedisError, OSError):
            for key, expected in TYPES.items():
                found = (await self._command("TYPE", key)).decode()
                if found not in ("none", expected):
                    wrong.append(f"key `{key}` holds a {found}, expected a {expected}")
        what = "; ".join(wrong) or "a key holds another type than expected"
        return f"{what}: something else uses this database; rename that key, or choose another REDIS_DB"


def _where(given: dict[str, Any]) -> str:
    database = given.get("db", 0)
    if "path" in given:
        return f"Redis at unix:{given['path']}, database {database}"
    host = given.get("host", "localhost")
    return f"Redis at {f'[{host}]' if ':' in host else host}:{given.get('port', 6379)}/{database}"


def _problem(error: Exception) -> str:
    match error:
        case exceptions.OutOfMemoryError():
            return "Redis is full (maxmemory is reached and nothing may be evicted)"
        case exceptions.TimeoutError() | TimeoutError():
            return f"no answer within {TIMEOUT:g} s"
        case exceptions.ReadOnlyError():
            return "it is a replica and takes no writes; name the primary, or wait for it to become one"
        case _:
            return str(error).rstrip(".") or type(error).__name__


def _is_permanent(error: Exception) -> bool:
    return isinstance(
        error,
        exceptions.AuthenticationError | exceptions.AuthorizationError | exceptions.NoPermissionError,
    )
