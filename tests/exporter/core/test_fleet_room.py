"""Who is let in, who is let go for it, and how long a group stays."""

from __future__ import annotations

import pytest

from exporter.core.fleet import RegistryFull, TooManyGroups
from exporter.core.model import SECOND, Reason, Status
from tests.exporter.core.scene import Scene, record

DAY = 86_400


def test_changing_the_group() -> None:
    """A worker that registers with another group is counted there from then on."""
    scene = Scene()
    scene.alive(group="old")
    scene.register(group="new")
    scene.beat()
    alive = {name: dict(scene.group(name).workers)[Status.ALIVE] for name in ("old", "new")}
    assert alive == {"old": 0, "new": 1}
    assert (scene.group("old").heartbeats, scene.group("new").heartbeats) == (1, 1)
    assert dict(scene.group("old").registrations) == {"new": 1, "returning": 0}
    assert dict(scene.group("new").registrations) == {"new": 0, "returning": 1}


def test_a_group_outlives_its_last_worker() -> None:
    """A group scaled to nothing is seen as 0 for the retention, and then no longer."""
    scene = Scene()
    scene.alive()
    scene.after(1)
    scene.goodbye(leave=True)
    assert scene.after(DAY - 1) == []
    assert sum(dict(scene.group().workers).values()) == 0
    assert scene.group().heartbeats == 1
    assert scene.fleet.next_deadline() == scene.mono + SECOND
    scene.after(1)
    assert scene.fleet.group_names() == []
    assert scene.fleet.next_deadline() is None


def test_a_group_with_one_worker_left_stays() -> None:
    """A group that lost some of its workers is not on its way out."""
    scene = Scene(max_groups=1)
    scene.register("a", timeout=2.0 * DAY)
    scene.register("b", timeout=2.0 * DAY)
    scene.delete("b")
    with pytest.raises(TooManyGroups):
        scene.register("c", group="another")
    scene.after(DAY)
    assert sum(dict(scene.group().workers).values()) == 1


def test_a_group_that_is_peopled_again_stays() -> None:
    """A worker that comes back in time keeps its group and what was counted in it."""
    scene = Scene()
    scene.register()
    scene.delete()
    scene.after(DAY - 1)
    scene.alive()
    scene.after(1)
    assert dict(scene.group().registrations) == {"new": 2, "returning": 0}


def test_too_many_groups() -> None:
    """No group beyond the allowed, for newcomers and for known workers; a refusal changes nothing."""
    scene = Scene(max_groups=2)
    scene.register("a", group="x")
    scene.register("b", group="y")
    scene.wait(1)
    before = scene.fleet.snapshot(scene.clock.now())
    for worker_id in ("newcomer", "a"):
        with pytest.raises(TooManyGroups, match="all 2 groups have workers"):
            scene.register(worker_id, group="z")
    assert scene.fleet.snapshot(scene.clock.now()) == before
    assert scene.fleet.effects() == []


def test_the_group_empty_for_longest_makes_room() -> None:
    """Where a group is too many, the one that has been empty for longest goes."""
    scene = Scene(max_groups=2)
    scene.register("a", group="x")
    scene.register("b", group="y")
    scene.delete("b")
    scene.wait(1)
    scene.delete("a")
    scene.register("c", group="z")
    assert scene.fleet.group_names() == ["x", "z"]
    scene.register("d", group="w")
    assert scene.fleet.group_names() == ["z", "w"]
    scene.after(DAY)
    assert scene.fleet.group_names() == ["z", "w"]


def test_the_longest_down_is_evicted() -> None:
    """A newcomer in a full registry takes the place of whoever went down first, however that ended."""
    scene = Scene(max_workers=3)
    scene.alive("slow", 1, timeout=60.0)
    scene.alive("fast", 2)
    scene.alive("up", 3, timeout=DAY)
    scene.wait(1)
    scene.close(1, "slow")
    scene.wait(1)
    scene.close(2, "fast")
    assert scene.after(60) == [
        "fast: disconnected -> not_responding, connection_lost",
        "slow: disconnected -> not_responding, connection_lost",
    ]
    assert scene.register("one") == [
        "slow: not_responding -> forgotten, evicted",
        "one: none -> registered, registered",
    ]
    assert scene.register("two") == [
        "fast: not_responding -> forgotten, evicted",
        "two: none -> registered, registered",
    ]


def test_who_came_back_is_not_evicted() -> None:
    """A worker that was down and came back is no longer in line for eviction."""
    scene = Scene(max_workers=2)
    scene.alive("back", 1)
    scene.alive("gone", 2)
    scene.close(1, "back")
    scene.wait(1)
    scene.close(2, "gone")
    scene.connect(3, "back")
    assert scene.register("new")[0] == "gone: disconnected -> forgotten, evicted"


def test_the_longest_down_of_restored_workers() -> None:
    """Restored workers have been down for as long as their record says."""
    scene = Scene(max_workers=2)
    scene.alive("a")
    scene.close(1, "a")
    scene.restore(
        record(
            Status.NOT_RESPONDING, Reason.TIMEOUT, seen=scene.wall - 9, since=scene.wall - 6, worker_id="z"
        )
    )
    assert scene.register("new")[0] == "z: not_responding -> forgotten, evicted"


def test_a_full_registry() -> None:
    """Where nobody is down, a newcomer is refused, which changes nothing; known workers are let in."""
    scene = Scene(max_workers=2)
    scene.alive("a")
    scene.register("b")
    before = scene.fleet.snapshot(scene.clock.now())
    with pytest.raises(RegistryFull, match="all 2 workers are up or pending"):
        scene.register("c", group="new")
    assert scene.fleet.snapshot(scene.clock.now()) == before
    assert scene.fleet.effects() == []
    assert scene.register("b") == []


def test_full_and_crowded_at_once() -> None:
    """A newcomer for whom there is room but no group evicts nobody."""
    scene = Scene(max_workers=2, max_groups=1)
    scene.alive("a")
    scene.register("b")
    scene.close(1, "a")
    with pytest.raises(TooManyGroups):
        scene.register("c", group="another")
    assert scene.fleet.ids() == ["a", "b"]
