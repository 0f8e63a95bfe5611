"""A pidfile that is a lock: as long as its process lives, however it ends, nobody else starts."""

from __future__ import annotations

import contextlib
import fcntl
import os
from pathlib import Path

from exporter.errors import AlreadyRunning, UsageError


class PidFile:
    """Locked from the moment it is made; a forked child that keeps `file` keeps the lock.

    Raises:
        AlreadyRunning: another process has it; says which.
        UsageError: it cannot be written.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            self.file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise UsageError(f"pidfile {path} cannot be written: {error.strerror}") from None
        try:
            fcntl.flock(self.file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(self.file, 32, 0).decode(errors="replace").strip()
            os.close(self.file)
            raise AlreadyRunning(path, holder) from None

    def write(self) -> None:
        """Say which process this is: after the last fork."""
        os.ftruncate(self.file, 0)
        os.pwrite(self.file, f"{os.getpid()}\n".encode(), 0)

    def remove(self) -> None:
        # Whoever dropped its privileges may not; the lock ends all the same.
        with contextlib.suppress(OSError):
            self._path.unlink()
        os.close(self.file)
