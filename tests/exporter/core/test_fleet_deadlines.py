"""Who is judged when: deadlines, stalls of our own, retention, and how much is done at once."""

from __future__ import annotations

import pytest

from exporter.core.events import Stall
from exporter.core.fleet import TURN
from exporter.core.groups import HistogramRow
from exporter.core.model import SECOND, Reason, Status
from tests.exporter.core.scene import Scene, record

DAY = 86_400
HOUR = 3_600


def judged_after(scene: Scene, seconds: float) -> bool:
    """Whether somebody is declared at this instant, and nobody just before it."""
    return scene.after(seconds - 0.125) == [] and scene.after(0.125) != []


# What moves a deadline


def test_registering_again_does_not_help() -> None:
    """A worker whose WebSocket is blocked never connected, however often it registers."""
    scene = Scene()
    scene.register(boot_id="one")
    for _ in range(2):
        scene.wait(1)
        assert scene.register(boot_id="one") == scene.register() == []
    assert scene.after(1) == ["w: registered -> not_responding, never_connected"]


def test_registering_does_not_extend_a_life() -> None:
    """An alive worker that registers again is judged by its last heartbeat."""
    scene = Scene()
    scene.alive()
    scene.wait(2)
    scene.register()
    assert scene.after(1) == ["w: alive -> not_responding, timeout"]


def test_a_new_process_has_a_new_deadline() -> None:
    """Registering with another boot_id starts the timeout anew."""
    scene = Scene()
    scene.register(boot_id="one")
    scene.wait(2)
    scene.register(boot_id="two")
    assert judged_after(scene, 3)


@pytest.mark.parametrize("status", ["registered", "alive", "disconnected", "not_responding"])
def test_an_accepted_socket_grants_one_timeout(status: str) -> None:
    """From the accept a worker has a whole timeout for its first heartbeat, whatever it was before."""
    scene = Scene()
    scene.register()
    if status != "registered":
        scene.connect(1)
        scene.beat(1)
    if status in ("disconnected", "not_responding"):
        scene.close(1)
    scene.after(3 if status == "not_responding" else 2)
    scene.connect(2)
    assert judged_after(scene, 3)


def test_an_accepted_socket_takes_nothing_away() -> None:
    """A deadline that is further away than a timeout stays."""
    scene = Scene()
    scene.restore(record(Status.ALIVE, Reason.HEARTBEAT, seen=scene.wall))
    scene.connect()
    assert judged_after(scene, 18)


def test_each_heartbeat_extends() -> None:
    """A worker is judged one timeout after its last heartbeat."""
    scene = Scene()
    scene.alive()
    for _ in range(5):
        assert scene.after(2.5) == []
        scene.beat()
    assert judged_after(scene, 3)


def test_a_late_heartbeat_comes_in_time() -> None:
    """A heartbeat that arrives after the deadline, but before anybody judged, counts."""
    scene = Scene()
    scene.alive()
    scene.wait(4)
    scene.beat()
    assert scene.after(0) == []
    assert scene.state() == "alive, heartbeat"


def test_a_heartbeat_shortens_the_wait_after_a_restart() -> None:
    """Once a restored worker beats, it is judged like any other."""
    scene = Scene()
    scene.restore(record(Status.ALIVE, Reason.HEARTBEAT, seen=scene.wall))
    scene.connect()
    scene.beat()
    assert judged_after(scene, 3)


def test_back_from_not_responding() -> None:
    """A worker that answers again has a timeout from then, and no retention runs any more."""
    scene = Scene(retention=10 * SECOND)
    scene.alive()
    scene.after(9)
    scene.beat()
    for _ in range(5):
        assert scene.after(2) == []
        scene.beat()
    assert judged_after(scene, 3)


def test_nobody_waits_for_nothing() -> None:
    """Without workers and groups there is no next deadline; with them it is theirs."""
    scene = Scene()
    assert scene.fleet.next_deadline() is None
    scene.register("slow", timeout=9.0)
    scene.register("quick", timeout=4.0)
    assert scene.fleet.next_deadline() == scene.mono + 4 * SECOND
    scene.delete("quick")
    scene.delete("slow")
    scene.register("w", timeout=100_000.0, group="another")
    scene.after(10)
    assert scene.fleet.next_deadline() == scene.mono + (DAY - 10) * SECOND


# Detection


def test_detection_delay() -> None:
    """The delay is from the deadline to the declaration."""
    scene = Scene()
    scene.alive()
    scene.after(3.25)
    row = scene.group().detection
    assert row == HistogramRow(row.bounds, (0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0), 0.25)


