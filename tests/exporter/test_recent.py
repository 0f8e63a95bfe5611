"""The latest transitions of all workers."""

from __future__ import annotations

from exporter.core.effects import Changed, Conflict
from exporter.core.model import Reason, Status, Transition, Wall, WorkerId
from exporter.recent import KEPT, RecentTransitions
from tests.exporter.store.records import record


def change(at: float) -> Transition:
    return Transition(
        WorkerId("w"), "W", "default", Status.CONNECTED, Status.ALIVE, Reason.HEARTBEAT, Wall(at)
    )


def times(recent: RecentTransitions, limit: int = KEPT) -> list[float]:
    return [transition.at for transition in recent.newest(limit)]


def test_newest_first() -> None:
    """At most as many as asked for; effects that change no status are passed over."""
    recent = RecentTransitions()
    for at in (1.0, 2.0, 3.0):
        recent(Changed(change(at)))
        recent(Conflict(WorkerId("w")))
    assert times(recent) == [3.0, 2.0, 1.0]
    assert times(recent, 2) == [3.0, 2.0]


def test_the_oldest_make_room() -> None:
    """Memory does not grow with the age of the exporter."""
    recent = RecentTransitions()
    for at in range(KEPT + 5):
        recent(Changed(change(float(at))))
    assert times(recent, KEPT + 5) == [float(at) for at in range(KEPT + 4, 4, -1)]


def test_what_a_store_remembers_takes_its_place_in_time() -> None:
    """A store that comes late has changes from before and, of workers that moved, from between."""
    recent = RecentTransitions()
    for at in (1_700_000_000.5, 1_700_000_002.0):
        recent(Changed(change(at)))
    recent.restore([record()])
    assert times(recent) == [
        1_700_000_002.0,
        1_700_000_001.5,
        1_700_000_001.0,
        1_700_000_000.5,
        1_700_000_000.0,
    ]


def test_a_large_store_does_not_push_out_what_happened_since() -> None:
    """Of more than there is room for, the newest stay."""
    recent = RecentTransitions()
    recent(Changed(change(1_800_000_000.0)))
    recent.restore(record(f"w{number}") for number in range(KEPT))
    kept = times(recent, 2 * KEPT)
    assert (len(kept), kept[0]) == (KEPT, 1_800_000_000.0)
    assert kept == sorted(kept, reverse=True)
