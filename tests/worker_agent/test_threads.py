"""Blocking calls in threads that hold nobody up."""

from __future__ import annotations

import asyncio
import contextvars
import subprocess
import sys
import textwrap
import threading
from pathlib import Path

import pytest

from worker_agent.threads import Interrupted, in_daemon_thread

ROOT = Path(__file__).parents[2]


async def test_result() -> None:
    """The future gets what the call returns; it runs in a daemon thread of its own."""

    def work(text: str, number: int) -> tuple[str, int, bool, bool]:
        thread = threading.current_thread()
        return text, number, thread.daemon, thread is threading.main_thread()

    loop = asyncio.get_running_loop()
    assert await in_daemon_thread(loop, work, "a", 1) == ("a", 1, True, False)


@pytest.mark.parametrize(
    ("raised", "arrives", "text"),
    [
        (ValueError("no"), ValueError, "^no$"),
        (StopIteration(), RuntimeError, "^it raised StopIteration$"),
        (SystemExit(3), Interrupted, "^it raised SystemExit$"),
        (KeyboardInterrupt(), Interrupted, "^it raised KeyboardInterrupt$"),
    ],
)
async def test_exception(raised: BaseException, arrives: type[Exception], text: str) -> None:
    """What the call raises arrives too; what would end the process or a generator by another name."""

    def work() -> None:
        raise raised

    with pytest.raises(arrives, match=text):
        await in_daemon_thread(asyncio.get_running_loop(), work)


async def test_context() -> None:
    """Context variables of the caller are there, as `asyncio.to_thread` has it."""
    request = contextvars.ContextVar[str]("request")
    request.set("r1")
    assert await in_daemon_thread(asyncio.get_running_loop(), request.get) == "r1"


async def test_cancelled() -> None:
    """A call that ends after its future was cancelled is forgotten."""
    release, ended = threading.Event(), threading.Event()

    def work() -> None:
        release.wait(5.0)
        ended.set()

    call = in_daemon_thread(asyncio.get_running_loop(), work)
    call.cancel()
    release.set()
    assert await asyncio.to_thread(ended.wait, 5.0)
    await asyncio.sleep(0)
    assert call.cancelled()


def test_closed_loop() -> None:
    """A call that ends after its loop was closed harms nobody."""
    release = threading.Event()
    before = set(threading.enumerate())

    async def main() -> None:
        in_daemon_thread(asyncio.get_running_loop(), release.wait, 5.0)

    asyncio.run(main())
    [thread] = set(threading.enumerate()) - before
    release.set()
    thread.join(5.0)
    assert not thread.is_alive()


def test_exit() -> None:
    """The interpreter ends although a call never does."""
    code = """
        import asyncio, threading
        from worker_agent.threads import in_daemon_thread
        async def main():
            in_daemon_thread(asyncio.get_running_loop(), threading.Event().wait)
        asyncio.run(main())
        print("done")
    """
    command = [sys.executable, "-c", textwrap.dedent(code)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=20, cwd=ROOT, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "done\n", "")
