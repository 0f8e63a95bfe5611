"""What is counted of heartbeats, and what is measured by them."""

from __future__ import annotations

import pytest

from exporter.core.model import SECOND, Reason, Status, Totals
from tests.exporter.core.scene import Scene


@pytest.mark.parametrize(
    ("gap", "late", "missed"),
    [
        (0.5, 0, 0),
        (1.0, 0, 0),
        (1.5, 0, 0),
        (1.51, 1, 1),
        (2.0, 1, 1),
        (2.5, 1, 1),
        (2.51, 1, 2),
        (2.9, 1, 2),
    ],
)
def test_late_and_missed(gap: float, late: int, missed: int) -> None:
    """Above one and a half intervals a beat is late; missed is how many intervals too many."""
    scene = Scene()
    scene.alive()
    scene.wait(gap)
    scene.beat()
    assert (scene.group().late, scene.row().counted.missed, scene.group().arrival.sum) == (late, missed, gap)


def test_beats_missed_without_a_socket() -> None:
    """A gap counts across sockets of one process: the beats in between never came."""
    scene = Scene()
    scene.alive(timeout=10.0)
    scene.close()
    scene.wait(5)
    scene.connect(2)
    scene.beat(2)
    assert (scene.group().late, scene.row().counted.missed) == (1, 4)


@pytest.mark.parametrize("ends", ["goodbye", "restart"])
def test_no_beats_are_missed_between_two_lives(ends: str) -> None:
    """After a goodbye or in another process the first beat has no predecessor."""
    scene = Scene()
    scene.alive(boot_id="one", timeout=100.0)
    if ends == "goodbye":
        scene.goodbye()
    else:
        scene.close()
    scene.wait(50)
    scene.register(boot_id="two" if ends == "restart" else "one")
    scene.connect(2)
    scene.beat(2)
    assert (scene.group().late, scene.row().counted.missed, sum(scene.group().arrival.counts)) == (0, 0, 0)


def test_time_is_counted_without_being_looked_at() -> None:
    """Times up and down, by reason, add up over several turns."""
    scene = Scene()
    for _ in range(2):
        scene.alive()
        scene.after(2)
        scene.close()
        scene.after(4)
        scene.connect(2)
        scene.beat(2)
        scene.after(5)
        scene.after(5)
    down = ((Reason.CONNECTION_LOST, 8 * SECOND), (Reason.TIMEOUT, 10 * SECOND))
    assert scene.row().counted == Totals(heartbeats=4, missed=19, up=14 * SECOND, down=down)


def test_latency_by_the_exporters_clock() -> None:
    """Latency is arrival minus sending, the latter corrected by how far the worker's clock is ahead."""
    scene = Scene()
    scene.alive()
    assert scene.beat(sent_at=scene.wall + 7.5 - 0.25, clock_offset=7.5) == []
    assert (sum(scene.group().latency.counts), scene.group().latency.sum) == (1, 0.25)


@pytest.mark.parametrize(("latency", "usable"), [(-0.125, False), (0.0, True), (3.0, True), (3.125, False)])
def test_impossible_latencies_are_discarded(latency: float, usable: bool) -> None:
    """Below nothing or above the timeout a latency is left out and counted; the beat is a sign of life."""
    scene = Scene()
    scene.alive()
    scene.wait(1)
    told = scene.beat(sent_at=scene.wall - latency, clock_offset=0.0)
    assert told == ([] if usable else ["discarded: latency"])
    assert sum(scene.group().latency.counts) == usable
    assert scene.row().last_heartbeat == scene.wall


def test_no_latency_without_an_offset() -> None:
    """A worker's time alone is never believed."""
    scene = Scene()
    scene.alive()
    assert scene.beat(sent_at=scene.wall) == []
    assert sum(scene.group().latency.counts) == 0


