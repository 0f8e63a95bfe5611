"""What a worker is, in values: identifiers, times, statuses, reasons, facts, rows and records."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple, NewType

WorkerId = NewType("WorkerId", str)

Connection = NewType("Connection", int)
"""The number of an accepted socket: never used twice, so that late news of an old one is recognised."""

Mono = NewType("Mono", int)
"""An instant of the exporter's monotonic clock, in nanoseconds. Only these judge."""

Wall = NewType("Wall", float)
"""An instant in Unix seconds by the exporter's clock. These are stored and shown, never compared."""

SECOND = 1_000_000_000
"""Nanoseconds."""


class Now(NamedTuple):
    """One reading of both clocks, taken once per decision."""

    mono: Mono
    wall: Wall


class Status(StrEnum):
    REGISTERED = "registered"
    CONNECTED = "connected"
    ALIVE = "alive"
    DISCONNECTED = "disconnected"
    NOT_RESPONDING = "not_responding"


UP = frozenset({Status.ALIVE})
DOWN = frozenset({Status.DISCONNECTED, Status.NOT_RESPONDING})
"""Neither up nor down are registered and connected: they are pending."""


class Reason(StrEnum):
    """Why a status changed. A closed list: every change has exactly one."""

    NEVER_CONNECTED = "never_connected"
    TIMEOUT = "timeout"
    CONNECTION_LOST = "connection_lost"
    SHUTDOWN = "shutdown"
    REGISTERED = "registered"
    CONNECTED = "connected"
    HEARTBEAT = "heartbeat"
    RESTART = "restart"
    LEAVE = "leave"
    DELETED = "deleted"
    EXPIRED = "expired"
    EVICTED = "evicted"


BEFORE_NEW, AFTER_FORGOTTEN = "none", "forgotten"
"""What stands for the status that a worker does not have yet, or no longer, where changes are named."""

DOWN_REASONS = (Reason.NEVER_CONNECTED, Reason.TIMEOUT, Reason.CONNECTION_LOST, Reason.SHUTDOWN)


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What a worker says of itself when it registers. Replaced as a whole, never changed.

    `interval` and `timeout` are seconds and already settled: no default is applied later.
    """

    worker_id: WorkerId
    name: str
    group: str
    host: str
    port: int
    interval: float
    timeout: float
    boot_id: str | None = None
    started_at: float | None = None
    version: str = ""
    metrics_path: str | None = None
    metrics_scheme: str = "http"
    labels: tuple[tuple[str, str], ...] = ()


Checks = tuple[tuple[str, str], ...]
"""What a worker's health checks found, as it said: names with states, in the order of the names."""


class Transition(NamedTuple):
    """One change of status. `before` is None for a new worker, `after` for a forgotten one."""

    worker_id: WorkerId
    worker: str
    group: str
    before: Status | None
    after: Status | None
    reason: Reason
    at: Wall

    @property
    def from_name(self) -> str:
        return self.before or BEFORE_NEW

    @property
    def to_name(self) -> str:
        return self.after or AFTER_FORGOTTEN


class Totals(NamedTuple):
    """What is counted per worker. Times in nanoseconds, `down` by reason in the order of going down."""

    heartbeats: int = 0
    missed: int = 0
    restarts: int = 0
    up: int = 0
    down: tuple[tuple[Reason, int], ...] = ()

    def plus(self, other: Totals) -> Totals:
        down = dict(self.down)
        for reason, time in other.down:
            down[reason] = down.get(reason, 0) + time
        return Totals(
            self.heartbeats + other.heartbeats,
            self.missed + other.missed,
            self.restarts + other.restarts,
            self.up + other.up,
            tuple(down.items()),
        )


NOTHING = Totals()


class Record(NamedTuple):
    """What a store remembers of a worker, and gives back after a restart."""

    facts: Facts
    status: Status
    reason: Reason
    since: Wall
    last_seen: Wall
    last_heartbeat: Wall | None
    totals: Totals
    history: tuple[Transition, ...]


