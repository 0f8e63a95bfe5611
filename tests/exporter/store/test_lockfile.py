"""The lock beside a SQLite file."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from exporter.store.base import Owner
from exporter.store.lockfile import LockFile

A, B = Owner("db1", 1, "a"), Owner("db1", 2, "b")

HOLD = """
import sys
from pathlib import Path
from exporter.store.base import Owner
from exporter.store.lockfile import LockFile
lock = LockFile(Path(sys.argv[1]), Owner("db1", 7, "child"))
print(lock.acquire(), flush=True)
sys.stdin.read()
"""


def test_one_holder_at_a_time(tmp_path: Path) -> None:
    """The other is told who it is, until the lock is given back."""
    a, b = LockFile(tmp_path / "lock", A), LockFile(tmp_path / "lock", B)
    assert [a.acquire(), a.acquire(), b.acquire()] == [None, None, A]
    assert (a.held(), b.held()) == (True, False)
    a.release()
    assert [b.acquire(), a.acquire()] == [None, B]
    b.release()


def test_a_killed_holder_has_it_no_longer(tmp_path: Path) -> None:
    """The kernel frees the lock of a process that was killed with -9, at once."""
    lock = LockFile(tmp_path / "lock", A)
    command = [sys.executable, "-c", HOLD, str(tmp_path / "lock")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == b"None\n"
        assert lock.acquire() == Owner("db1", 7, "child")
        child.kill()
        child.wait()
        assert lock.acquire() is None
    lock.release()


def test_a_deleted_lock_file_is_noticed(tmp_path: Path) -> None:
    """Who deletes the file to get in gets in, and the old holder learns it."""
    a, b = LockFile(tmp_path / "lock", A), LockFile(tmp_path / "lock", B)
    a.acquire()
    (tmp_path / "lock").unlink()
    assert not a.held()
    assert [b.acquire(), a.acquire(), b.acquire()] == [None, B, None]
    b.release()


def test_a_deleted_lock_file_is_made_again(tmp_path: Path) -> None:
    """Where nobody else came, the old holder goes on with a new file."""
    lock, other = LockFile(tmp_path / "lock", A), LockFile(tmp_path / "lock", B)
    lock.acquire()
    (tmp_path / "lock").unlink()
    assert [lock.acquire(), other.acquire()] == [None, A]
    lock.release()


def test_a_place_where_no_file_can_be_is_an_error(tmp_path: Path) -> None:
    """Which one, the system says."""
    with pytest.raises(FileNotFoundError):
        LockFile(tmp_path / "missing" / "lock", A).acquire()


def test_a_lock_that_the_file_system_refuses_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As some network file systems do; no file is left open."""

    def refuse(file: int, how: int) -> None:
        raise OSError(37, "No locks available")

    monkeypatch.setattr("fcntl.flock", refuse)
    lock = LockFile(tmp_path / "lock", A)
    with pytest.raises(OSError, match="No locks available"):
        lock.acquire()
    assert not lock.held()
