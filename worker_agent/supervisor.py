"""Who started this process as one of several that serve the same port, if anybody did."""

from __future__ import annotations

import gc
import multiprocessing
import os
import sys
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Run:
    """One life of a process. A pid alone is given to somebody else one day."""

    pid: int
    started: str
    """Clock ticks since the machine's start; "0" where the system does not tell."""

    def __str__(self) -> str:
        return f"{self.pid}-{self.started}"

    @classmethod
    def of(cls, pid: int) -> Run:
        return cls(pid, _started(pid) or "0")

    @classmethod
    def parse(cls, text: str) -> Run:
        """What `str` made; ValueError for anything else."""
        pid, _, started = text.partition("-")
        return cls(int(pid), str(int(started)))

    def lasts(self) -> bool:
        """Whether that very process is still there."""
        return _started(self.pid) == self.started


def supervisor() -> int | None:
    """The pid of the process that starts the server's processes; None when this one serves alone.

    Our own pid where the supervisor itself loads the application before it forks (`gunicorn --preload`).
    """
    if (pid := arbiter()) is not None:
        return pid
    # uvicorn spawns its workers. `_inheriting` marks the moments in which a spawned process imports its
    # parent's main module, where many people have their application: its parent is not known yet.
    spawned = hasattr(multiprocessing.current_process(), "_inheriting")
    return os.getppid() if spawned or multiprocessing.parent_process() is not None else None


_arbiter: object | None = None
"""Kept once it is found: the search touches every object, and in a forked process so copies them all."""


def arbiter() -> int | None:
    """The pid of gunicorn's supervisor, where that is this process or its parent.

    A forked worker keeps its arbiter's object and nothing else that tells who its supervisor is.
    """
    global _arbiter
    module = sys.modules.get("gunicorn.arbiter")
    if module is None:
        return None
    if _arbiter is None:
        # By `type`, because `isinstance` asks the object, and a proxy would ask what it stands for.
        _arbiter = next((each for each in gc.get_objects() if issubclass(type(each), module.Arbiter)), None)
    if _arbiter is None:
        return None
    # It learns its pid when it starts, which is after it has loaded the application.
    pid: int = getattr(_arbiter, "pid", None) or os.getpid()
    return pid if pid in (os.getpid(), os.getppid()) else None


def _started(pid: int) -> str | None:
    """When a process started; None when there is no such process."""
    try:
        # The name in parentheses may hold spaces and parentheses itself; 22nd is the start time.
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    except OSError:
        pass
    if Path("/proc/self/stat").exists():
        return None
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return None
    except PermissionError:
        pass
    return "0"
