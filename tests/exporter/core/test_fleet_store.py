"""What a store has to learn of a fleet, and what a fleet takes back from it."""

from __future__ import annotations

import pytest

from exporter.core.fleet import TURN
from exporter.core.model import NOTHING, Reason, Row, Status, Totals, Transition, WorkerId
from tests.exporter.core.scene import Scene, facts, record

DAY = 86_400
HOUR = 3_600


def saved(scene: Scene) -> list[str]:
    return [row.facts.worker_id for row in scene.fleet.take_unsaved(scene.clock.now())]


def test_changes_are_taken_once() -> None:
    """Changed workers are taken in the order of their first change, each as it stands."""
    scene = Scene()
    scene.register("a")
    scene.alive("b")
    scene.register("a", version="2")
    assert scene.fleet.unsaved == 2
    assert scene.fleet.take_unsaved(scene.clock.now()) == [scene.row("a"), scene.row("b")]
    assert (scene.fleet.unsaved, saved(scene)) == (0, [])


@pytest.mark.parametrize("happens", ["register", "connect", "beat", "goodbye", "close", "after"])
def test_what_is_a_change(happens: str) -> None:
    """Signs of life and changes of status are to be saved; looking and waiting are not."""
    scene = Scene()
    scene.alive()
    saved(scene)
    scene.after(1)
    assert saved(scene) == []
    {
        "register": scene.register,
        "connect": lambda: scene.connect(2),
        "beat": scene.beat,
        "goodbye": scene.goodbye,
        "close": scene.close,
        "after": lambda: scene.after(3),
    }[happens]()
    assert saved(scene) == ["w"]


def test_unsaved_are_taken_in_turns() -> None:
    """No more than a turn's worth is taken at once."""
    scene = Scene()
    ids = [f"w{number}" for number in range(TURN + 1)]
    for worker_id in ids:
        scene.register(worker_id)
    assert saved(scene) == ids[:TURN]
    assert (scene.fleet.unsaved, saved(scene)) == (1, ids[TURN:])


def test_the_forgotten_are_told_too() -> None:
    """A forgotten worker is taken once, as forgotten and no longer as changed."""
    scene = Scene()
    scene.register("a")
    scene.register("b")
    scene.delete("a")
    assert scene.fleet.unsaved == 2
    assert (saved(scene), scene.fleet.take_forgotten(), scene.fleet.take_forgotten()) == (["b"], ["a"], [])


def test_who_registers_again_is_not_forgotten() -> None:
    """A worker that came back before a store was told is only changed."""
    scene = Scene()
    scene.register()
    scene.delete()
    scene.register()
    assert (saved(scene), scene.fleet.take_forgotten()) == (["w"], [])


def test_what_could_not_be_saved_is_taken_again() -> None:
    """After a failure, known workers are changed and the others forgotten, whatever they were before."""
    scene = Scene()
    scene.register("kept")
    scene.register("deleted")
    taken = saved(scene)
    scene.delete("deleted")
    scene.fleet.take_forgotten()
    scene.fleet.not_saved(WorkerId(worker_id) for worker_id in taken)
    assert (saved(scene), scene.fleet.take_forgotten()) == (["kept"], ["deleted"])


def test_everybody_can_be_unsaved() -> None:
    """When a store lost everything, all workers are taken again, those that waited first of all."""
    scene = Scene()
    for worker_id in ("a", "b", "c"):
        scene.register(worker_id)
    saved(scene)
    scene.register("b")
    scene.fleet.all_unsaved()
    assert saved(scene) == ["b", "a", "c"]


def test_a_restored_worker_in_full() -> None:
    """A worker comes back from a store as it was: status, reason, times and totals; it beat in no gap."""
    scene = Scene()
    totals = Totals(9, 8, 7, 6, ((Reason.TIMEOUT, 5),))
    at = scene.wall - 100
    past = (Transition(WorkerId("w"), "W", "g", Status.CONNECTED, Status.ALIVE, Reason.HEARTBEAT, at),)
    told = record(Status.ALIVE, Reason.HEARTBEAT, seen=at + 90, since=at, totals=totals, history=past)
    assert scene.restore(told) == []
    assert scene.row() == Row(
        facts=facts(),
        status=Status.ALIVE,
        reason=Reason.HEARTBEAT,
        since=at,
        last_seen=at + 90,
        last_heartbeat=at + 90,
        counted=NOTHING,
        carried=totals,
        history=past,
        clock_offset=None,
        round_trip=None,
        loop_lag=None,
        checks=(),
    )
    assert dict(scene.group().workers)[Status.ALIVE] == 1
    assert dict(scene.group().registrations) == {"new": 0, "returning": 0}
    assert scene.fleet.unsaved == 0
    scene.connect()
    scene.beat()
    assert scene.row().counted == Totals(heartbeats=1)
    assert scene.row().record().totals == Totals(10, 8, 7, 6, ((Reason.TIMEOUT, 5),))