def test_a_stall_does_not_hide_in_the_detection_delay() -> None:
    """What a stall added to the deadline counts as delay."""
    scene = Scene()
    scene.alive()
    scene.stall(10)
    scene.after(3.5)
    assert scene.group().detection.sum == 10.5


def test_expiry_is_no_detection() -> None:
    """Only what turns not responding is observed, not what is forgotten."""
    scene = Scene()
    scene.register()
    scene.after(3)
    scene.after(DAY)
    assert scene.group().detection.counts[0] == sum(scene.group().detection.counts) == 1


# Stalls


def test_a_stall_moves_every_deadline() -> None:
    """Nobody is judged for a silence of ours."""
    scene = Scene()
    scene.alive("a", 1)
    scene.register("b")
    scene.wait(1)
    scene.stall(20)
    assert scene.after(1.875) == []
    assert scene.after(0.125) == [
        "a: alive -> not_responding, timeout",
        "b: registered -> not_responding, never_connected",
    ]


def test_no_heartbeat_is_missed_in_a_stall() -> None:
    """The gap between two heartbeats is counted in time that the exporter was awake."""
    scene = Scene()
    scene.alive()
    scene.stall(20)
    scene.wait(1)
    scene.beat()
    assert (scene.row().counted.missed, scene.group().late, scene.group().arrival.sum) == (0, 0, 1.0)


def test_a_heartbeat_within_a_stall() -> None:
    """A heartbeat handled before a stall is noticed makes no gap below nothing."""
    scene = Scene()
    scene.alive()
    scene.wait(1)
    scene.beat()
    scene.wait(0.25)
    scene.beat()
    scene.happen(Stall(SECOND))
    scene.beat()
    assert scene.group().arrival.sum == 1.25
    assert scene.row().counted.missed == 0


def test_forgiveness_is_bounded() -> None:
    """A minute of stalling is forgiven; a loop that goes on stalling judges late instead of never."""
    scene = Scene()
    scene.alive(timeout=100.0)
    scene.stall(60)
    scene.stall(1)
    scene.stall(98)
    assert judged_after(scene, 1)


def test_the_last_stall_is_forgiven_in_full() -> None:
    """With any credit left a stall is forgiven, however long it was."""
    scene = Scene()
    scene.alive()
    scene.stall(59)
    scene.stall(HOUR)
    assert judged_after(scene, 3)


@pytest.mark.parametrize(("awake", "forgiven"), [(5, False), (6, True)])
def test_forgiveness_is_earned(awake: int, forgiven: bool) -> None:
    """A fifth of the time awake is forgiven again."""
    scene = Scene()
    scene.alive(timeout=100.0)
    scene.stall(60)
    scene.stall(1)
    scene.wait(awake)
    scene.stall(10)
    assert judged_after(scene, 100 - 1 - awake - (0 if forgiven else 10))


def test_forgiveness_is_not_saved_up() -> None:
    """However long nothing stalls, no more than a minute is forgiven."""
    scene = Scene()
    scene.alive(timeout=3_000.0)
    scene.stall(1)
    scene.wait(1_000)
    scene.stall(60)
    scene.stall(100)
    assert judged_after(scene, 3_000 - 1_000 - 100)


@pytest.mark.parametrize(("awake", "forgiven"), [(300, False), (301, True)])
def test_debts_are_bounded(awake: int, forgiven: bool) -> None:
    """However long everything stalled, after five minutes awake stalls are forgiven again."""
    scene = Scene()
    scene.alive(timeout=3_000.0)
    scene.stall(60)
    scene.stall(1_000)
    scene.wait(awake)
    scene.stall(500)
    assert judged_after(scene, 3_000 - 1_000 - awake - (0 if forgiven else 500))


@pytest.mark.parametrize(("seconds", "excused"), [(1.875, False), (2, True), (20, True)])
def test_sockets_cut_by_our_stall(seconds: float, excused: bool) -> None:
    """An agent that hung up because we did not answer is not lost; it may take its time to return."""
    scene = Scene()
    scene.alive()
    scene.stall(seconds)
    assert scene.close() == ([] if excused else ["w: alive -> disconnected, connection_lost"])
    assert judged_after(scene, 18 if excused else 3)


@pytest.mark.parametrize(("later", "excused"), [(14.875, True), (15, False)])
def test_how_long_a_cut_is_excused(later: float, excused: bool) -> None:
    """Sockets that close later than the largest reconnect delay after a stall are lost as ever."""
    scene = Scene()
    scene.alive(timeout=100.0)
    scene.stall(2)
    scene.wait(later)
    assert scene.close() == ([] if excused else ["w: alive -> disconnected, connection_lost"])


