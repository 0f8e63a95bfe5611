"""The latest transitions of all workers, for GET /transitions."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from itertools import islice

from exporter.core.effects import Changed, Effect
from exporter.core.model import Record, Transition

KEPT = 1000


class RecentTransitions:
    """A sink that remembers the last `KEPT` changes of status."""

    def __init__(self) -> None:
        self._transitions: deque[Transition] = deque(maxlen=KEPT)

    def __call__(self, effect: Effect) -> None:
        if isinstance(effect, Changed):
            self._transitions.append(effect.transition)

    def restore(self, records: Iterable[Record]) -> None:
        """Take in what a store remembers, in its place between what happened since."""
        remembered = [transition for record in records for transition in record.history]
        ordered = sorted((*remembered, *self._transitions), key=lambda transition: transition.at)
        self._transitions = deque(ordered, maxlen=KEPT)

    def newest(self, limit: int) -> Sequence[Transition]:
        """Newest first."""
        return list(islice(reversed(self._transitions), limit))
