"""What every store can do, and how it says that it cannot.

A store remembers workers, and the states of actions, across restarts. It does not judge and it keeps
no time: rules are in exporter/core, pace and patience in journal.py. Everything here is called from
one task, one call after the other.

    StoreError    a store could not do what it was asked (foreign errors are translated in each store)
    LeaseHeld     another exporter uses this store
"""

from __future__ import annotations

import json
import os
import secrets
import socket
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple, Protocol

from exporter.core.acting import State
from exporter.core.model import Record, Transition, WorkerId
from exporter.telemetry import Operation

BATCH = 200
"""The most records, forgotten ids, transitions and actions, each, in one call of `save` or step of `load`."""

LEASE_SECONDS = 10.0
"""How long a lease outlives its last extension where no kernel notices the death of its holder."""

TRANSITIONS_KEPT = 10_000
"""About how many transitions a store keeps, the newest."""


class Owner(NamedTuple):
    """One process of an exporter: who it is for people, and a token that no other process has."""

    host: str
    pid: int
    token: str

    def __str__(self) -> str:
        return f"pid {self.pid} on {self.host}"

    @property
    def name(self) -> str:
        """What records say of who wrote them."""
        return f"{self.host}:{self.pid}"

    def to_json(self) -> str:
        return json.dumps(self._asdict())

    @classmethod
    def from_json(cls, text: bytes) -> Owner:
        """Read a lease; one that cannot be read still has a holder, and the text is all we know of it."""
        try:
            data = json.loads(text)
            return cls(str(data["host"]), int(data["pid"]), str(data["token"]))
        except (ValueError, LookupError, TypeError, RecursionError):
            return cls(f"an unknown host, its lease being {text[:80]!r}", 0, "")


def this_process() -> Owner:
    return Owner(socket.gethostname(), os.getpid(), secrets.token_hex(8))


@dataclass(eq=False)  # compared and hashed by identity, as exceptions are
class StoreError(Exception):
    """A store could not do what it was asked.

    `permanent` means that trying again helps only after somebody changed something: a key of the
    wrong type, a wrong password, a path that cannot be written.
    """

    where: str
    operation: Operation
    problem: str
    permanent: bool = False

    def __str__(self) -> str:
        return f"{self.where} {_ATTEMPTS[self.operation]}: {self.problem}"


_ATTEMPTS = {
    Operation.LOAD: "cannot give back the workers",
    Operation.SAVE: "cannot take workers",
    Operation.FORGET: "cannot forget workers",
    Operation.LEASE: "cannot be opened or claimed",
}


@dataclass(eq=False)  # compared and hashed by identity, as exceptions are
class LeaseHeld(Exception):
    """Another exporter uses this store, and there is one exporter per store."""

    where: str
    holder: Owner

    def __str__(self) -> str:
        return (
            f"{self.where} is in use by another exporter ({self.holder}), and a store serves one only:"
            " stop that one, or give this one a store of its own (REDIS_DB, REDIS_URL or SQLITE_PATH)"
        )


class Batch(NamedTuple):
    """What is written in one go: each part at most `BATCH` long, no id both recorded and forgotten."""

    records: Sequence[Record] = ()
    forgotten: Sequence[WorkerId] = ()
    transitions: Sequence[Transition] = ()
    actions: Sequence[tuple[str, State]] = ()

    @property
    def operation(self) -> Operation:
        """What has failed if this could not be written; an empty batch extends the lease."""
        if self.records or self.transitions or self.actions:
            return Operation.SAVE
        return Operation.FORGET if self.forgotten else Operation.LEASE


class Memory(StrEnum):
    """What a store turned out to remember of this exporter's earlier writes."""

    WHOLE = "whole"
    """Everything that it acknowledged."""

    BEHIND = "behind"
    """Only older ones: it came back from a snapshot, or a replica that lagged took over."""

    NOTHING = "nothing"
    """None: it was flushed, or replaced by one that is empty or another's."""


class Saved(NamedTuple):
    """What became of a batch.

    `refused` are the ids that were not written because they are another exporter's, `holder` who that
    is. With one exporter per store that is all of them, when the lease is held by somebody else.
    """

    refused: tuple[WorkerId, ...] = ()
    holder: Owner | None = None
    memory: Memory = Memory.WHOLE


class Quarantined(NamedTuple):
    """A record that cannot be read was put aside; `why` says what is wrong with it."""

    worker_id: str
    why: str


class Loaded(NamedTuple):
    """A step of loading: at most `BATCH` records. The same worker may come more than once."""

    records: tuple[Record, ...]
    quarantined: tuple[Quarantined, ...] = ()


class Unreadable(NamedTuple):
    """The state of an action that cannot be read; it is as good as none, and will be overwritten."""

    action: str
    why: str


class LoadedActions(NamedTuple):
    states: Mapping[str, State]
    unreadable: tuple[Unreadable, ...] = ()


class Store(Protocol):
    """Every method but `close` may raise StoreError, and none another error."""

    @property
    def where(self) -> str:
        """For messages, as in "Redis at localhost:6379/0"; never with a password."""

    async def open(self) -> None:
        """Get ready. An error here is one that the user has to mend."""

    async def acquire(self) -> Owner | None:
        """Take the lease, or extend it; None if it is ours now, else who holds it."""

    def load(self) -> AsyncIterator[Loaded]:
        """All records, in steps short enough for the event loop; what cannot be read is put aside."""

    async def load_actions(self) -> LoadedActions:
        """The states of all actions that were ever saved, by name."""

    async def save(self, batch: Batch) -> Saved:
        """Write a batch in one round trip and extend the lease with it.

        All or nothing as far as this exporter may write. A call that failed may have been carried
        out: repeating records, states and forgotten ids does no harm, transitions may then be kept twice.
        """

    async def release(self) -> None:
        """Give the lease back, if it is ours."""

    async def close(self) -> None:
        """Let go of connections, threads and files. Never raises."""
