"""What the brake is told of workers."""

from __future__ import annotations

from exporter.actions.base import BrakeRules
from exporter.actions.braking import Braking
from exporter.core.model import Mono, Now, Reason, Status, Transition, Wall, WorkerId

NOW = Now(Mono(0), Wall(0.0))


def change(number: int, group: str, before: Status | None, after: Status | None, why: Reason) -> Transition:
    return Transition(WorkerId(f"w{number}"), "worker", group, before, after, why, NOW.wall)


def test_who_went_to_another_group_is_no_longer_part_of_the_first() -> None:
    """Three that are all of a group fall together, though ten others were once in it."""
    braking = Braking(BrakeRules(share=0.5, at_least=3))
    braking.seen()
    for number in range(13):
        braking.on_worker(change(number, "web", None, Status.REGISTERED, Reason.REGISTERED), NOW)
    for number in range(3, 13):
        braking.on_worker(change(number, "db", Status.ALIVE, Status.REGISTERED, Reason.RESTART), NOW)
    for number in range(3):
        braking.on_worker(
            change(number, "web", Status.ALIVE, Status.DISCONNECTED, Reason.CONNECTION_LOST), NOW
        )
    braking.turn(NOW)
    assert braking.hold is not None
    assert (braking.hold.fell, braking.hold.of) == (3, 3)


def test_who_fell_and_then_went_to_another_group_did_not_fall_there() -> None:
    """Also before all workers have been seen."""
    braking = Braking(BrakeRules(share=0.5, at_least=3))
    for number in range(3):
        lost = change(number, "web", Status.ALIVE, Status.DISCONNECTED, Reason.CONNECTION_LOST)
        braking.on_worker(lost, NOW)
        back = change(number, "db", Status.DISCONNECTED, Status.REGISTERED, Reason.RESTART)
        braking.on_worker(back, NOW)
    braking.seen()
    braking.turn(NOW)
    assert braking.hold is None
