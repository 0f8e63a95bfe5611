"""A demo as somebody sees it who has started it in a terminal."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Thread

from .processes import eventually
from .serving import environment

# Tests that run in the background have Ctrl-C ignored, and so would all that they start.
AS_IN_A_TERMINAL = """
import os, signal, sys
for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
    signal.signal(number, signal.SIG_DFL)
os.execv(sys.argv[1], sys.argv[1:])
"""
USUAL_PORTS = (8000, 8001, 8002, 8003, 8004, 8005, 9090, 9093)
COMES_UP_WITHIN = 60.0
ENDS_WITHIN = 20.0


class Shown:
    """A demo that was started, and what it has printed so far."""

    def __init__(self, process: subprocess.Popen[str], mark: str) -> None:
        self.process = process
        self.lines: list[str] = []
        self._mark = mark.encode()
        self._reader = Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.append(line.rstrip("\n"))

    def says(self, pattern: str, *, within: float = COMES_UP_WITHIN) -> re.Match[str]:
        """Wait for a line in which this is found."""
        found: list[re.Match[str]] = []

        def look() -> object:
            found.extend(match for line in list(self.lines) if (match := re.search(pattern, line)))
            return found

        try:
            eventually(look, within=within)
        except AssertionError:
            raise AssertionError(f"not within {within} s: {pattern!r} in {self.lines}") from None
        return found[0]

    def end(self, number: int = signal.SIGINT) -> int:
        self.process.send_signal(number)
        return self.wait()

    def wait(self) -> int:
        code = self.process.wait(ENDS_WITHIN)
        self._reader.join(ENDS_WITHIN)
        return code

    def children(self) -> set[int]:
        """Every process that has the mark of this demo in its environment, but the demo itself."""
        found = set()
        for directory in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                if self._mark in (directory / "environ").read_bytes():
                    found.add(int(directory.name))
        return found - {self.process.pid}


Start = Callable[..., Shown]


@contextlib.contextmanager
def demos(directory: Path) -> Iterator[Start]:
    """What starts a demo with a place of its own for temporary files; nothing must be left at the end."""
    mark = f"DEMO_MARK={directory}"
    (directory / "tmp").mkdir()
    started: list[Shown] = []

    def start(
        *arguments: str, program: str = sys.executable, path: str = os.environ["PATH"], **variables: object
    ) -> Shown:
        variables = {"DEMO_MARK": directory, "TMPDIR": directory / "tmp", **variables, "PATH": path}
        process = subprocess.Popen(
            [sys.executable, "-c", AS_IN_A_TERMINAL, program, *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=environment(**variables, PYTHONUNBUFFERED=1),
            cwd=directory,
        )
        started.append(Shown(process, mark))
        return started[-1]

    with _usual_ports_taken():
        yield start
    left = [demo.children() for demo in started]
    for demo in started:
        if demo.process.poll() is None:
            demo.end(signal.SIGTERM)
        assert demo.process.stdout is not None
        demo.process.stdout.close()
    for pid in set().union(*left):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    assert left == [set() for _ in started]


def nothing_is_left(directory: Path, demo: Shown) -> bool:
    """Neither a process of the demo nor a file, in the directory that it was started in."""
    return demo.children() == set() and list((directory / "tmp").iterdir()) == []


@contextlib.contextmanager
def _usual_ports_taken() -> Iterator[None]:
    """Two demos that start at the same time, as tests do, would fight for them."""
    with contextlib.ExitStack() as stack:
        for port in USUAL_PORTS:
            taken = stack.enter_context(socket.socket())
            taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)  # by other tests at the same time
            with contextlib.suppress(OSError):  # somebody else has it, which is as good
                taken.bind(("127.0.0.1", port))
                taken.listen()
        yield
