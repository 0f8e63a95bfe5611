"""What a store has still to learn of actions."""

from __future__ import annotations

from collections.abc import Mapping

from exporter.core.acting import Kind, State
from exporter.core.model import Wall
from exporter.store.action_states import ActionStates

A, B = State(Kind.PROMOTE, Wall(1.0)), State(Kind.DEMOTE, Wall(2.0))


def test_what_changed_is_taken_once_and_the_newest_of_it() -> None:
    """The longest waiting first, so many at a time; what was taken in vain is taken again."""
    states = ActionStates(lambda _: None)
    states.remember("x", A)
    states.remember("y", A)
    states.remember("x", B)
    assert (states.unsaved, states.take_unsaved(1), states.unsaved) == (2, [("x", B)], 1)
    states.not_saved([("x", B)])
    assert (states.take_unsaved(9), states.take_unsaved(9)) == ([("y", A), ("x", B)], [])


def test_what_is_restored_need_not_be_saved_until_the_store_has_lost_it() -> None:
    """What has happened since stands, and all that is known is then written again."""
    told: list[Mapping[str, State]] = []
    states = ActionStates(told.append)
    states.remember("x", B)
    states.restore({"x": A, "y": A})
    assert (told, states.take_unsaved(9)) == ([{"x": A, "y": A}], [("x", B)])
    states.all_unsaved()
    assert states.take_unsaved(9) == [("x", B), ("y", A)]
