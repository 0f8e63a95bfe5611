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
        self.file = self._locked()
        while not self._is_there():
            os.close(self.file)
            self.file = self._locked()

    def _locked(self) -> int:
        try:
            file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise UsageError(f"pidfile {self._path} cannot be written: {error.strerror}") from None
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(file, 32, 0).decode(errors="replace").strip()
            os.close(file)
            raise AlreadyRunning(self._path, holder) from None
        return file

    def _is_there(self) -> bool:
        """Its holder may have ended, and removed it, before the lock was ours: that keeps nobody out."""
        try:
            return os.path.samestat(os.fstat(self.file), self._path.stat())
        except FileNotFoundError:
            return False

    def write(self) -> None:
        """Say which process this is: after the last fork."""
        os.ftruncate(self.file, 0)
        os.pwrite(self.file, f"{os.getpid()}\n".encode(), 0)

    def remove(self) -> None:
        # Whoever dropped its privileges may not remove it. The lock ends all the same, and nobody is
        # told to signal a number that may soon be another process.
        with contextlib.suppress(OSError):
            os.ftruncate(self.file, 0)
            self._path.unlink()
        os.close(self.file)
