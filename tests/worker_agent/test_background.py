"""A thread with a loop of its own that holds nobody up."""

from __future__ import annotations

import asyncio
import concurrent.futures
import logging
import subprocess
import sys
import textwrap
import threading
from pathlib import Path

import pytest

from worker_agent.background import Background, DaemonLoop


def run(main: object) -> object:
    with asyncio.Runner(loop_factory=DaemonLoop) as runner:
        return runner.run(main)  # type: ignore[arg-type]


def test_runs_until_told() -> None:
    """It runs its coroutine in a daemon thread, takes calls into it, and can be joined."""
    stop = asyncio.Event()
    seen: list[threading.Thread] = []

    async def main() -> None:
        seen.append(threading.current_thread())
        await stop.wait()

    background = Background(main)
    assert background.join(0.01) is False
    background.call(stop.set)
    assert background.join(5.0) is True
    assert seen[0].daemon
    background.call(stop.set)


def test_defects_are_told(caplog: pytest.LogCaptureFixture) -> None:
    """A coroutine that raises ends the thread with a traceback in the log, and nothing else."""

    async def main() -> None:
        raise LookupError("a defect")

    assert Background(main).join(5.0)
    [record] = caplog.records
    assert record.levelno == logging.ERROR
    assert record.exc_info is not None


def test_blocking_calls() -> None:
    """Blocking calls run in a daemon thread and hand back their result or their exception."""

    async def main() -> tuple[bool, object]:
        loop = asyncio.get_running_loop()
        daemon = await loop.run_in_executor(None, lambda: threading.current_thread().daemon)
        [failure] = await asyncio.gather(loop.run_in_executor(None, int, "seven"), return_exceptions=True)
        return daemon, type(failure)

    assert run(main()) == (True, ValueError)


def test_own_executor() -> None:
    """Somebody's own executor is used as ever."""

    async def main() -> bool:
        with concurrent.futures.ThreadPoolExecutor(1, "mine") as pool:
            name = await asyncio.get_running_loop().run_in_executor(
                pool, lambda: threading.current_thread().name
            )
        return name.startswith("mine")

    assert run(main()) is True


def test_given_up() -> None:
    """A call that ends after nobody waits for it, or after the loop is closed, is forgotten."""
    release = threading.Event()
    ended = threading.Event()

    def slow() -> None:
        release.wait(5.0)
        ended.set()

    async def main() -> None:
        loop = asyncio.get_running_loop()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01):
                await loop.run_in_executor(None, slow)
        release.set()
        await asyncio.to_thread(ended.wait, 5.0)
        release.clear()
        ended.clear()
        loop.run_in_executor(None, slow)

    run(main())
    release.set()
    assert ended.wait(5.0)


def test_exit_waits_for_no_call() -> None:
    """The interpreter ends although a blocking call never does."""
    code = """
        import asyncio, threading
        from worker_agent.background import Background
        called = threading.Event()
        def hang():
            called.set()
            threading.Event().wait()
        async def main():
            await asyncio.get_running_loop().run_in_executor(None, hang)
        Background(main)
        called.wait()
        print("done")
    """
    command = [sys.executable, "-c", textwrap.dedent(code)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=20, cwd=Path(__file__).parents[2])
    assert (done.returncode, done.stdout, done.stderr) == (0, "done\n", "")
