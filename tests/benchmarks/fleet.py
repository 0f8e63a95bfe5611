"""The load generator as a test sees it: a process that is told what to do."""

from __future__ import annotations

import contextlib
import json
import resource
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import IO, NamedTuple

from tests.benchmarks.server import Server


class Status(NamedTuple):
    """What the load generator says since it was last asked; times in seconds.

    `late_*` is by how much heartbeats were sent after they were due: an honest load has little of it.
    """

    acknowledged: int
    sent: int
    late_p99: float
    late_max: float
    problems: dict[str, int]


class Fleet:
    """All workers of a load generator."""

    def __init__(self, process: subprocess.Popen[str], workers: int) -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        self.workers = workers
        self._process = process
        self._stdin: IO[str] = process.stdin
        self._stdout: IO[str] = process.stdout

    def status(self) -> Status:
        return self._tell("status")

    def freeze(self, count: int) -> Status:
        """The first `count` workers fall silent; their sockets stay open."""
        return self._tell(f"freeze {count}")

    def wait_until_connected(self, count: int | None = None, *, within: float) -> float:
        """Until so many workers are acknowledged, by default all; returns after how many seconds."""
        wanted = self.workers if count is None else count
        started = time.monotonic()
        problems: dict[str, int] = {}
        while (status := self.status()).acknowledged < wanted:
            problems.update(status.problems)
            assert time.monotonic() - started < within, (
                f"{status.acknowledged} of {wanted} workers connected within {within} s; {problems}"
            )
            time.sleep(0.1)
        return time.monotonic() - started

    def _tell(self, command: str) -> Status:
        self._stdin.write(f"{command}\n")
        self._stdin.flush()
        answer = self._stdout.readline()
        assert answer, f"the load generator ended with {self._process.poll()}"
        return Status(**json.loads(answer))


class Crowd(NamedTuple):
    """An exporter and its workers, all connected; `empty` and `connected` are its memory in bytes."""

    server: Server
    fleet: Fleet
    empty: int
    connected: int


@contextlib.contextmanager
def fleet(
    address: str, *, workers: int, interval: float, quiet: bool = False, rate: float = 800.0
) -> Iterator[Fleet]:
    """Workers that come at `rate` a second and beat until the end of the `with` block."""
    command = [sys.executable, "-m", "tests.benchmarks.load", "--exporter", address]
    command += ["--workers", str(workers), "--interval", str(interval), "--rate", str(rate)]
    if quiet:
        command.append("--quiet")
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        yield Fleet(process, workers)
    finally:
        assert process.stdin is not None
        process.stdin.close()
        try:
            process.wait(10.0)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        assert process.stdout is not None
        process.stdout.close()


def raise_file_limit(needed: int) -> None:
    """Let this process and those it starts open so many files; AssertionError where that may not be."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = max(soft, needed)
    assert hard == resource.RLIM_INFINITY or wanted <= hard, f"{needed} open files are needed, {hard} allowed"
    resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
