"""Rows for pages: how workers, probes and actions stand, as a test says."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from exporter.core.acting import ActionRow, Cause, Kind, Outcome, RunFailure
from exporter.core.model import (
    NOTHING,
    Reason,
    Row,
    Status,
    Transition,
    Wall,
    WorkerId,
)
from exporter.core.probing import Failure, History, ProbeRow, Result
from tests.support.fleets import facts

T0 = 1_700_000_000.0
"""2023-11-14 22:13:20 UTC."""

HEALTHY = (("db", "healthy"), ("mail", "healthy"))
Past = Sequence[tuple[float, Status | None, Reason]]
"""When, what came of it, and why."""

ALIVE = (Status.ALIVE, Reason.HEARTBEAT)
LOST = (Status.NOT_RESPONDING, Reason.TIMEOUT)
CUT_OFF = (Status.DISCONNECTED, Reason.CONNECTION_LOST)
STOPPED = (Status.NOT_RESPONDING, Reason.SHUTDOWN)
PENDING = (Status.REGISTERED, Reason.REGISTERED)


def transitions(past: Past, worker_id: str = "w1") -> tuple[Transition, ...]:
    """A worker's history; what was before the first is that there was no worker."""
    told = []
    before: Status | None = None
    for at, after, reason in past:
        told.append(Transition(WorkerId(worker_id), "W1", "default", before, after, reason, Wall(at)))
        before = after
    return tuple(told)


def worker(
    worker_id: str = "w1",
    standing: tuple[Status, Reason] = ALIVE,
    *,
    since: float = T0,
    about: dict[str, Any] | None = None,
    **changes: Any,
) -> Row:
    """A worker that last beat at `since`; `about` are facts, the rest fields of the row."""
    status, reason = standing
    given = {
        "facts": facts(worker_id, **(about or {})),
        "status": status,
        "reason": reason,
        "since": Wall(since),
        "last_seen": Wall(since),
        "last_heartbeat": Wall(since),
        "counted": NOTHING,
        "carried": NOTHING,
        "history": transitions([(since, status, reason)], worker_id),
        "clock_offset": None,
        "round_trip": None,
        "loop_lag": None,
        "checks": (),
    }
    return Row(**{**given, **changes})


def result(at: float = T0, failure: Failure | None = None, **changes: Any) -> Result:
    return Result(Wall(at), changes.pop("duration", 0.012), failure, **changes)


def probe(name: str = "shop", up: bool | None = True, *results: Result, **changes: Any) -> ProbeRow:
    """A probe with these results, oldest first; there is one unless it is not known."""
    found = results or (() if up is None else (result(failure=None if up else Failure.REFUSED),))
    history = History()
    for one in found:
        history = history.plus(one)
    failures = [one.failure for one in found]
    given = {
        "name": name,
        "kind": "http",
        "target": f"http://{name}.example.org/",
        "up": up,
        "since": None if up is None else Wall(T0),
        "last": found[-1] if found else None,
        "runs": len(found),
        "failures": tuple((failure, failures.count(failure)) for failure in Failure),
        "history": history,
    }
    return ProbeRow(**{**given, **changes})


CAUSE = Cause("shop", "refused", "10.0.0.1:80: Connection refused", Wall(T0 - 60))


def outcome(
    kind: Kind = Kind.DEMOTE, at: float = T0, failure: RunFailure | None = None, **more: Any
) -> Outcome:
    return Outcome(Wall(at), kind, CAUSE, 1.5, failure, **more)


def action(name: str = "nginx", **changes: Any) -> ActionRow:
    """An action that has never run, and of whose state nothing is known."""
    kinds = (Kind.PROMOTE, Kind.DEMOTE)
    given = {
        "name": name,
        "hooks": ((Kind.PROMOTE, "systemctl start nginx"), (Kind.DEMOTE, "systemctl stop nginx")),
        "dry_run": False,
        "state": None,
        "wanted": None,
        "cause": None,
        "running": None,
        "waiting": None,
        "runs": tuple((kind, 0) for kind in kinds),
        "failures": tuple(((kind, failure), 0) for kind in kinds for failure in RunFailure),
        "last": (),
    }
    return ActionRow(**{**given, **changes})
