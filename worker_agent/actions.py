"""What goes into the heartbeat session and what comes out of it, as plain values."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from worker_agent.protocol import Checks


class Cause(StrEnum):
    """Why the client has to try again; also the `reason` of heartbeat_agent_reconnects_total."""

    UNREACHABLE = "unreachable"
    UNAVAILABLE = "unavailable"
    UNKNOWN_WORKER = "unknown_worker"
    REFUSED = "refused"
    CONNECTION_LOST = "connection_lost"
    NO_ANSWER = "no_answer"
    RESTART = "restart"
    REPLACED = "replaced"
    FORGOTTEN = "forgotten"


@dataclass(frozen=True)
class Registration:
    """In: where to connect and how often a heartbeat is expected (seconds), as the exporter said."""

    worker_id: str
    websocket_url: str
    heartbeat_interval: float
    heartbeat_timeout: float


@dataclass(frozen=True)
class Refusal:
    """In: an HTTP request or WebSocket handshake that failed; no `status`: nobody answered."""

    detail: str
    status: int | None = None
    retry_after: float | None = None
    """Seconds."""


class Readings(NamedTuple):
    """In: what the application is like at the moment. None: not known, nothing is said of it.

    `loop_lag` is seconds. `checks` are the health checks, an empty tuple when there are none any more.
    """

    loop_lag: float | None = None
    checks: Checks | None = None


NONE = Readings()


@dataclass(frozen=True)
class Register:
    """Out: post the registration, then call `registered` or `refused`."""


@dataclass(frozen=True)
class Dial:
    """Out: open a WebSocket, then call `opened` or `refused`, later `frame` and `closed`."""

    url: str


@dataclass(frozen=True)
class Send:
    """Out: write one text frame."""

    frame: str


@dataclass(frozen=True)
class HangUp:
    """Out: give up the WebSocket, or the attempt under way, and report nothing more of it."""


@dataclass(frozen=True)
class Retry:
    """Out, to be told people: it did not work; the next attempt is `delay` seconds away."""

    cause: Cause
    detail: str
    delay: float


@dataclass(frozen=True)
class Finished:
    """Out: all is said; nothing follows."""


Action = Register | Dial | Send | HangUp | Retry | Finished
