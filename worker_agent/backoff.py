"""How long to wait before trying again."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator

from worker_agent.protocol import MAX_RECONNECT_DELAY

MIN_DELAY = 1.0
"""Seconds. Also holds back from a server that accepts and closes, hence below every delay."""

Uniform = Callable[[float, float], float]
"""A number drawn from between two: `random.uniform`, or what a test puts in its place."""


def delays(uniform: Uniform = random.uniform) -> Iterator[float]:
    """Full jitter, in seconds: each drawn from all of 1 to 2, then to 4, 8 and 15 for ever.

    The whole range and not its upper part, so that a fleet that lost its exporter at one moment
    does not come back at one moment.
    """
    ceiling = MIN_DELAY
    while True:
        ceiling = min(2.0 * ceiling, MAX_RECONNECT_DELAY)
        yield uniform(MIN_DELAY, ceiling)
