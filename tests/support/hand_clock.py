"""A clock that is called for its time, in seconds, and moved by hand."""

from __future__ import annotations


class HandClock:
    """Stands still until `move`. Start and steps that are sums of powers of two make exact differences."""

    def __init__(self, now: float = 4096.0) -> None:
        self._now = now

    def __call__(self) -> float:
        return self._now

    def move(self, seconds: float) -> None:
        self._now += seconds