def test_a_cut_worker_that_was_down() -> None:
    """A cut excuses the living: whoever did not respond is forgotten no later for it."""
    scene = Scene(retention=10 * SECOND)
    scene.alive()
    scene.after(3)
    scene.stall(2)
    assert scene.close() == []
    assert judged_after(scene, 7)


def test_what_is_not_forgiven_excuses_nobody() -> None:
    """Without credit a socket that closes after a stall is lost."""
    scene = Scene()
    scene.alive(timeout=3_000.0)
    scene.stall(60)
    scene.wait(20)
    scene.stall(100)
    scene.stall(100)
    scene.wait(20)
    scene.stall(3)
    assert scene.close() == ["w: alive -> disconnected, connection_lost"]


def test_a_stall_while_warming_up() -> None:
    """Warming up takes as much longer as we stalled, and one that is over does not begin again."""
    scene = Scene()
    scene.restore(record(Status.ALIVE, Reason.HEARTBEAT, seen=scene.wall))
    scene.connect()
    scene.wait(10)
    scene.stall(5)
    scene.wait(7.875)
    assert scene.fleet.warming_up(scene.clock.now())
    scene.wait(0.125)
    assert not scene.fleet.warming_up(scene.clock.now())
    scene.wait(1)
    scene.stall(0.5)
    assert not scene.fleet.warming_up(scene.clock.now())


# Retention


@pytest.mark.parametrize(
    ("reason", "kept"),
    [("shutdown", HOUR), ("connection_lost", DAY), ("timeout", DAY), ("never_connected", DAY)],
)
def test_retention_by_reason(reason: str, kept: int) -> None:
    """Whoever stopped is kept for an hour, the others for a day, from their last sign of life."""
    scene = Scene()
    scene.register()
    if reason != "never_connected":
        scene.connect()
        scene.beat()
    if reason == "shutdown":
        scene.goodbye()
    if reason == "connection_lost":
        scene.close()
    scene.after(3)
    assert scene.state() == f"not_responding, {reason}"
    assert scene.after(kept - 3.125) == []
    socket = ["close 1: forgotten"] if reason == "timeout" else []
    assert scene.after(0.125) == [*socket, "w: not_responding -> forgotten, expired"]


@pytest.mark.parametrize(("sign", "kept"), [("register", DAY), ("goodbye", DAY), ("close", DAY - HOUR)])
def test_signs_of_life_of_the_silent(sign: str, kept: int) -> None:
    """What a worker that is down says prolongs its retention; what happens to its socket does not."""
    scene = Scene()
    scene.alive()
    scene.after(HOUR)
    {"register": scene.register, "goodbye": scene.goodbye, "close": scene.close}[sign]()
    assert judged_after(scene, kept)


def test_retention_of_a_worker_that_died_in_our_absence() -> None:
    """It is kept from our return on: forgotten as it is declared, it would never be seen to be lost."""
    scene = Scene()
    scene.restore(record(Status.ALIVE, Reason.HEARTBEAT, seen=scene.wall - 2 * DAY))
    assert scene.after(18) == ["w: alive -> not_responding, connection_lost"]
    assert scene.after(DAY - 18.125) == []
    assert scene.after(0.125) == ["w: not_responding -> forgotten, expired"]


def test_retention_of_a_worker_that_was_lost_before_our_absence() -> None:
    """It goes on while we are away: what was known to be lost has been seen."""
    scene = Scene()
    scene.restore(record(Status.NOT_RESPONDING, Reason.TIMEOUT, seen=scene.wall - 2 * DAY))
    assert scene.after(0) == ["w: not_responding -> forgotten, expired"]


# How much at once


def test_judging_in_turns() -> None:
    """No more than a turn's worth of workers is judged in one call, which says whether there are more."""
    scene = Scene()
    for number in range(TURN + 50):
        scene.register(f"w{number:03}")
    scene.wait(3)
    assert scene.fleet.advance(scene.clock.now())
    assert len(scene.fleet.effects()) == TURN
    assert scene.fleet.next_deadline() == scene.mono
    assert not scene.fleet.advance(scene.clock.now())
    assert len(scene.fleet.effects()) == 50
    assert not scene.fleet.advance(scene.clock.now())
    assert scene.fleet.effects() == []


def test_a_corrupt_worker_costs_nobody_else() -> None:
    """A worker that cannot be judged, because it is not what the rules allow, is the only one left out."""
    scene = Scene()
    scene.restore(
        record(Status.DISCONNECTED, Reason.HEARTBEAT, seen=scene.wall, worker_id="corrupt"),
        record(Status.ALIVE, Reason.HEARTBEAT, seen=scene.wall, worker_id="other"),
    )
    with pytest.raises(KeyError):
        scene.after(18)
    assert scene.after(0) == ["other: alive -> not_responding, connection_lost"]
