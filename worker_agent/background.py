"""A thread with an event loop of its own that holds nobody up: not the application, not its exit."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import Executor
from typing import Any, TypeVar, TypeVarTuple, Unpack

from worker_agent.threads import in_daemon_thread

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

logger = logging.getLogger(__name__)


class DaemonLoop(asyncio.SelectorEventLoop):
    """Blocking calls (name resolution, registration) run in daemon threads: a name server that does not
    answer would else keep a stopped application alive."""

    def run_in_executor(
        self, executor: Executor | None, func: Callable[[Unpack[Ts]], T], *args: *Ts
    ) -> asyncio.Future[T]:
        if executor is not None:
            return super().run_in_executor(executor, func, *args)
        return in_daemon_thread(self, func, *args)


class Background:
    """One coroutine, running in a daemon thread from the moment this is made."""

    def __init__(self, main: Callable[[], Coroutine[Any, Any, None]]) -> None:
        self._loop = DaemonLoop()
        self._thread = threading.Thread(target=self._run, args=[main], name="heartbeat-agent", daemon=True)
        self._thread.start()

    def call(self, function: Callable[[], object]) -> bool:
        """Have the thread call it soon; False when it has ended. Safe in a signal handler."""
        try:
            self._loop.call_soon_threadsafe(function)
        except RuntimeError:
            return False
        return True

    def join(self, timeout: float) -> bool:
        """Wait for the end, at most `timeout` seconds; whether it came."""
        self._thread.join(timeout)
        return not self._thread.is_alive()

    def _run(self, main: Callable[[], Coroutine[Any, Any, None]]) -> None:
        try:
            with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
                runner.run(main())
        except Exception:
            logger.exception("the heartbeat thread ended by a defect; the exporter will report this worker")
