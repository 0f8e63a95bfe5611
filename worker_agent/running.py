"""What exists from the start of an agent to its end: a thread, sockets, signal handlers, checks.

The end, in the order in which it happens on SIGTERM: `/health/ready` turns to 503; after the drain
delay the goodbye goes out and the server hears of the signal; it finishes the requests in flight and
ends the lifespan; the checks give back their connections; the health port closes.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Coroutine
from functools import partial
from typing import TYPE_CHECKING, Any

from worker_agent import systemd
from worker_agent.background import Background
from worker_agent.client import Client
from worker_agent.drain import Drain
from worker_agent.health.answers import Answers
from worker_agent.health.registry import Health
from worker_agent.identity import Identity
from worker_agent.instrumentation import processes
from worker_agent.lag import LoopLag
from worker_agent.registration import register
from worker_agent.session import Session
from worker_agent.signals import on_termination
from worker_agent.statistics import Statistics

if TYPE_CHECKING:
    from prometheus_client.registry import Collector, CollectorRegistry

STOP_TIMEOUT = 3.0
"""Longest wait for the goodbye, in seconds: an exporter that hangs does not hold up a shutdown."""

logger = logging.getLogger(__name__)


class Running:
    """Made on the application's event loop; runs until `end`.

    Raises:
        OSError: WORKER_HEALTH_PORT cannot be listened on.
    """

    def __init__(self, identity: Identity, statistics: Statistics, health: Health, answers: Answers) -> None:
        self.leaving = False
        self.lag = LoopLag(asyncio.get_running_loop())
        self._settings = identity.settings
        self._health = health
        self._serve_health: Callable[[], Coroutine[Any, Any, None]] = _serves_nothing
        if self._settings.worker_health_port is not None:
            self._serve_health = self._health_port(self._settings.worker_health_port + identity.slot, answers)
        post = partial(register, self._settings.exporter_url, identity.registration())
        self._client = Client(Session(statistics), post, lag=self.lag, checks=health.states)
        self._ended = asyncio.Event()
        self._shown: list[tuple[CollectorRegistry, Collector]] = []
        self._stop_sharing: Callable[[], None] = lambda: None
        self._background = Background(self._run)
        self._drain = Drain(self._settings.worker_drain_delay, self._background)
        self._restore_signals = on_termination(self.say_goodbye, hold=self._hold, last_words=self._wait)
        self._service = contextlib.ExitStack()
        self._service.enter_context(systemd.told())

    def _health_port(self, port: int, answers: Answers) -> Callable[[], Coroutine[Any, Any, None]]:
        # Imported here because few have such a port, and it brings a server with it.
        from worker_agent.health.server import listen, serve

        return partial(serve, listen(port), answers, asyncio.get_running_loop(), self.lag)

    def show(self, collector: Collector, registry: CollectorRegistry) -> None:
        """Have the registry show this until the end."""
        try:
            registry.register(collector)
        except ValueError:
            logger.warning("another agent runs in this process; its metrics are shown, not this one's")
        else:
            self._shown.append((registry, collector))

    def share(self, registry: CollectorRegistry) -> None:
        """Keep the other processes behind this port told of what the registry shows, until the end."""
        self._stop_sharing = processes.share(registry)

    def say_goodbye(self) -> None:
        """At once, while requests in flight go on. Called from a signal handler too: no locks, no logs."""
        self.leaving = True
        self._drain.end()
        self._background.call(partial(self._client.stop, leave=self._settings.worker_leave_on_shutdown))

    async def end(self) -> None:
        self._service.close()
        self.say_goodbye()
        self._restore_signals()
        await self._health.stop()
        if not await asyncio.to_thread(self._wait):
            logger.warning("the goodbye was not taken within %g s", STOP_TIMEOUT)
        await asyncio.to_thread(self._stop_sharing)
        for registry, collector in self._shown:
            with contextlib.suppress(KeyError):
                registry.unregister(collector)

    async def _run(self) -> None:
        health_port = asyncio.create_task(_told_when_broken(self._serve_health))
        try:
            await self._client.run()
            await self._ended.wait()
        finally:
            health_port.cancel()
            await asyncio.gather(health_port, return_exceptions=True)

    def _hold(self, number: int) -> bool:
        held = self._drain.holds(number)
        self.leaving = self.leaving or held
        return held

    def _wait(self) -> bool:
        self._background.call(self._ended.set)
        return self._background.join(STOP_TIMEOUT)


async def _serves_nothing() -> None:
    """Where no health port is wanted."""


async def _told_when_broken(serve: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """The port may fail; the heartbeats go on."""
    try:
        await serve()
    except Exception:
        logger.exception("the health port is closed by a defect; the heartbeats go on")
