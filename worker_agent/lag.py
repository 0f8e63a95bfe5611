"""How late the application's event loop runs what is due, measured from outside."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable

PROBE_EVERY = 1.0
REMEMBERED = 60
"""Seconds in which something was measured; of each the largest lag."""
LATELY = 15.0
"""Seconds; as long as a scrape is usually away."""


class LoopLag:
    """One probe at a time: "run this now", and the time until it was run.

    The methods belong to the measuring thread; the measured loop only appends.
    """

    def __init__(
        self, loop: asyncio.AbstractEventLoop, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._loop = loop
        self._monotonic = monotonic
        # The second in which a measurement ended, and its lag. Probes may be many: /health asks for them.
        self._lags: deque[tuple[int, float]] = deque(maxlen=REMEMBERED)
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

    def worst(self, within: float = LATELY) -> float | None:
        """The largest lag of the last so many seconds, up to 60, with what is being waited for.

        In seconds; None when nothing was measured.
        """
        pending, now = self._pending_since, self._monotonic()
        lags = [lag for second, lag in list(self._lags) if second >= now - within - 1]
        if pending is not None:
            lags.append(now - pending)
        return max(lags, default=None)

    def waiting(self) -> float:
        """Seconds since the measurement that is under way was started; 0 when none is."""
        pending = self._pending_since
        return 0.0 if pending is None else self._monotonic() - pending

    def _answer(self, asked: float) -> None:
        now = self._monotonic()
        second, lag = int(now), now - asked
        if self._lags and self._lags[-1][0] == second:
            self._lags[-1] = (second, max(lag, self._lags[-1][1]))
        else:
            self._lags.append((second, lag))
        self._pending_since = None
