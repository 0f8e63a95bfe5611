"""When so much fails that it is rather the exporter that has lost its network."""

from __future__ import annotations

from exporter.core.brake import Brake, Hold, Limits
from exporter.core.model import SECOND, Mono
from tests.support.clock import FakeClock


class Scene:
    """Ten probes that stand, a brake for more than half within 30 s, and a clock that jumps."""

    def __init__(self, *, share: float = 0.5, at_least: int = 3, count: int = 10) -> None:
        self.clock = FakeClock()
        self.brake = Brake(Limits(share=share, at_least=at_least, window=30 * SECOND, hold=300 * SECOND))
        for number in range(count):
            self.brake.stand("probes", str(number))

    def fall(self, *numbers: int, scope: str = "probes") -> Hold | None:
        for number in numbers:
            self.brake.fall(scope, str(number), self.clock.now())
        return self.brake.pull(self.clock.now())

    def stand(self, *numbers: int) -> None:
        for number in numbers:
            self.brake.stand("probes", str(number))

    def hold(self, fell: int, of: int, scope: str = "probes") -> Hold:
        now = self.clock.now()
        return Hold(scope, fell, of, now.wall, Mono(now.mono + 300 * SECOND))


def test_more_than_the_share_pulls_it() -> None:
    """Half of them is not more than half."""
    scene = Scene()
    assert scene.fall(0, 1, 2, 3, 4) is None
    assert scene.fall(5) == scene.brake.holding == scene.hold(6, 10)


def test_it_takes_a_few_at_least() -> None:
    """Two probes of two are no mass."""
    scene = Scene(count=2)
    assert scene.fall(0, 1) is None


def test_a_share_of_one_switches_it_off() -> None:
    """More than all is not possible."""
    assert Scene(share=1.0).fall(*range(10)) is None


def test_only_those_within_the_window_count() -> None:
    """What went down before counts neither as fallen nor as one of all."""
    scene = Scene()
    assert scene.fall(0, 1, 2) is None
    scene.clock.move(30.5)
    assert scene.fall(3, 4, 5) is None
    assert scene.fall(6) == scene.hold(4, 7)


def test_those_at_the_edge_of_the_window_count() -> None:
    """Thirty seconds ago is within thirty seconds."""
    scene = Scene()
    scene.fall(0, 1, 2)
    scene.clock.move(30)
    assert scene.fall(3, 4, 5) == scene.hold(6, 10)


def test_who_is_up_again_has_not_fallen() -> None:
    """And one that goes down again and again is one."""
    scene = Scene()
    scene.fall(0, 1, 2, 3, 4)
    scene.stand(0, 1)
    assert scene.fall(5, 5, 6) is None
    assert scene.fall(7) == scene.hold(6, 10)


def test_who_was_down_for_a_moment_only_has_not_fallen() -> None:
    """It is up by the time that somebody asks."""
    scene = Scene(at_least=1, share=0.01)
    scene.brake.fall("probes", "0", scene.clock.now())
    scene.stand(0)
    assert scene.brake.pull(scene.clock.now()) is None


def test_who_falls_first_of_all_counts() -> None:
    """An exporter that starts without its network finds everything down."""
    scene = Scene(count=0)
    assert scene.fall(0, 1) is None
    assert scene.fall(2) == scene.hold(3, 3)


def test_each_group_is_for_itself() -> None:
    """A group that fails pulls it, whatever the others do; and who left is not counted in any."""
    scene = Scene()
    for number in range(5):
        scene.brake.stand("payments", str(number))
    scene.brake.leave("payments", "4")
    scene.brake.leave("nowhere", "1")
    assert scene.fall(0, 1, 2, scope="payments") == scene.hold(3, 4, "payments")


def test_a_group_without_anybody_is_forgotten() -> None:
    """Whether those who left stood or had fallen; it begins anew."""
    scene = Scene(count=1)
    scene.fall(0, 1)
    scene.brake.leave("probes", "0")
    scene.brake.leave("probes", "1")
    assert scene.fall(2) is None
    assert scene.fall(3, 4) == scene.hold(3, 3)


def test_a_hold_has_its_length_and_is_not_extended() -> None:
    """What fails meanwhile begins no other; when it is over it is over once."""
    scene = Scene()
    assert scene.brake.release(scene.clock.now()) is None
    hold = scene.fall(*range(6))
    scene.clock.move(299)
    assert scene.fall(6, 7, 8) is None
    assert (scene.brake.holding, scene.brake.release(scene.clock.now())) == (hold, None)
    scene.clock.move(1)
    assert (scene.brake.release(scene.clock.now()), scene.brake.holding) == (hold, None)
    assert (scene.brake.release(scene.clock.now()), scene.brake.pull(scene.clock.now())) == (None, None)


def test_after_a_hold_new_failures_pull_it_again() -> None:
    """Those of the first time do not: they are not counted at all until they have been up."""
    scene = Scene()
    scene.fall(*range(6))
    scene.clock.move(300)
    scene.brake.release(scene.clock.now())
    assert scene.fall(6, 7) is None
    assert scene.fall(8) == scene.hold(3, 4)


def test_other_rules_are_for_what_comes() -> None:
    """A hold that has begun ends as it would have."""
    scene = Scene()
    hold = scene.fall(*range(6))
    scene.brake.limits = Limits(share=0.1, at_least=1, window=SECOND, hold=SECOND)
    assert scene.brake.holding == hold
    scene.clock.move(300)
    scene.brake.release(scene.clock.now())
    again = scene.fall(6)
    assert again is not None
    assert again.until == scene.clock.now().mono + SECOND
