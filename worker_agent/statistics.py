"""What the agent counts about itself; its metrics and its health are rendered from here."""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass, field

from worker_agent.actions import Cause

ROUND_TRIP_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0)
"""Upper bounds in seconds; beyond the last an answer counts as missing."""


@dataclass
class Statistics:
    """Written by the agent's thread alone. A reader in another thread may see a heartbeat more or less."""

    connected: bool = False
    worker_id: str | None = None
    problem: str | None = None
    """Why it is not connected, once it has tried."""
    heartbeats_sent: int = 0
    reconnects: dict[Cause, int] = field(default_factory=lambda: dict.fromkeys(Cause, 0))
    round_trip_counts: list[int] = field(default_factory=lambda: [0] * (len(ROUND_TRIP_BUCKETS) + 1))
    """One for each bucket, not accumulated, and one for what lies above."""
    round_trip_sum: float = 0.0

    def observe_round_trip(self, seconds: float) -> None:
        self.round_trip_counts[bisect_left(ROUND_TRIP_BUCKETS, seconds)] += 1
        self.round_trip_sum += seconds
