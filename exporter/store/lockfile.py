"""A lease as a locked file. The kernel gives the lock back when its holder dies, however it dies."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from exporter.store.base import Owner


class LockFile:
    """Held by one process at a time, which writes into it who it is. The file itself stays.

    `flock`, not POSIX locks: those are lost when any part of the process closes the file, and do not
    keep two stores in one process apart. Every method may raise OSError.
    """

    def __init__(self, path: Path, owner: Owner) -> None:
        self._path = path
        self._owner = owner
        self._file: int | None = None

    def acquire(self) -> Owner | None:
        """Take the lock, or see that we still have it; None if it is ours now, else who holds it."""
        while not self.held():
            self.release()
            file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                holder = os.pread(file, 1000, 0)
                os.close(file)
                return Owner.from_json(holder)
            except OSError:
                os.close(file)
                raise
            os.ftruncate(file, 0)
            os.pwrite(file, self._owner.to_json().encode(), 0)
            self._file = file
        return None

    def release(self) -> None:
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def held(self) -> bool:
        """A lock on a file that somebody deleted keeps nobody out: it has to be taken anew."""
        if self._file is None:
            return False
        try:
            return os.path.samestat(os.fstat(self._file), self._path.stat())
        except FileNotFoundError:
            return False