@pytest.mark.parametrize("status", [Status.REGISTERED, Status.CONNECTED, Status.ALIVE, Status.DISCONNECTED])
def test_restored_workers_have_time_to_come_back(status: Status) -> None:
    """Restored, a worker has its timeout plus the largest reconnect delay, during which we warm up."""
    reasons = {
        Status.REGISTERED: (Reason.REGISTERED, Reason.NEVER_CONNECTED),
        Status.CONNECTED: (Reason.CONNECTED, Reason.CONNECTION_LOST),
        Status.ALIVE: (Reason.HEARTBEAT, Reason.CONNECTION_LOST),
        Status.DISCONNECTED: (Reason.SHUTDOWN, Reason.SHUTDOWN),
    }
    before, after = reasons[status]
    scene = Scene()
    scene.restore(record(status, before, seen=scene.wall - 100))
    assert scene.after(17.5) == []
    assert scene.fleet.warming_up(scene.clock.now())
    assert scene.after(0.5) == [f"w: {status} -> not_responding, {after}"]
    assert not scene.fleet.warming_up(scene.clock.now())


def test_warming_up_takes_as_long_as_the_slowest() -> None:
    """As long as one restored worker has time to come back, we warm up."""
    scene = Scene()
    slow = record(Status.ALIVE, Reason.HEARTBEAT, seen=scene.wall, worker_id="slow", timeout=60.0)
    quick = record(Status.ALIVE, Reason.HEARTBEAT, seen=scene.wall, worker_id="quick")
    scene.restore(slow, quick)
    scene.wait(74.875)
    assert scene.fleet.warming_up(scene.clock.now())
    scene.wait(0.125)
    assert not scene.fleet.warming_up(scene.clock.now())


def test_down_stays_down() -> None:
    """A worker that did not respond before does not respond now, and nobody waits for it."""
    scene = Scene()
    scene.restore(record(Status.NOT_RESPONDING, Reason.TIMEOUT, seen=scene.wall - HOUR))
    assert not scene.fleet.warming_up(scene.clock.now())
    assert scene.after(DAY - HOUR - 1) == []
    assert scene.after(1) == ["w: not_responding -> forgotten, expired"]


def test_last_seen_in_the_future() -> None:
    """A record from a clock that was ahead does not lengthen the retention."""
    scene = Scene()
    scene.restore(record(Status.NOT_RESPONDING, Reason.SHUTDOWN, seen=scene.wall + 1_000))
    assert scene.after(HOUR) == ["w: not_responding -> forgotten, expired"]


def test_what_is_known_stands() -> None:
    """A live worker keeps its state and gets its past; a store learns of it."""
    scene = Scene()
    scene.alive(version="live")
    saved(scene)
    past = (Transition(WorkerId("w"), "W", "g", None, Status.REGISTERED, Reason.REGISTERED, scene.wall),)
    totals = Totals(heartbeats=100, restarts=3)
    told = record(Status.NOT_RESPONDING, Reason.TIMEOUT, seen=scene.wall, totals=totals, history=past)
    before = scene.row()
    assert scene.restore(told) == []
    assert scene.row() == before._replace(carried=totals, history=(*past, *before.history))
    assert not scene.fleet.warming_up(scene.clock.now())
    assert saved(scene) == ["w"]


@pytest.mark.parametrize("live", [True, False])
def test_the_past_is_learned_once(live: bool) -> None:
    """A record that is read twice counts once, even if our own beats are in it by then."""
    scene = Scene()
    if live:
        scene.alive()
    told = record(Status.ALIVE, Reason.HEARTBEAT, seen=scene.wall, totals=Totals(heartbeats=100))
    scene.restore(told, told)
    before = scene.row()
    scene.restore(before.record())
    assert scene.row() == before
    assert before.carried == Totals(heartbeats=100)


def test_the_forgotten_are_not_revived() -> None:
    """A worker that was forgotten while its store was away does not come back with the store."""
    scene = Scene()
    scene.register()
    scene.delete()
    scene.restore(record(Status.ALIVE, Reason.HEARTBEAT, seen=scene.wall))
    assert scene.fleet.ids() == []
    assert scene.fleet.take_forgotten() == ["w"]
