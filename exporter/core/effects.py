"""What a fleet asks the shell to do, or to know. Values only; `Fleet.effects` gives them out."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from .model import Connection, Transition, WorkerId


class Cause(StrEnum):
    """Why the exporter closes a socket."""

    REPLACED = "replaced"
    FORGOTTEN = "forgotten"


class Unusable(StrEnum):
    """Why a message, or a measurement in it, was left out of account."""

    STALE_CONNECTION = "stale_connection"
    LATENCY = "latency"


@dataclass(frozen=True, slots=True)
class Changed:
    """A status changed; tell everybody who wants to know."""

    transition: Transition


@dataclass(frozen=True, slots=True)
class Disconnect:
    """Close this socket; what it still says will be ignored."""

    connection: Connection
    cause: Cause


@dataclass(frozen=True, slots=True)
class Discarded:
    """Something was left out of account; count it."""

    why: Unusable


@dataclass(frozen=True, slots=True)
class Conflict:
    """Two processes claim to be the same worker; say so."""

    worker_id: WorkerId


Effect = Changed | Disconnect | Discarded | Conflict
