"""Places in a shared directory: who gets which, and when they are free again."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.processes import eventually
from worker_agent import slots
from worker_agent.slots import Kind, Place, Places, private_directory
from worker_agent.supervisor import Run

ROOT = Path(__file__).parents[2]
NEVER = Run(2**22 + 1, "1")
"""Of a process that cannot exist: pids are smaller."""


TAKE = """
import os, signal, sys
from pathlib import Path
from worker_agent import slots
from worker_agent.slots import Kind, Places

places = Places(Path(sys.argv[1]))
place = places.take(Kind.SLOT, lambda name: None)
"""


def take(directory: Path, kind: Kind = Kind.SLOT) -> Place:
    return Places(directory).take(kind, clean=lambda name: None)


@contextlib.contextmanager
def holder(directory: Path, code: str = "signal.pause()") -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Another process that takes a slot and then does what `code` says; with what it printed first."""
    command = [sys.executable, "-c", TAKE + textwrap.dedent(code), str(directory)]
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        assert process.stdout is not None
        try:
            yield process, process.stdout.readline().strip()
        finally:
            process.kill()


def test_the_lowest_free_slot(tmp_path: Path) -> None:
    """Slots count from 0, extras beside them, and one that is left is the next to be taken."""
    first, second, third = (take(tmp_path) for _ in range(3))
    extra = take(tmp_path, Kind.EXTRA)
    assert [place.name for place in (first, second, third, extra)] == ["slot0", "slot1", "slot2", "extra0"]
    assert Places(tmp_path).live() == {"slot0", "slot1", "slot2", "extra0"}
    second.leave()
    assert Places(tmp_path).live() == {"slot0", "slot2", "extra0"}
    again = take(tmp_path)
    assert (again.kind, again.number) == (Kind.SLOT, 1)
    for place in (first, again, third, extra):
        place.leave()
    assert Places(tmp_path).live() == frozenset()


def test_cleaning_comes_before_anybody_else(tmp_path: Path) -> None:
    """Whoever takes a place cleans it while nobody can look or take another."""
    seen = []

    def clean(name: str) -> None:
        seen.append(name)
        with pytest.raises(TimeoutError, match="another process has kept"):
            take(tmp_path)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(slots, "PATIENCE", 0.01)
        Places(tmp_path).take(Kind.SLOT, clean).leave()
    assert seen == ["slot0"]


