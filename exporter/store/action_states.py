"""What a store is to know of actions, and what of that it does not know yet."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import islice

from exporter.core.acting import State

Restored = Callable[[Mapping[str, State]], None]
"""Is told what a store remembers of actions, also if that is nothing."""


class ActionStates:
    """States by the name of the action, those of actions that are no longer configured included."""

    def __init__(self, restored: Restored) -> None:
        self._restored = restored
        self._states: dict[str, State] = {}
        self._unsaved: dict[str, None] = {}  # a dict because it keeps the order of change

    @property
    def unsaved(self) -> int:
        return len(self._unsaved)

    def restore(self, states: Mapping[str, State]) -> None:
        """A store remembers these. What has happened since stands."""
        self._states = {**states, **self._states}
        self._restored(states)

    def remember(self, action: str, state: State) -> None:
        self._states[action] = state
        self._unsaved[action] = None

    def take_unsaved(self, limit: int) -> Sequence[tuple[str, State]]:
        """Some that changed since they were last taken, the longest waiting first."""
        names = list(islice(self._unsaved, limit))
        for name in names:
            del self._unsaved[name]
        return [(name, self._states[name]) for name in names]

    def not_saved(self, states: Iterable[tuple[str, State]]) -> None:
        """These were taken in vain."""
        self._unsaved.update(dict.fromkeys(name for name, _ in states))

    def all_unsaved(self) -> None:
        self._unsaved.update(dict.fromkeys(self._states))
