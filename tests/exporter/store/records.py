"""Records for tests: one that is written out in full, many that are made, any that is possible."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from exporter.core.lifecycle import REASONS
from exporter.core.model import (
    DOWN_REASONS,
    Facts,
    Reason,
    Record,
    Status,
    Totals,
    Transition,
    Wall,
    WorkerId,
)
from tests.support.fleets import facts


def change(of: Facts, before: Status | None, after: Status | None, reason: Reason, at: float) -> Transition:
    return Transition(of.worker_id, of.name, of.group, before, after, reason, Wall(at))


def record(worker_id: str = "w1", *, heartbeats: int = 3, **said: Any) -> Record:
    """A worker that registered and beats."""
    of = facts(worker_id, **said)
    return Record(
        of,
        Status.ALIVE,
        Reason.HEARTBEAT,
        Wall(1_700_000_001.5),
        Wall(1_700_000_010.25),
        Wall(1_700_000_010.25),
        Totals(heartbeats, 1, 2, 8_750_000_000, ((Reason.TIMEOUT, 5_000_000_000),)),
        (
            change(of, None, Status.REGISTERED, Reason.REGISTERED, 1_700_000_000.0),
            change(of, Status.REGISTERED, Status.CONNECTED, Reason.CONNECTED, 1_700_000_001.0),
            change(of, Status.CONNECTED, Status.ALIVE, Reason.HEARTBEAT, 1_700_000_001.5),
        ),
    )


texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
times = st.floats(0, 253_402_300_799, allow_nan=False).map(Wall)
durations = st.floats(0, 86_400, exclude_min=True)
counts = st.integers(0, 2**63 - 1)
statuses = st.sampled_from(Status)
reasons = st.sampled_from(Reason)


@st.composite
def records(draw: st.DrawFn) -> Record:
    """Every record that there can be."""
    of = Facts(
        worker_id=WorkerId(draw(texts)),
        name=draw(texts),
        group=draw(texts),
        host=draw(texts),
        port=draw(st.integers(0, 65_535)),
        interval=draw(durations),
        timeout=draw(durations),
        boot_id=draw(st.none() | texts),
        started_at=draw(st.none() | st.floats(allow_nan=False, allow_infinity=False)),
        version=draw(texts),
        metrics_path=draw(st.none() | texts),
        metrics_scheme=draw(texts),
        labels=tuple(draw(st.dictionaries(texts, texts, max_size=8)).items()),
    )
    changes = st.builds(
        Transition,
        worker_id=st.just(of.worker_id),
        worker=st.just(of.name) | texts,
        group=st.just(of.group) | texts,
        before=st.none() | statuses,
        after=st.none() | statuses,
        reason=reasons,
        at=times,
    )
    down = st.dictionaries(st.sampled_from(DOWN_REASONS), counts).map(lambda spent: tuple(spent.items()))
    status = draw(statuses)
    return Record(
        of,
        status,
        draw(st.sampled_from(sorted(REASONS[status]))),
        draw(times),
        draw(times),
        draw(st.none() | times),
        draw(st.builds(Totals, counts, counts, counts, counts, down)),
        draw(st.lists(changes, max_size=20).map(tuple)),
    )