@pytest.mark.parametrize(("age", "observed"), [(60, 1), (61, 0)])
def test_an_old_offset_is_not_used(age: int, observed: int) -> None:
    """An offset is good for 60 seconds; it is shown for as long as the worker is alive."""
    scene = Scene()
    scene.alive(timeout=100.0)
    scene.beat(clock_offset=0.25)
    scene.wait(age)
    assert scene.beat(sent_at=scene.wall) == []
    assert sum(scene.group().latency.counts) == observed
    assert scene.row().clock_offset == 0.25


def test_the_latest_offset_counts() -> None:
    """An offset that is told again is as good as new."""
    scene = Scene()
    scene.alive(timeout=100.0)
    scene.beat(clock_offset=0.0)
    scene.wait(40)
    scene.beat(clock_offset=0.0)
    scene.wait(40)
    scene.beat(sent_at=scene.wall)
    assert sum(scene.group().latency.counts) == 1


def test_measurements_stay_until_others_come() -> None:
    """What a beat does not mention is as it was."""
    scene = Scene()
    scene.alive()
    scene.beat(rtt=0.01, clock_offset=0.5, loop_lag=0.002)
    scene.beat(rtt=0.02)
    row = scene.row()
    assert (row.round_trip, row.clock_offset, row.loop_lag) == (0.02, 0.5, 0.002)


def test_checks_are_replaced_as_a_whole() -> None:
    """A beat that names checks names all of them; one that does not changes none."""
    scene = Scene()
    scene.alive()
    assert scene.row().checks == ()
    both = (("cache", "healthy"), ("db", "degraded"))
    scene.beat(checks=both)
    scene.beat()
    assert scene.row().checks == both
    scene.beat(checks=(("db", "unhealthy"),))
    assert scene.row().checks == (("db", "unhealthy"),)
    scene.beat(checks=())
    assert scene.row().checks == ()


def test_the_first_beat_may_have_checks() -> None:
    """Coming alive by it does not lose them."""
    scene = Scene()
    scene.register()
    scene.connect()
    scene.beat(checks=(("db", "healthy"),))
    assert (scene.row().status, scene.row().checks) == (Status.ALIVE, (("db", "healthy"),))


def test_checks_of_a_worker_that_timed_out() -> None:
    """None are shown; if it goes on over the same connection they stand, as it will not repeat them."""
    scene = Scene()
    scene.alive()
    scene.beat(checks=(("db", "healthy"),))
    scene.after(3)
    assert (scene.row().status, scene.row().checks) == (Status.NOT_RESPONDING, ())
    scene.beat()
    assert (scene.row().status, scene.row().checks) == (Status.ALIVE, (("db", "healthy"),))


@pytest.mark.parametrize("seconds", [0, 3], ids=["alive", "timed out"])
def test_checks_are_of_a_connection(seconds: float) -> None:
    """Whoever comes on another one may have others or none, and says so itself."""
    scene = Scene()
    scene.alive()
    scene.beat(checks=(("db", "unhealthy"),))
    scene.after(seconds)
    scene.connect(2)
    assert scene.row().checks == ()
    scene.beat(2)
    assert (scene.row().status, scene.row().checks) == (Status.ALIVE, ())
    scene.beat(2, checks=(("db", "healthy"),))
    assert scene.row().checks == (("db", "healthy"),)


@pytest.mark.parametrize("ends", ["close", "restart"])
def test_measurements_are_of_the_living(ends: str) -> None:
    """Whoever is no longer alive has no measurements, and no offset of theirs is used later."""
    scene = Scene()
    scene.alive(boot_id="one")
    scene.beat(rtt=0.01, clock_offset=0.5, loop_lag=0.002, checks=(("db", "healthy"),))
    if ends == "restart":
        scene.stall(2)
    scene.close()
    scene.register(boot_id="one" if ends == "close" else "two")
    row = scene.row()
    assert (row.round_trip, row.clock_offset, row.loop_lag) == (None, None, None)
    scene.connect(2)
    scene.beat(2, sent_at=scene.wall)
    assert scene.row().checks == ()
    assert sum(scene.group().latency.counts) == 0
