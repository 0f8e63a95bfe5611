"""What can happen to a fleet. Values only; `Fleet.receive` takes them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple, Protocol

from .model import Checks, Connection, Facts, Record, WorkerId


class Report(Protocol):
    """What a heartbeat may say, times in seconds; None where it said nothing."""

    @property
    def sent_at(self) -> float | None: ...
    @property
    def rtt(self) -> float | None: ...
    @property
    def clock_offset(self) -> float | None: ...
    @property
    def loop_lag(self) -> float | None: ...
    @property
    def checks(self) -> Checks | None: ...


@dataclass(frozen=True, slots=True)
class Register:
    """A worker introduced itself."""

    facts: Facts


@dataclass(frozen=True, slots=True)
class Connect:
    """A socket of a worker was accepted."""

    worker_id: WorkerId
    connection: Connection


class Beat(NamedTuple):
    """A heartbeat arrived. A tuple, because it is the one event that comes thousands of times a second."""

    worker_id: WorkerId
    connection: Connection
    report: Report


@dataclass(frozen=True, slots=True)
class Goodbye:
    """A worker ends on purpose; with `leave` it is not expected back."""

    worker_id: WorkerId
    connection: Connection
    leave: bool


@dataclass(frozen=True, slots=True)
class Close:
    """A socket is gone, for whatever reason but a goodbye."""

    worker_id: WorkerId
    connection: Connection


@dataclass(frozen=True, slots=True)
class Delete:
    """Somebody asked to forget a worker."""

    worker_id: WorkerId


@dataclass(frozen=True, slots=True)
class Restore:
    """A store remembers these workers. What the fleet knows already by itself stands.

    The same record may come again, as it does when a read is repeated. Give all of them before the
    store learns anything of this fleet, else it gives back what it was just told. Their status and
    reason must fit (`lifecycle.REASONS`).
    """

    records: tuple[Record, ...]


@dataclass(frozen=True, slots=True)
class Stall:
    """The exporter itself did nothing for `lag` nanoseconds: nobody may be judged for that time."""

    lag: int


Event = Register | Connect | Beat | Goodbye | Close | Delete | Restore | Stall
