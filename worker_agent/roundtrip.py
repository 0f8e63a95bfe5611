"""Round trip and clock offset from acknowledged heartbeats, by the formula of NTP."""

from __future__ import annotations

from collections import deque
from typing import NamedTuple

KEPT = 8
DRIFT = 0.01
"""Seconds that two honest clocks may part within eight samples."""


class Sample(NamedTuple):
    """One acknowledged heartbeat.

    `lead` is how far the exporter's clock was behind our *monotonic* one: a step of our own wall clock
    leaves it true.
    """

    rtt: float
    lead: float


class RoundTrips:
    """The last eight samples; the offset is that of the fastest, which waited least on the way."""

    def __init__(self) -> None:
        self._samples: deque[Sample] = deque(maxlen=KEPT)

    def add(self, *, sent: float, received: float, exporter_received: float, exporter_sent: float) -> float:
        """Take one exchange and return its round trip in seconds, without the exporter's own time.

        Args:
            sent, received: by our monotonic clock.
            exporter_received, exporter_sent: Unix time by the exporter's clock.
        """
        rtt = max(0.0, (received - sent) - (exporter_sent - exporter_received))
        lead = ((sent - exporter_received) + (received - exporter_sent)) / 2
        # The truth lies within half a round trip of each sample. Two samples that cannot both be
        # right mean that the exporter's clock was set, and the newer one is right.
        if any(abs(lead - old.lead) > (rtt + old.rtt) / 2 + DRIFT for old in self._samples):
            self._samples.clear()
        self._samples.append(Sample(rtt, lead))
        return rtt

    def clock_offset(self, now: float, wall: float) -> float | None:
        """How far our wall clock is ahead of the exporter's, in seconds; None before the first sample.

        Args:
            now, wall: our monotonic and our wall clock at the same moment.
        """
        if not self._samples:
            return None
        return min(self._samples).lead + (wall - now)
