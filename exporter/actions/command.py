"""Runs a command: without a shell, in a process group of its own, for so long and no longer.

A run is over when the command has ended and nothing of its group holds its output any more. What is to go on
after it, a server that it starts, has to leave: into a session of its own, or with its output elsewhere.

Processes are the standard library's and not the event loop's: uvloop lets a child inherit its output a second
time, so that one that has turned it elsewhere holds it nevertheless.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shlex
import signal
import subprocess
from collections.abc import Mapping
from typing import Annotated, get_args

from pydantic import BeforeValidator, Field, SecretStr, WithJsonSchema

from exporter.actions.base import OUTPUT_KEPT, Options, Ran
from exporter.core.acting import RunFailure
from exporter.settings import Settings

GRACE = 5.0
"""Seconds between the request to end and the end."""

_LOOK = 0.05
"""Seconds between two looks at who is still there, of which no system tells us."""

_BLINK = 0.005
"""The same when it can only be a moment, because nobody holds the output any more."""

_RELUCTANCE = 1.0
"""Seconds that a killed command is waited for: one of another user, or one stuck in the kernel, stays."""

_PIECE = 65_536
_PAUSE = 0.005
"""Output is read in pieces, a pause after each, some 13 MB/s: who writes faster waits, not the exporter."""


def _words(command: object) -> object:
    if isinstance(command, str):
        try:
            command = shlex.split(command)
        except ValueError as error:
            raise ValueError(f"cannot be split into words: {str(error).lower()}") from None
    if isinstance(command, list | tuple):
        if not command or not command[0]:
            raise ValueError("must name a program")
        if any(isinstance(word, str) and "\0" in word for word in command):
            raise ValueError("must not contain a NUL character")
    return command


_LINE = {"type": "string", "minLength": 1}


class CommandOptions(Options):
    """A command to run, without a shell."""

    command: Annotated[
        tuple[str, ...],
        BeforeValidator(_words),
        WithJsonSchema({"anyOf": [_LINE, {"type": "array", "items": {"type": "string"}, "minItems": 1}]}),
        Field(description="A line, which is split like a shell does it, or a list, which is taken as it is."),
    ]

    @property
    def shown(self) -> str:
        return shlex.join(self.command)


async def run(options: CommandOptions, variables: Mapping[str, str], timeout: float) -> Ran:
    """Run the command once, with `variables` added to the environment. See `base.RunHook`."""
    try:
        reading, writing = os.pipe()
    except OSError as error:
        return Ran(RunFailure.START, f"{options.command[0]}: {error.strerror or error}")
    output = _Output(reading)
    try:
        try:
            process = subprocess.Popen(  # noqa: ASYNC220  # event loops start theirs just so
                options.command,
                stdin=subprocess.DEVNULL,
                stdout=writing,
                stderr=writing,
                start_new_session=True,
                env={**_environment(), **variables},
            )
        finally:
            os.close(writing)
    except OSError as error:
        output.close()
        return Ran(RunFailure.START, f"{options.command[0]}: {error.strerror or error}")
    except BaseException:
        output.close()
        raise
    reader = asyncio.create_task(output.read())
    try:
        late = await _wait(process, reader, timeout)
        await asyncio.wait({reader}, timeout=_LOOK)  # what it wrote last may still be in the pipe
    finally:
        reader.cancel()
        await asyncio.gather(reader, return_exceptions=True)
        output.close()
    if late is not None:
        return Ran(RunFailure.TIMEOUT, late, output.text)
    if process.returncode != 0:
        return Ran(RunFailure.EXIT, _ending(process.returncode), output.text)
    return Ran(output=output.text)


async def _wait(process: subprocess.Popen[bytes], reader: asyncio.Task[None], timeout: float) -> str | None:
    """Until the run is over, or made to be over; what was too late in that case."""
    try:
        async with asyncio.timeout(timeout):
            while process.poll() is None or (not reader.done() and _signal(process.pid, 0)):
                if reader.done():
                    await asyncio.sleep(_BLINK)
                else:
                    await asyncio.wait({reader}, timeout=_LOOK)
        return None
    except TimeoutError:
        ended = process.returncode
        await _end(process)
        if ended is not None:
            return f"what it started was not over after {timeout:g} s; itself it ended with {_ending(ended)}"
        if process.returncode is None:
            return f"not over after {timeout:g} s, and it cannot be killed"
        return f"not over after {timeout:g} s"
    except asyncio.CancelledError:
        await _end(process)
        raise


async def _end(process: subprocess.Popen[bytes]) -> None:
    """SIGTERM to the whole group, SIGKILL once it had its time; at once if this is cancelled."""
    try:
        if _signal(process.pid, signal.SIGTERM):
            await _gone(process, GRACE)
    finally:
        _signal(process.pid, signal.SIGKILL)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(_BLINK)  # or it would be a zombie, should there be no time for more
    await _gone(process, _RELUCTANCE)


async def _gone(process: subprocess.Popen[bytes], patience: float) -> None:
    """Wait until it and all of its group are gone, or patience is."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(patience):
            while process.poll() is None or _signal(process.pid, 0):  # noqa: ASYNC110  # nobody tells
                await asyncio.sleep(_BLINK)


def _signal(group: int, number: int) -> bool:
    """Whether anybody was there to get it. While a group has members nobody else gets its number."""
    try:
        os.killpg(group, number)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True  # it became another user's
    return True


def _ending(code: int | None) -> str:
    if code is None or code >= 0:
        return f"exit code {code}"
    try:
        return f"signal {signal.Signals(-code).name}"
    except ValueError:
        return f"signal {-code}"


class _Output:
    """The reading end of a pipe, and the last of what came out of it."""

    def __init__(self, reading: int) -> None:
        os.set_blocking(reading, False)
        self._reading = reading
        self._last = b""

    async def read(self) -> None:
        """Until nobody can write any more."""
        loop = asyncio.get_running_loop()
        while True:
            readable = asyncio.Event()
            loop.add_reader(self._reading, readable.set)
            try:
                await readable.wait()
            finally:
                loop.remove_reader(self._reading)
            piece = os.read(self._reading, _PIECE)
            if not piece:
                return
            self._last = (self._last + piece)[-OUTPUT_KEPT:]
            await asyncio.sleep(_PAUSE)

    @property
    def text(self) -> str:
        return self._last.decode(errors="replace")

    def close(self) -> None:
        os.close(self._reading)


_SECRETS = frozenset(
    f"{name.upper()}{suffix}"
    for name, field in Settings.model_fields.items()
    if SecretStr in (field.annotation, *get_args(field.annotation))
    for suffix in ("", "_FILE")
)


def _environment() -> dict[str, str]:
    """The exporter's own, without what only the exporter needs to know."""
    return {name: value for name, value in os.environ.items() if name.upper() not in _SECRETS}
