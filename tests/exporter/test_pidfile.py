"""The pidfile as a lock."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
from pathlib import Path

import pytest

from exporter.errors import AlreadyRunning, UsageError
from exporter.pidfile import PidFile


def test_holds(tmp_path: Path) -> None:
    """Whoever comes second is told who was first; whoever ends makes place."""
    path = tmp_path / "probe.pid"
    first = PidFile(path)
    first.write()
    assert path.read_text() == f"{os.getpid()}\n"
    with pytest.raises(AlreadyRunning) as refused:
        PidFile(path)
    assert str(refused.value) == f"process {os.getpid()} is running already: it has {path}"
    assert refused.value.exit_code == 7
    first.remove()
    assert not path.exists()
    PidFile(path).remove()


def test_not_written_yet(tmp_path: Path) -> None:
    """Between the lock and the number somebody is there, whoever it is."""
    path = tmp_path / "probe.pid"
    first = PidFile(path)
    with pytest.raises(AlreadyRunning, match=r"^another process is running already"):
        PidFile(path)
    first.remove()


def test_ends_with_its_process(tmp_path: Path) -> None:
    """A pidfile of a process that was killed keeps nobody out."""
    path = tmp_path / "probe.pid"
    code = (
        "import os; from pathlib import Path; from exporter.pidfile import PidFile;"
        f"PidFile(Path({str(path)!r})).write(); os.kill(os.getpid(), 9)"
    )
    subprocess.run([sys.executable, "-c", code], cwd=Path(__file__).parents[2], check=False)
    assert path.read_text() != ""
    PidFile(path).remove()


def test_cannot_be_written(tmp_path: Path) -> None:
    """A directory that is not there is named."""
    path = tmp_path / "missing" / "probe.pid"
    with pytest.raises(UsageError, match=f"^pidfile {path} cannot be written: No such file or directory$"):
        PidFile(path)


def test_removed_just_before_it_is_locked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever opened the file of one that ends meanwhile takes the next one: a lost file keeps nobody out."""
    path = tmp_path / "probe.pid"
    first, lock = PidFile(path), fcntl.flock

    def removed_first(file: int, how: int) -> None:
        monkeypatch.setattr(fcntl, "flock", lock)
        first.remove()
        lock(file, how)

    monkeypatch.setattr(fcntl, "flock", removed_first)
    second = PidFile(path)
    with pytest.raises(AlreadyRunning):
        PidFile(path)
    second.remove()


def test_may_not_be_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As in /run after privileges were dropped: it stays, and names no process any more."""
    path = tmp_path / "probe.pid"
    first = PidFile(path)
    first.write()

    def refused(path: Path) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "unlink", refused)
    first.remove()
    assert path.read_text() == ""
    PidFile(path).remove()
