"""What systemd is told of a service: that it is ready, that its event loop turns, that it ends.

Both programs use it, the application by its agent. Where nobody asked, nothing is told: see sd_notify(3).
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Iterator, Mapping

_MICROSECOND = 1e-6


@contextlib.contextmanager
def told() -> Iterator[None]:
    """Ready for the length of a block, and alive for as long as the running event loop turns.

    systemd ends a service whose unit says `WatchdogSec=` when it has not heard of it for that long. It
    hears from the event loop and from nothing else, so that a loop that is stuck is noticed.
    """
    if not os.environ.get("NOTIFY_SOCKET"):
        yield
        return
    from sdnotify import SystemdNotifier

    systemd = SystemdNotifier()
    if systemd.socket is not None:
        systemd.socket.setblocking(False)  # a manager that does not listen holds up nobody
    loop = asyncio.get_running_loop()
    timer: asyncio.TimerHandle | None = None

    def live() -> None:
        nonlocal timer
        systemd.notify("WATCHDOG=1")
        timer = loop.call_later(pause, live)

    systemd.notify("READY=1")
    pause = _pause(os.environ)
    if pause > 0:
        live()
    try:
        yield
    finally:
        if timer is not None:
            timer.cancel()
        systemd.notify("STOPPING=1")
        if systemd.socket is not None:
            systemd.socket.close()


def _pause(environment: Mapping[str, str]) -> float:
    """Seconds between two signs of life: half of what systemd waits, as it advises. 0 for none."""
    if environment.get("WATCHDOG_PID", str(os.getpid())) != str(os.getpid()):
        return 0.0
    try:
        return max(0.0, int(environment.get("WATCHDOG_USEC", "")) * _MICROSECOND / 2)
    except ValueError:
        return 0.0
