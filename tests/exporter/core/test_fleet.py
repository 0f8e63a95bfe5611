"""A worker's life through the whole fleet, and how it is looked at."""

from __future__ import annotations

import pytest

from exporter.core.effects import Changed
from exporter.core.events import Register
from exporter.core.fleet import Snapshot, UnknownWorker
from exporter.core.model import NOTHING, SECOND, Reason, Row, Status, Totals, Transition, WorkerId
from tests.exporter.core.scene import Scene, facts


def test_a_life_in_full() -> None:
    """All that is told and known of a worker that came, beat twice and stopped."""
    scene = Scene()
    born = scene.wall
    scene.register()
    scene.wait(1)
    scene.connect()
    scene.beat(rtt=0.01, clock_offset=0.5, loop_lag=0.002, checks=(("db", "healthy"),))
    scene.wait(1)
    scene.beat()
    scene.wait(1)
    scene.goodbye()
    scene.wait(1)
    line = (WorkerId("w"), "W", "g")
    assert scene.row() == Row(
        facts=facts(),
        status=Status.DISCONNECTED,
        reason=Reason.SHUTDOWN,
        since=born + 3,
        last_seen=born + 3,
        last_heartbeat=born + 2,
        counted=Totals(heartbeats=2, up=2 * SECOND, down=((Reason.SHUTDOWN, SECOND),)),
        carried=NOTHING,
        history=(
            Transition(*line, None, Status.REGISTERED, Reason.REGISTERED, born),
            Transition(*line, Status.REGISTERED, Status.CONNECTED, Reason.CONNECTED, born + 1),
            Transition(*line, Status.CONNECTED, Status.ALIVE, Reason.HEARTBEAT, born + 1),
            Transition(*line, Status.ALIVE, Status.DISCONNECTED, Reason.SHUTDOWN, born + 3),
        ),
        clock_offset=None,
        round_trip=None,
        loop_lag=None,
        checks=(),
    )


def test_effects_are_given_out_once() -> None:
    """Effects come in order, as values, and only the first time they are asked for."""
    scene = Scene()
    scene.fleet.receive(Register(facts()), scene.clock.now())
    birth = Transition(WorkerId("w"), "W", "g", None, Status.REGISTERED, Reason.REGISTERED, scene.wall)
    assert scene.fleet.effects() == [Changed(birth)]
    assert scene.fleet.effects() == []


def test_only_registering_makes_a_worker_known() -> None:
    """Any other event for an unknown worker is an error and changes nothing."""
    scene = Scene()
    for happens in (scene.connect, scene.beat, scene.goodbye, scene.close, scene.delete):
        with pytest.raises(UnknownWorker, match="w"):
            happens()
    assert scene.fleet.snapshot(scene.clock.now()) == Snapshot((), (), False)
    assert scene.fleet.effects() == []
    assert scene.fleet.unsaved == 0


def test_facts_are_replaced() -> None:
    """Registering again replaces what is known of a worker, and the new timeout holds from the next beat."""
    scene = Scene()
    scene.alive()
    scene.register(version="2", timeout=10.0)
    assert scene.row().facts == facts(version="2", timeout=10.0)
    scene.wait(2)
    scene.beat()
    assert scene.after(9) == []
    assert scene.after(1) == ["w: alive -> not_responding, timeout"]


def test_history_is_bounded() -> None:
    """The last twenty transitions are kept, across restarts of the exporter too."""
    scene = Scene()
    for boot in range(30):
        scene.register(boot_id=str(boot))
    history = scene.row().history
    assert [change.reason for change in history] == [Reason.RESTART] * 20

    restarted = Scene()
    restarted.register()
    restarted.restore(scene.row().record())
    assert restarted.row().history == (*history[1:], *restarted.row().history[-1:])


def test_looking_at_the_fleet() -> None:
    """Workers are found by id and counted; ids that are not known are passed over."""
    scene = Scene()
    scene.register("a")
    scene.register("b")
    fleet, now = scene.fleet, scene.clock.now()
    assert (len(fleet), "a" in fleet, "x" in fleet, fleet.ids()) == (2, True, False, ["a", "b"])
    rows = fleet.rows([WorkerId("x"), WorkerId("b"), WorkerId("y"), WorkerId("a")], now)
    assert [row.facts.worker_id for row in rows] == ["b", "a"]
    assert fleet.snapshot(now) == Snapshot(
        (rows[1], rows[0]), tuple(fleet.groups(fleet.group_names())), False
    )


def test_a_conflict_takes_over_the_facts() -> None:
    """In a conflict whoever registered last describes the worker, so that both sides are noticed."""
    scene = Scene()
    scene.alive(boot_id="one")
    assert scene.register(boot_id="two") == ["conflict: w"]
    assert scene.connect(2) == ["close 1: replaced"]
    assert scene.register(boot_id="one") == ["conflict: w"]
    assert scene.group().conflicts == 2
