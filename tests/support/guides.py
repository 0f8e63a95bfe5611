"""Guides are followed: commands are taken from a page and typed into a shell, one after the other."""

from __future__ import annotations

import contextlib
import os
import queue
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

_BLOCK = re.compile(r"^```(console|sh)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_ENDED = "\x04ended"


class Command(NamedTuple):
    """What the reader types, and what the page shows as its output; empty if it shows none."""

    text: str
    shown: str = ""


def commands(page: str) -> list[Command]:
    """All of them, in order. In a `console` block each follows a prompt, in a `sh` block each is a line."""
    return [
        command
        for language, block in _BLOCK.findall(page)
        for command in (_with_prompts(block) if language == "console" else map(Command, _lines(block)))
    ]


def example(page: str, language: str) -> str:
    """The one block of this language."""
    (block,) = re.findall(rf"^```{language}\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    assert isinstance(block, str)
    return block


def section(page: str, heading: str) -> str:
    """From a heading of the second level to the next."""
    _, found, rest = page.partition(f"\n## {heading}\n")
    assert found, heading
    return rest.partition("\n## ")[0]


def _lines(block: str) -> list[str]:
    return block.replace("\\\n", "").splitlines()


def _with_prompts(block: str) -> Iterator[Command]:
    for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
        command, _, shown = part.replace("\\\n", "").partition("\n")
        yield Command(command, shown)


def alike(output: str) -> str:
    """Without what differs each time: times, ages, and how columns are set."""
    output = re.sub(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC", "TIME", output)
    output = re.sub(r"\d+ s ago", "AGE", output)
    return "\n".join(" ".join(line.split()) for line in output.strip().splitlines())


class Shell:
    """One bash for as long as the guide lasts; what is started in the background goes on.

    `replaced` are the placeholders of the guide and what stands for them here: addresses, which are others in
    each test.
    """

    def __init__(self, directory: Path, replaced: Mapping[str, str], **variables: object) -> None:
        self.directory = directory
        self._replaced = replaced
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        self._process = subprocess.Popen(
            ["bash", "--norc", "--noprofile"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            cwd=directory,
            # What is installed already is not looked for anywhere.
            env={"PATH": path, "HOME": str(directory), "PIP_NO_INDEX": "1"}
            | {name: str(value) for name, value in variables.items()},
            start_new_session=True,
        )
        self._said: queue.Queue[str] = queue.Queue()
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def here(self, text: str) -> str:
        """A text of the guide with the addresses of this test."""
        # In one pass, or a port could be taken for the placeholder of another.
        placeholders = "|".join(map(re.escape, self._replaced))
        return re.sub(placeholders, lambda found: self._replaced[found[0]], text)

    def write(self, name: str, text: str) -> None:
        """A file that the guide has its reader write."""
        (self.directory / name).write_text(self.here(text))

    def type(self, command: str, *, within: float = 30.0) -> tuple[int, str]:
        """Run a command to its end; its exit code and what it and its errors said."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{self.here(command)}\necho; echo '{_ENDED}' $?\n")
        self._process.stdin.flush()
        lines: list[str] = []
        deadline = time.monotonic() + within
        while True:
            try:
                line = self._said.get(timeout=max(0.0, deadline - time.monotonic()))
            except queue.Empty:
                raise AssertionError(f"not over within {within} s: {command}\n{''.join(lines)}") from None
            if line.startswith(_ENDED):
                return int(line.split()[1]), "".join(lines)
            lines.append(line)

    def follow(self, command: Command, *, within: float = 60.0) -> None:
        """Do as a reader does: look again until what is shown is there. AssertionError: it is not."""
        deadline = time.monotonic() + within
        while True:
            code, output = self.type(command.text)
            if code == 0 and (not command.shown or alike(output) == alike(self.here(command.shown))):
                return
            if not command.shown or time.monotonic() > deadline:
                raise AssertionError(f"{command.text}\nended with {code}, and said:\n{output}")
            time.sleep(0.5)

    def close(self) -> None:
        """End the shell and all that it has started."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self._reader.join()
        for stream in (self._process.stdin, self._process.stdout):
            assert stream is not None
            stream.close()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._said.put(line)


@contextlib.contextmanager
def shell(directory: Path, replaced: Mapping[str, str], **variables: object) -> Iterator[Shell]:
    """A shell for the length of the block."""
    opened = Shell(directory, replaced, **variables)
    try:
        yield opened
    finally:
        opened.close()
