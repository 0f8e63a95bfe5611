"""A fleet, a clock that jumps, and short words for what happens to it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from exporter.core.effects import Changed, Conflict, Discarded, Disconnect, Effect
from exporter.core.events import (
    Beat,
    Close,
    Connect,
    Delete,
    Event,
    Goodbye,
    Register,
    Restore,
    Stall,
)
from exporter.core.fleet import Fleet, Rules
from exporter.core.groups import GroupRow
from exporter.core.model import (
    NOTHING,
    SECOND,
    Checks,
    Connection,
    Facts,
    Mono,
    Reason,
    Record,
    Row,
    Status,
    Totals,
    Transition,
    Wall,
    WorkerId,
)
from tests.support.clock import FakeClock


@dataclass(frozen=True)
class Report:
    """What a heartbeat says, times in seconds."""

    sent_at: float | None = None
    rtt: float | None = None
    clock_offset: float | None = None
    loop_lag: float | None = None
    checks: Checks | None = None


def facts(worker_id: str = "w", **told: Any) -> Facts:
    """A worker that beats every second and is missed after three; its name is its id in capitals."""
    defaults: dict[str, Any] = {
        "name": worker_id.upper(),
        "group": "g",
        "host": "host",
        "port": 8001,
        "interval": 1.0,
        "timeout": 3.0,
    }
    return Facts(worker_id=WorkerId(worker_id), **(defaults | told))


def record(
    status: Status,
    reason: Reason,
    *,
    seen: float,
    since: float | None = None,
    totals: Totals = NOTHING,
    history: tuple[Transition, ...] = (),
    **told: Any,
) -> Record:
    """What a store remembers of a worker last seen at the wall time `seen`."""
    at = Wall(seen if since is None else since)
    return Record(facts(**told), status, reason, at, Wall(seen), Wall(seen), totals, history)


class Scene:
    """Each word for an event returns the effects, as lines of text; `wait` judges nobody."""

    def __init__(self, **rules: int) -> None:
        self.fleet = Fleet(Rules(**rules))
        self.clock = FakeClock()

    # In

    def happen(self, event: Event) -> list[str]:
        self.fleet.receive(event, self.clock.now())
        return told(self.fleet.effects())

    def register(self, worker_id: str = "w", **about: Any) -> list[str]:
        return self.happen(Register(facts(worker_id, **about)))

    def connect(self, connection: int = 1, worker_id: str = "w") -> list[str]:
        return self.happen(Connect(WorkerId(worker_id), Connection(connection)))

    def beat(self, connection: int = 1, worker_id: str = "w", **report: Any) -> list[str]:
        return self.happen(Beat(WorkerId(worker_id), Connection(connection), Report(**report)))

    def goodbye(self, connection: int = 1, worker_id: str = "w", *, leave: bool = False) -> list[str]:
        return self.happen(Goodbye(WorkerId(worker_id), Connection(connection), leave))

    def close(self, connection: int = 1, worker_id: str = "w") -> list[str]:
        return self.happen(Close(WorkerId(worker_id), Connection(connection)))

    def delete(self, worker_id: str = "w") -> list[str]:
        return self.happen(Delete(WorkerId(worker_id)))

    def restore(self, *records: Record) -> list[str]:
        return self.happen(Restore(records))

    def alive(self, worker_id: str = "w", connection: int = 1, **about: Any) -> None:
        """Register, connect and beat."""
        self.register(worker_id, **about)
        self.connect(connection, worker_id)
        self.beat(connection, worker_id)

    def wait(self, seconds: float) -> None:
        self.clock.move(seconds)

    def after(self, seconds: float) -> list[str]:
        """Let time pass, then judge until nobody is left to judge."""
        self.clock.move(seconds)
        while self.fleet.advance(self.clock.now()):
            pass
        return told(self.fleet.effects())

    def stall(self, seconds: float) -> list[str]:
        """Let time pass in which the exporter does nothing, and let it notice."""
        self.clock.move(seconds)
        return self.happen(Stall(round(seconds * SECOND)))

    # Out

    def row(self, worker_id: str = "w") -> Row:
        [row] = self.fleet.rows([WorkerId(worker_id)], self.clock.now())
        return row

    def group(self, name: str = "g") -> GroupRow:
        [group] = self.fleet.groups([name])
        return group

    def state(self, worker_id: str = "w") -> str:
        row = self.row(worker_id)
        return f"{row.status}, {row.reason}"

    @property
    def wall(self) -> Wall:
        return self.clock.now().wall

    @property
    def mono(self) -> Mono:
        return self.clock.now().mono


def told(effects: list[Effect]) -> list[str]:
    return [line(effect) for effect in effects]


def line(effect: Effect) -> str:
    match effect:
        case Changed(transition):
            change = f"{transition.from_name} -> {transition.to_name}"
            return f"{transition.worker_id}: {change}, {transition.reason}"
        case Disconnect(connection, cause):
            return f"close {connection}: {cause}"
        case Discarded(why):
            return f"discarded: {why}"
        case Conflict(worker_id):
            return f"conflict: {worker_id}"
