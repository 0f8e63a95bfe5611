"""The agent as an application sees it: start it, stop it, and have it add its routes."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, TypeVar

from worker_agent.background import Background
from worker_agent.client import Client
from worker_agent.environment import load
from worker_agent.identity import Identity
from worker_agent.lag import LoopLag
from worker_agent.registration import register
from worker_agent.session import Session
from worker_agent.settings import WorkerSettings
from worker_agent.signals import on_termination
from worker_agent.statistics import Statistics

if TYPE_CHECKING:
    from fastapi import FastAPI
    from prometheus_client.registry import CollectorRegistry

    from worker_agent.instrumentation.agent import AgentCollector

STOP_TIMEOUT = 3.0
"""Longest wait for the goodbye, in seconds: an exporter that hangs does not hold up a shutdown."""

METRICS_PATH = "/metrics"

logger = logging.getLogger(__name__)

StateT = TypeVar("StateT")
Lifespan = Callable[["FastAPI"], AbstractAsyncContextManager[StateT]]


class Agent:
    """Heartbeats for the process it runs in, from a thread of its own.

    Args:
        settings: read from the environment when left out.
        version: of the application; `instrument` takes it from the application when left out.

    Raises:
        SettingsError: the environment holds wrong settings; the error names all of them.
    """

    def __init__(self, settings: WorkerSettings | None = None, *, version: str | None = None) -> None:
        self.settings = load(WorkerSettings) if settings is None else settings
        self.version = version
        self.statistics = Statistics()
        self._created = time.monotonic()
        self._metrics_path: str | None = None
        self._registry: CollectorRegistry | None = None
        self._running: _Running | None = None

    @property
    def uptime(self) -> float:
        """Seconds since the agent was made."""
        return time.monotonic() - self._created

    @property
    def started(self) -> bool:
        return self._running is not None

    @property
    def ready(self) -> bool:
        """Started, and not yet asked to end."""
        return self._running is not None and not self._running.leaving

    @asynccontextmanager
    async def lifespan(self, app: FastAPI) -> AsyncIterator[None]:
        """For `FastAPI(lifespan=agent.lifespan)`."""
        async with self:
            yield

    def lifespan_around(self, inner: Lifespan[StateT]) -> Lifespan[StateT]:
        """A lifespan that does what `inner` does, and beats while the application serves.

        The first heartbeat follows the application's own start, the goodbye precedes its own end.
        """

        @asynccontextmanager
        async def both(app: FastAPI) -> AsyncIterator[StateT]:
            async with inner(app) as state, self:
                yield state

        return both

    async def __aenter__(self) -> Agent:
        if self._running is not None:
            raise RuntimeError("this agent is running already")
        identity = Identity(
            self.settings,
            boot_id=uuid.uuid4().hex,
            started_at=time.time(),
            version=self.version,
            metrics_path=self._metrics_path,
        )
        lag = LoopLag(asyncio.get_running_loop())
        self._running = _Running(identity, self.statistics, lag)
        if self._registry is not None:
            self._running.show_on(self._registry)
        logger.info("heartbeats of %s go to %s", identity.name, self.settings.exporter_url)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        running, self._running = self._running, None
        assert running is not None, "left before it was entered"
        await running.end()

    def instrument(self, app: FastAPI, *, registry: CollectorRegistry | None = None) -> None:
        """Give the application `/metrics` and the four health paths, and count its requests.

        Call it before the application starts. Counting requests needs the extra
        `heartbeat-exporter[worker]`; without it everything else is there and the log says what is not.

        Args:
            registry: what `/metrics` shows, in place of prometheus_client's default. Request metrics are
                always in the default one.
        """
        from prometheus_client import REGISTRY

        from worker_agent.health.routes import add_health_routes
        from worker_agent.instrumentation.exposition import add_metrics_route
        from worker_agent.instrumentation.requests import count_requests

        self._registry = REGISTRY if registry is None else registry
        self._metrics_path = METRICS_PATH
        self.version = self.version or app.version
        add_health_routes(app, self)
        add_metrics_route(app, METRICS_PATH, self._registry)
        count_requests(app)


class _Running:
    """What exists from the start of an agent to its end."""

    def __init__(self, identity: Identity, statistics: Statistics, lag: LoopLag) -> None:
        settings = identity.settings
        post = partial(register, settings.exporter_url, identity.registration())
        client = Client(Session(statistics), post, lag=lag)
        self.leaving = False
        self._statistics = statistics
        self._lag = lag
        self._stop = partial(client.stop, leave=settings.worker_leave_on_shutdown)
        self._background = Background(client.run)
        self._restore_signals = on_termination(self.say_goodbye, last_words=self._wait)
        self._shown: tuple[CollectorRegistry, AgentCollector] | None = None

    def show_on(self, registry: CollectorRegistry) -> None:
        from worker_agent.instrumentation.agent import AgentCollector

        collector = AgentCollector(self._statistics, self._lag)
        try:
            registry.register(collector)
        except ValueError:
            logger.warning("another agent runs in this process; its metrics are shown, not this one's")
        else:
            self._shown = (registry, collector)

    def say_goodbye(self) -> None:
        """At once, while requests in flight go on. Called from a signal handler too: no locks, no logs."""
        self.leaving = True
        self._background.call(self._stop)

    async def end(self) -> None:
        self.say_goodbye()
        self._restore_signals()
        if not await asyncio.to_thread(self._background.join, STOP_TIMEOUT):
            logger.warning("the goodbye was not taken within %g s", STOP_TIMEOUT)
        if self._shown is not None:
            registry, collector = self._shown
            with contextlib.suppress(KeyError):
                registry.unregister(collector)

    def _wait(self) -> None:
        self._background.join(STOP_TIMEOUT)