def test_looking_does_not_wait_for_ever(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """While another process is stuck in the middle of taking a place, all that exist count as living."""
    monkeypatch.setattr(slots, "PATIENCE", 0.01)
    take(tmp_path).leave()
    with Places(tmp_path)._alone():
        assert Places(tmp_path).live() == {"slot0"}
    assert Places(tmp_path).live() == frozenset()


def test_a_killed_process_leaves_its_slot(tmp_path: Path) -> None:
    """However a process ends, its slot is free and its successor has the same number."""
    with (
        holder(tmp_path, "print(place.name); signal.pause()") as (first, name),
        holder(tmp_path, "print(place.name); signal.pause()") as (_, other),
    ):
        assert {name, other} == {"slot0", "slot1"}
        first.send_signal(signal.SIGKILL)
        first.wait()
        place = take(tmp_path)
        assert place.name == name
        place.leave()


def test_a_forked_child_keeps_no_slot(tmp_path: Path) -> None:
    """A child that outlives its parent does not keep the parent's slot, once it has dropped its copies."""
    code = """
        child = os.fork()
        if child == 0:
            place.forget()
            print(os.getpid())
        signal.pause()
    """
    with holder(tmp_path, code) as (parent, child):
        try:
            assert Places(tmp_path).live() == {"slot0"}
            parent.kill()
            parent.wait()
            assert Places(tmp_path).live() == frozenset()
        finally:
            os.kill(int(child), signal.SIGKILL)


def test_leaving_frees_it_in_spite_of_children(tmp_path: Path) -> None:
    """A place that is left is free although a child, forked before, still has copies of its locks."""
    code = """
        child = os.fork()
        if child != 0:
            place.leave()
            print(child)
        signal.pause()
    """
    with holder(tmp_path, code) as (_, child):
        try:
            assert Places(tmp_path).live() == frozenset()
        finally:
            os.kill(int(child), signal.SIGKILL)


NOT_OURS = ["customers.db", "notes.txt"]
LEFT_BEHIND = [
    *("counter_77.db", "counter_slot0.db", "customers.db", "gauge_liveall_slot0.db"),
    *("histogram_slot1.db.damaged", "notes.txt", "slot0.json", "summary_slot0.db"),
]


def leftovers(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir() if path.suffix not in (".lock", ""))


def leave_behind(directory: Path) -> None:
    for name in LEFT_BEHIND:
        (directory / name).touch()


def test_a_run_goes_on(tmp_path: Path) -> None:
    """Files of the same run of the server stay, though none of its processes is there at the moment."""
    Places(tmp_path).begin(NEVER)
    leave_behind(tmp_path)
    Places(tmp_path).begin(NEVER)
    assert leftovers(tmp_path) == LEFT_BEHIND


def test_a_new_run_begins_at_nothing(tmp_path: Path) -> None:
    """Files of an earlier run are removed, and what is not ours stays, a database for example."""
    leave_behind(tmp_path)
    Places(tmp_path).begin(NEVER)
    assert leftovers(tmp_path) == NOT_OURS


def test_a_run_that_overlaps_goes_on(tmp_path: Path) -> None:
    """While a process of the earlier run is there, its files stay and belong to the new run from then on."""
    Places(tmp_path).begin(NEVER)
    leave_behind(tmp_path)
    place = take(tmp_path)
    Places(tmp_path).begin(Run.of(os.getpid()))
    place.leave()
    Places(tmp_path).begin(Run.of(os.getpid()))
    assert leftovers(tmp_path) == LEFT_BEHIND


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where directories of our own are made."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    return tmp_path / f"heartbeat-agent-{os.getuid()}"


def test_private_directories(temporary: Path) -> None:
    """One for each run, which nobody else can enter; all processes of the run get the same."""
    mine = private_directory(Run.of(os.getpid()))
    assert mine == temporary / str(Run.of(os.getpid()))
    assert private_directory(Run.of(os.getpid())) == mine
    assert [path.stat().st_mode & 0o777 for path in (mine, temporary)] == [0o700, 0o700]


def test_directories_of_ended_runs_are_removed(temporary: Path) -> None:
    """Removed is what belongs to a supervisor that is gone and to no process that still serves."""
    for name in (str(NEVER), str(Run(NEVER.pid, "2")), str(Run.of(os.getpid())), "notes"):
        (temporary / name).mkdir(parents=True, mode=0o700)
    temporary.chmod(0o700)
    orphan = take(temporary / str(NEVER))
    mine = private_directory(Run.of(os.getppid()))
    orphan.leave()
    kept = {str(NEVER), str(Run.of(os.getpid())), "notes", mine.name}
    assert {path.name for path in temporary.iterdir()} == kept


@pytest.mark.parametrize("kind", ["open to others", "a link", "a file"])
def test_a_directory_that_is_not_private(temporary: Path, tmp_path: Path, kind: str) -> None:
    """A directory that somebody else could have prepared is not used, and the error says what to do."""
    if kind == "a link":
        (tmp_path / "elsewhere").mkdir(mode=0o700)
        temporary.symlink_to(tmp_path / "elsewhere")
    elif kind == "a file":
        temporary.touch()
    else:
        temporary.mkdir()
        temporary.chmod(0o755)
    with pytest.raises(OSError, match="PROMETHEUS_MULTIPROC_DIR" if kind != "a file" else "File exists"):
        private_directory(Run.of(os.getpid()))


def test_a_forked_child_between_lock_and_unlock(tmp_path: Path) -> None:
    """A look at the places ends with the look, even for a child that was forked in the middle of it."""
    code = """
        lock = slots._lock
        def forking(file, operation):
            result = lock(file, operation)
            if os.fork() == 0:
                signal.alarm(5)
                signal.pause()
            return result
        place.leave()
        slots._lock = forking
        places.live()
        print('looked')
        signal.pause()
    """
    with holder(tmp_path, code) as (_, said):
        assert said == "looked"
        eventually(lambda: take(tmp_path).name == "slot0", within=1)
