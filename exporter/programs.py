"""Programs that are started for somebody at a terminal: waited for, watched, and ended with all the rest."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import FrameType

from exporter.errors import ExporterError

READY_WITHIN = 30.0
END_WITHIN = 8.0
"""Seconds until a program that was asked to end is killed."""

LINES_QUOTED = 20
"""Of the end of what a program said, when it failed."""

_ENDINGS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

# What is asked here is on this machine: a proxy of the environment is not for it.
_direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))


class ProgramFailed(ExporterError):
    """A program did not come up, or ended; the text holds the end of what it said."""


def fetch(url: str, *, timeout: float = 5.0) -> bytes:
    """The body of a successful answer. Raises OSError."""
    with _direct.open(url, timeout=timeout) as answer:
        body: bytes = answer.read()
        return body


class Program:
    """A process in a session of its own, so that Ctrl-C reaches only who started it."""

    def __init__(self, name: str, command: Sequence[str], *, env: Mapping[str, str], directory: Path) -> None:
        self.name = name
        self.log = directory / f"{name.lower().replace(' ', '-')}.log"
        self._command = command
        self._env = {**os.environ, **env, "PYTHONPATH": os.pathsep.join(_import_path())}
        self._directory = directory
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it, or start it again. In its own directory, where no `.env` of the user's is read."""
        with self.log.open("ab") as log, uninterrupted():
            self._process = subprocess.Popen(
                self._command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=self._env,
                cwd=self._directory,
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        assert self._process is not None, f"{self.name} was not started"
        return self._process.pid

    @property
    def ended(self) -> bool:
        return self._process is None or self._process.poll() is not None

    def wait_until_it_answers(self, url: str) -> None:
        """Raises ProgramFailed: it ended, or took too long."""
        deadline = time.monotonic() + READY_WITHIN
        while not self.ended and time.monotonic() < deadline:
            try:
                fetch(url, timeout=2.0)
            except OSError:
                time.sleep(0.1)
            else:
                return
        raise self.failed(f"did not come up at {url}")

    def failed(self, how: str) -> ProgramFailed:
        """The error to raise, with the end of what the program said."""
        said = self.log.read_text(errors="replace").splitlines()
        return ProgramFailed("\n".join([f"{self.name} {how}; it said:", *said[-LINES_QUOTED:]]))

    def ask_to_end(self) -> None:
        if self._process is not None and not self.ended:
            self._process.send_signal(signal.SIGCONT)
            self._process.terminate()

    def end(self) -> None:
        """Ask, wait, and in the end kill."""
        self.ask_to_end()
        if self._process is not None:
            try:
                self._process.wait(END_WITHIN)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()


class Programs:
    """A `with` block after which none of the programs that were started in it is left."""

    def __init__(self) -> None:
        self._started: list[Program] = []

    def __enter__(self) -> Programs:
        return self

    def __exit__(self, *_: object) -> None:
        # All are asked first: one after the other they would take as long as all together.
        for program in self._started:
            program.ask_to_end()
        for program in self._started:
            program.end()

    def start(self, program: Program) -> Program:
        self._started.append(program)
        program.start()
        return program


def _import_path() -> Iterator[str]:
    """What was set, and where this package is: a checkout that is not installed lies in no other path."""
    if path := os.environ.get("PYTHONPATH"):
        yield path
    yield str(Path(__file__).parents[1])


def end_by_signals() -> None:
    """Make SIGTERM and a closed terminal what Ctrl-C is: a KeyboardInterrupt. What is ignored stays so."""
    for number in _ENDINGS:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _interrupt)


def end_undisturbed() -> None:
    """Whoever presses Ctrl-C twice wants it to end, but not to leave half of it behind."""
    for number in _ENDINGS:
        signal.signal(number, signal.SIG_IGN)


@contextlib.contextmanager
def uninterrupted() -> Iterator[None]:
    """Hold back what would interrupt until the end of the block: no started process gets lost."""
    came: list[int] = []
    before = {number: signal.getsignal(number) for number in _ENDINGS}
    for number, handler in before.items():
        if handler is not signal.SIG_IGN:
            signal.signal(number, lambda number, frame: came.append(number))
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    if came:
        raise KeyboardInterrupt


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt
