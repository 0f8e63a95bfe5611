"""Who started this process, asked in processes that were started in each of the ways."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from worker_agent.supervisor import Run, supervisor

ROOT = Path(__file__).parents[2]


def printed_by(directory: Path, code: str) -> list[str]:
    """The lines of a program, in order, once it and what it started have ended."""
    script = directory / "program.py"
    script.write_text(textwrap.dedent(code))
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, str(script)], capture_output=True, text=True, env=environment, timeout=30
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_alone() -> None:
    """A process that nobody multiplies has no supervisor."""
    assert supervisor() is None


def test_spawned(tmp_path: Path) -> None:
    """A spawned process is its parent's, also while it imports its parent's main module."""
    lines = printed_by(
        tmp_path,
        """
        import multiprocessing, os
        from worker_agent.supervisor import supervisor

        print(__name__, supervisor() == (None if __name__ == "__main__" else os.getppid()), flush=True)

        def work():
            print("working", supervisor() == os.getppid(), flush=True)

        if __name__ == "__main__":
            child = multiprocessing.get_context("spawn").Process(target=work)
            child.start()
            child.join()
        """,
    )
    assert lines == ["__main__ True", "__mp_main__ True", "working True"]


def test_gunicorn(tmp_path: Path) -> None:
    """A forked worker is the arbiter's; an arbiter that loads the application is its own."""
    lines = printed_by(
        tmp_path,
        """
        import os
        from gunicorn.arbiter import Arbiter
        from worker_agent.supervisor import supervisor

        def forked(action):
            if os.fork() == 0:
                action()
                os._exit(0)
            os.wait()

        def told(who):
            print(who, {os.getpid(): "itself", os.getppid(): "its parent"}.get(supervisor()), flush=True)

        told("before")
        arbiter = object.__new__(Arbiter)
        told("loading")
        arbiter.pid = os.getpid()
        told("reloading")
        forked(lambda: told("worker"))
        forked(lambda: forked(lambda: told("a child of a worker")))
        """,
    )
    assert lines == [
        "before None",
        "loading itself",
        "reloading itself",
        "worker its parent",
        "a child of a worker None",
    ]


def test_a_run_is_one_life_of_a_process() -> None:
    """It lasts while the process does, and another process with that pid is another run."""
    with subprocess.Popen(["sleep", "60"]) as process:
        run = Run.of(process.pid)
        assert Run.parse(str(run)) == run
        assert run.lasts()
        assert not Run(run.pid, str(int(run.started) + 1)).lasts()
        process.kill()
    assert not run.lasts()


def test_unusual_program_names(tmp_path: Path) -> None:
    """A program's name may look like the end of its own name."""
    program = tmp_path / "a) S 1 (b"
    shutil.copy(shutil.which("sleep") or "", program)
    with subprocess.Popen([program, "60"]) as process:
        assert int(Run.of(process.pid).started) > int(Run.of(os.getpid()).started)
        process.kill()


@pytest.mark.parametrize("text", ["", "12", "12-", "notes", "12-abc"])
def test_other_directories_are_no_runs(text: str) -> None:
    """Whatever else lies beside the directories of runs is not taken for one."""
    with pytest.raises(ValueError, match="invalid literal"):
        Run.parse(text)
