"""How late the application's event loop runs what is due, measured from outside."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable

PROBE_EVERY = 1.0
REMEMBERED = 5
"""Probes: a heartbeat every five seconds misses none."""


class LoopLag:
    """One probe at a time: "run this now", and the time until it was run.

    The methods belong to the measuring thread; the measured loop only appends.
    """

    def __init__(
        self, loop: asyncio.AbstractEventLoop, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._loop = loop
        self._monotonic = monotonic
        self._lags: deque[float] = deque(maxlen=REMEMBERED)
        self._pending_since: float | None = None

    def probe(self) -> None:
        """Start a measurement unless one is under way or the loop is closed."""
        if self._pending_since is not None:
            return
        self._pending_since = self._monotonic()
        try:
            self._loop.call_soon_threadsafe(self._answer, self._pending_since)
        except RuntimeError:
            self._pending_since = None

    def worst(self) -> float | None:
        """The largest of the last lags, in seconds, with what is being waited for; None before the first."""
        pending = self._pending_since
        lags = list(self._lags)
        if pending is not None:
            lags.append(self._monotonic() - pending)
        return max(lags, default=None)

    def waiting(self) -> float:
        """Seconds since the measurement that is under way was started; 0 when none is."""
        pending = self._pending_since
        return 0.0 if pending is None else self._monotonic() - pending

    def _answer(self, asked: float) -> None:
        self._lags.append(self._monotonic() - asked)
        self._pending_since = None