class Row(NamedTuple):
    """A worker at one instant, for metrics, API, page and store. Immutable: safe to keep and to share.

    `counted` counts since this process started, `carried` is what earlier ones had counted; `reason`
    is that of the last change. `clock_offset`, `round_trip` and `loop_lag` are seconds or None, and
    `checks` are empty unless the worker is up and has some.
    """

    facts: Facts
    status: Status
    reason: Reason
    since: Wall
    last_seen: Wall
    last_heartbeat: Wall | None
    counted: Totals
    carried: Totals
    history: tuple[Transition, ...]
    clock_offset: float | None
    round_trip: float | None
    loop_lag: float | None
    checks: Checks

    @property
    def up(self) -> bool:
        return self.status in UP

    @property
    def down_reason(self) -> Reason | None:
        return self.reason if self.status in DOWN else None

    def record(self) -> Record:
        return Record(
            self.facts,
            self.status,
            self.reason,
            self.since,
            self.last_seen,
            self.last_heartbeat,
            self.carried.plus(self.counted),
            self.history,
        )


HISTORY = 20
"""How many transitions are kept with a worker."""


class Worker:
    """The working state of one worker. Lives and stays inside `Fleet`; everybody else gets a `Row`.

    Mutable on purpose: a heartbeat changes six fields, and a frozen record costs six times as much.
    """

    __slots__ = (
        "carried",
        "checks",
        "clock_offset",
        "connection",
        "deadline",
        "down",
        "entered",
        "facts",
        "heartbeats",
        "history",
        "interval",
        "last_beat",
        "last_heartbeat",
        "last_seen",
        "loop_lag",
        "missed",
        "offset_at",
        "reason",
        "remembered",
        "restarts",
        "round_trip",
        "seen",
        "since",
        "status",
        "timeout",
        "up",
    )

    def __init__(self, facts: Facts, status: Status, reason: Reason, now: Now) -> None:
        self.status = status
        self.reason = reason
        self.since = now.wall
        self.entered = now.mono  # up to here the time in this status is counted
        self.seen = now.mono  # the last sign of life, from which retention counts
        self.last_seen = now.wall
        self.last_heartbeat: Wall | None = None
        self.last_beat: Mono | None = None  # of this boot, in time that the exporter was awake
        self.deadline = now.mono  # as set, without what stalls added
        self.connection: Connection | None = None
        self.heartbeats = 0
        self.missed = 0
        self.restarts = 0
        self.up = 0
        self.down: dict[Reason, int] = {}
        self.carried = NOTHING
        self.remembered = False  # whether what a store remembers is in here
        self.history: tuple[Transition, ...] = ()
        # As told last on the connection. A worker that was only late goes on without telling them again.
        self.checks: Checks = ()
        self.forget_measurements()
        self.learn(facts)

    def learn(self, facts: Facts) -> None:
        self.facts = facts
        self.interval = round(facts.interval * SECOND)
        self.timeout = round(facts.timeout * SECOND)

    def forget_measurements(self) -> None:
        """What a worker measured is true of a living worker only."""
        self.clock_offset: float | None = None
        self.offset_at: Mono | None = None
        self.round_trip: float | None = None
        self.loop_lag: float | None = None

    def settle_time(self, now: Now) -> None:
        """Add the time since the last call to what the present status counts."""
        elapsed = now.mono - self.entered
        self.entered = now.mono
        if self.status in UP:
            self.up += elapsed
        elif self.status in DOWN:
            self.down[self.reason] = self.down.get(self.reason, 0) + elapsed

    def row(self, now: Now) -> Row:
        self.settle_time(now)
        down = tuple(self.down.items()) if self.down else ()
        return Row(
            self.facts,
            self.status,
            self.reason,
            self.since,
            self.last_seen,
            self.last_heartbeat,
            Totals(self.heartbeats, self.missed, self.restarts, self.up, down),
            self.carried,
            self.history,
            self.clock_offset,
            self.round_trip,
            self.loop_lag,
            self.checks if self.status in UP else (),
        )
