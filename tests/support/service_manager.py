"""What systemd is to a service that it started: a socket that is told."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator
from pathlib import Path


class ServiceManager:
    """Listens as systemd does, and hands out the environment that it gives to a service.

    `watchdog` is `WatchdogSec=` in seconds, 0 for none.
    """

    def __init__(self, directory: Path, watchdog: float = 0.0) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        path = directory / "notify"
        self._socket.bind(str(path))
        self._socket.settimeout(20.0)
        self.environment = {"NOTIFY_SOCKET": str(path)}
        if watchdog:
            self.environment["WATCHDOG_USEC"] = str(round(watchdog * 1e6))

    def hears(self, *, within: float = 20.0) -> str:
        """The next thing that it is told. Raises TimeoutError."""
        self._socket.settimeout(within)
        return self._socket.recv(4096).decode()

    def forget(self) -> None:
        """Whatever has been told so far."""
        self._socket.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            while True:
                self._socket.recv(4096)

    def close(self) -> None:
        self._socket.close()


@contextlib.contextmanager
def service_manager(directory: Path, watchdog: float = 0.0) -> Iterator[ServiceManager]:
    manager = ServiceManager(directory, watchdog)
    try:
        yield manager
    finally:
        manager.close()
