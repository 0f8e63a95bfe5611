"""What is counted of one function."""

from __future__ import annotations

import threading
from bisect import bisect_left
from typing import NamedTuple

MAX_EXCEPTIONS = 20
"""Distinct exception types that a function is counted under; later ones are counted as OTHER."""

OTHER = "other"


class FunctionCounts(NamedTuple):
    """A record at one moment; its numbers belong together."""

    calls: int
    """Calls that have ended, well or not."""
    seconds: float
    """Time spent in them."""
    in_progress: int
    failures: dict[str, int]
    """How many of them an exception has ended, by the name of its type."""
    buckets: tuple[int, ...]
    """One for each bound, not accumulated, and one for what lies above; empty without bounds."""


class FunctionRecord:
    """Counts the calls of one function, from any number of threads.

    Calls are counted when they end, so that they go with the time and the failures: seconds by calls is the
    mean duration at any moment, and the calls are the number of durations in the buckets.

    Args:
        label: what the function is called in the metrics.
        bounds: upper bounds of the buckets in seconds, increasing; none for no histogram.
    """

    __slots__ = ("_buckets", "_calls", "_failures", "_in_progress", "_lock", "_seconds", "bounds", "label")

    def __init__(self, label: str, bounds: tuple[float, ...] = ()) -> None:
        self.label = label
        self.bounds = bounds
        self.start_over()

    def start_over(self) -> None:
        """Forget everything; only for when nobody else can be counting."""
        # Re-entrant, because a signal handler, or a generator that is collected as garbage, may come to count
        # in the middle of counting on the same thread.
        self._lock = threading.RLock()
        self._calls = 0
        self._seconds = 0.0
        self._in_progress = 0
        self._failures: dict[str, int] = {}
        self._buckets = [0] * (len(self.bounds) + 1) if self.bounds else []

    def begin(self) -> None:
        with self._lock:
            self._in_progress += 1

    def end(self, seconds: float, failure: BaseException | None = None) -> None:
        """Count a call that began earlier, with the exception that ended it if one did."""
        with self._lock:
            # A process that was forked in the middle of a call has not seen its beginning.
            if self._in_progress:
                self._in_progress -= 1
            self._calls += 1
            self._seconds += seconds
            if self._buckets:
                self._buckets[bisect_left(self.bounds, seconds)] += 1
            if failure is not None:
                name = type(failure).__name__
                if name not in self._failures and len(self._failures) >= MAX_EXCEPTIONS:
                    name = OTHER
                self._failures[name] = self._failures.get(name, 0) + 1

    def counts(self) -> FunctionCounts:
        with self._lock:
            return FunctionCounts(
                self._calls, self._seconds, self._in_progress, dict(self._failures), tuple(self._buckets)
            )
