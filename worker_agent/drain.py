"""Holds back the SIGTERM that ends a server, until load balancers have noticed that it is to end."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Callable

from worker_agent.background import Background

ECHO = 1.0
"""Seconds in which another SIGTERM is the same one: systemd sends it to every process of a service, and then
the parent of several server processes hands on its own; uvicorn's does so half a second later."""


class Drain:
    """The first SIGTERM comes through after the delay, the next one at once.

    Its methods are for a signal handler: no locks, no logs.

    Args:
        delay: seconds; with 0 nothing is held back.
        background: where the time passes.
    """

    def __init__(
        self, delay: float, background: Background, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._delay = delay
        self._background = background
        self._monotonic = monotonic
        self._began: float | None = None
        self._over = delay == 0
        self._timer: asyncio.TimerHandle | None = None

    def holds(self, number: int) -> bool:
        """Whether this signal has to wait; the one that began the delay is sent again at its end."""
        if number != signal.SIGTERM or self._over:
            return False
        now = self._monotonic()
        if self._began is None:
            self._began = now
            return self._background.call(self._wait)
        return now - self._began < ECHO

    def end(self) -> None:
        """Hold nothing back any more, and send nothing again."""
        self._over = True
        self._background.call(self._forget)

    def _wait(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(self._delay, self._send_again)

    def _send_again(self) -> None:
        self._over = True
        os.kill(os.getpid(), signal.SIGTERM)

    def _forget(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
