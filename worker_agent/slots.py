"""Places in a directory that the processes of one server share.

A *slot* is the place of a process that serves: 0, 1, 2, ... Whoever starts takes the lowest that is free, so
a restarted process comes back under its predecessor's number. An *extra* is the place of any other process
that counts something: one that a worker has forked, or a supervisor that has loaded the application.

Held are `flock`s: the kernel gives them back however a process dies. POSIX locks would be lost as soon as any
part of the process closes the file. A forked child shares a `flock`, so it has to close its copies
(`Place.forget`), or it would keep the place of a parent that died.
"""

from __future__ import annotations

import contextlib
import fcntl
import itertools
import os
import shutil
import stat
import tempfile
import time
from collections.abc import Callable, Iterator
from enum import StrEnum
from pathlib import Path

from worker_agent.supervisor import Run

VALUES = ("counter_*.db", "gauge_*_*.db", "histogram_*.db", "summary_*.db")
"""What prometheus_client calls its files. In a directory that was given, a database may lie beside them."""

PATIENCE = 5.0
"""Seconds to wait for another process that is taking its place; it needs about a millisecond."""


class Kind(StrEnum):
    SLOT = "slot"
    EXTRA = "extra"


class Place:
    """Held until the process ends, however it ends."""

    def __init__(self, kind: Kind, number: int, *locks: int) -> None:
        self.kind = kind
        self.number = number
        self.name = f"{kind}{number}"
        self._locks = locks

    def leave(self) -> None:
        """Free it, also where a forked child still has copies."""
        for lock in self._locks:
            fcntl.flock(lock, fcntl.LOCK_UN)
        self.forget()

    def forget(self) -> None:
        """In a forked child: drop the copies. The parent keeps its place."""
        for lock in self._locks:
            os.close(lock)


class Places:
    """The places of one directory. Every method may raise OSError."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def begin(self, run: Run) -> None:
        """What an earlier run of the server left is removed, unless one of its processes is there still."""
        with self._alone():
            record = self.directory / "run"
            with contextlib.suppress(FileNotFoundError):
                if record.read_text() == str(run):
                    return
            if _is_deserted(self.directory):
                for pattern in (*VALUES, *(f"{values}.damaged" for values in VALUES), "slot*.json"):
                    for leftover in self.directory.glob(pattern):
                        leftover.unlink()
            record.write_text(str(run))

    def take(self, kind: Kind, clean: Callable[[str], None]) -> Place:
        """Take the lowest free place.

        Args:
            clean: called with the name of the place while nobody else can take or look.
        """
        with self._alone():
            for number in itertools.count():
                lock = _open(self.directory / f"{kind}{number}.lock")
                if _lock(lock, fcntl.LOCK_EX):
                    break
                os.close(lock)
            # Shared by all who live here, and respected by systemd's cleaning of temporary directories.
            home = _open(self.directory, _DIRECTORY)
            fcntl.flock(home, fcntl.LOCK_SH)
            place = Place(kind, number, lock, home)
            clean(place.name)
            return place

    def live(self) -> frozenset[str]:
        """Names of the places that a living process holds."""
        names = {path.stem: path for path in self.directory.glob("*.lock")}
        try:
            # Alone, because a lock that is tried for a moment looks taken to whoever wants the place.
            with self._alone():
                return frozenset(name for name, path in names.items() if not _is_free(path))
        except TimeoutError:
            return frozenset(names)

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        path = self.directory / "mutex"
        deadline = time.monotonic() + PATIENCE
        with _opened(path) as mutex:
            while not _lock(mutex, fcntl.LOCK_EX):
                if time.monotonic() > deadline:
                    raise TimeoutError(f"another process has kept {path} for {PATIENCE:g} s")
                time.sleep(0.002)
            yield


def private_directory(run: Run) -> Path:
    """A directory for one run of a server, which no other user can enter; those of ended runs are removed."""
    base = Path(tempfile.gettempdir()) / f"heartbeat-agent-{os.getuid()}"
    base.mkdir(mode=0o700, exist_ok=True)
    status = base.lstat()
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.getuid() or status.st_mode & 0o077:
        raise PermissionError(
            f"{base} must be a directory of this user that nobody else can enter; "
            "remove it, or set PROMETHEUS_MULTIPROC_DIR"
        )
    directory = base / str(run)
    directory.mkdir(mode=0o700, exist_ok=True)
    for other in base.iterdir():
        with contextlib.suppress(ValueError, OSError):
            # Workers outlive a supervisor that was killed, and go on serving.
            if not Run.parse(other.name).lasts() and _is_deserted(other):
                shutil.rmtree(other)
    return directory


def _is_deserted(directory: Path) -> bool:
    with _opened(directory, _DIRECTORY) as home:
        return _lock(home, fcntl.LOCK_EX)


def _is_free(path: Path) -> bool:
    with _opened(path) as lock:
        return _lock(lock, fcntl.LOCK_SH)


def _lock(file: int, operation: int) -> bool:
    try:
        fcntl.flock(file, operation | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


_FILE = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC


def _open(path: Path, flags: int = _FILE) -> int:
    return os.open(path, flags, 0o600)


@contextlib.contextmanager
def _opened(path: Path, flags: int = _FILE) -> Iterator[int]:
    """For a lock that ends with the block, whoever was forked in the meantime and has a copy."""
    file = _open(path, flags)
    try:
        yield file
    finally:
        fcntl.flock(file, fcntl.LOCK_UN)
        os.close(file)
