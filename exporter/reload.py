"""Read the configuration again while the exporter runs. A bad file leaves what runs in place."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

from exporter.clock import Clock
from exporter.configuration.loading import load
from exporter.configuration.model import Configuration, ConfigurationError
from exporter.telemetry import Telemetry

logger = logging.getLogger(__name__)


class Reloader:
    """One file, and whoever goes on by what it says.

    Args:
        path: None where there is no file; then there is nothing to reload.
        apply: called on the event loop with a configuration that is good.
    """

    def __init__(
        self,
        path: Path | None,
        apply: Callable[[Configuration], None],
        *,
        clock: Clock,
        telemetry: Telemetry,
    ) -> None:
        self._path = path
        self._apply = apply
        self._clock = clock
        self._telemetry = telemetry
        self._reading = asyncio.Lock()
        self._asked: set[asyncio.Task[str | None]] = set()
        self._loaded()

    async def reload(self) -> str | None:
        """Returns what is wrong with the file, a line for each problem; None if it holds from now on."""
        if self._path is None:
            return "there is no configuration file; --config.file names one"
        async with self._reading:
            try:
                # In a thread: thousands of probes take a moment to read.
                configuration = await asyncio.to_thread(load, self._path)
            except ConfigurationError as error:
                self._telemetry.config_last_reload_successful.set(0)
                for problem in error.problems:
                    logger.error("configuration not reloaded: %s: %s", error.path, problem)
                return str(error)
            self._apply(configuration)
            self._loaded()
        logger.info("configuration reloaded from %s", self._path)
        return None

    @contextlib.contextmanager
    def on_hangup(self) -> Iterator[None]:
        """Reload on SIGHUP for the length of a block; on the event loop, and where there is a file."""
        if self._path is None or threading.current_thread() is not threading.main_thread():
            yield
            return
        loop = asyncio.get_running_loop()
        before = signal.signal(signal.SIGHUP, lambda number, frame: loop.call_soon_threadsafe(self._soon))
        try:
            yield
        finally:
            signal.signal(signal.SIGHUP, before)

    def _soon(self) -> None:
        task = asyncio.create_task(self.reload())
        self._asked.add(task)
        task.add_done_callback(self._asked.discard)

    def _loaded(self) -> None:
        self._telemetry.config_last_reload_successful.set(1)
        self._telemetry.config_last_reload_success_timestamp.set(self._clock.now().wall)
