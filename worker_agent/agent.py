"""The agent as an application sees it: start it, stop it, and have it add its routes."""

from __future__ import annotations

import logging
import time
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from types import TracebackType
from typing import TYPE_CHECKING, TypeVar

from worker_agent.environment import load
from worker_agent.health.answers import Answers
from worker_agent.health.registry import Health
from worker_agent.identity import Identity, worker_name
from worker_agent.instrumentation import processes
from worker_agent.running import Running
from worker_agent.settings import WorkerSettings
from worker_agent.statistics import Statistics

if TYPE_CHECKING:
    from fastapi import FastAPI
    from prometheus_client.registry import CollectorRegistry

# Now, because the application makes its metrics after it has imported the agent.
processes.prepare()

METRICS_PATH = "/metrics"

logger = logging.getLogger(__name__)

StateT = TypeVar("StateT")
Lifespan = Callable[["FastAPI"], AbstractAsyncContextManager[StateT]]


class Agent:
    """Heartbeats for the process it runs in, from a thread of its own, and what they are to tell.

    `health` is its registry of checks.

    Args:
        settings: read from the environment when left out.
        version: of the application; `instrument` takes it from the application when left out.
        health: a registry that was made with other than the usual arguments.

    Raises:
        SettingsError: the environment holds wrong settings; the error names all of them.
    """

    def __init__(
        self,
        settings: WorkerSettings | None = None,
        *,
        version: str | None = None,
        health: Health | None = None,
    ) -> None:
        self.settings = load(WorkerSettings) if settings is None else settings
        self.version = version
        self.health = Health() if health is None else health
        self.statistics = Statistics()
        self._answers = Answers(self, self.health)
        self._created = time.monotonic()
        self._slot = 0
        self._metrics_path: str | None = None
        self._registry: CollectorRegistry | None = None
        self._running: Running | None = None

    @property
    def name(self) -> str:
        """What this worker is called, by itself and by the exporter."""
        return worker_name(self.settings, self._slot)

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
        self._slot = processes.slot()
        identity = Identity(
            self.settings,
            boot_id=uuid.uuid4().hex,
            started_at=time.time(),
            version=self.version,
            metrics_path=self._metrics_path,
            slot=self._slot,
        )
        async with AsyncExitStack() as undo:
            await self.health.start()
            undo.push_async_callback(self.health.stop)
            running = Running(identity, self.statistics, self.health, self._answers)
            undo.push_async_callback(running.end)
            if self._registry is not None:
                self._show(running, self._registry)
            undo.pop_all()
        self._running = running
        fields = {"worker": self.name, "url": self.settings.exporter_url}
        logger.info("heartbeats of %s go to %s", *fields.values(), extra=fields)
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
        from worker_agent.instrumentation.function_metrics import show_functions
        from worker_agent.instrumentation.requests import count_requests

        self._registry = REGISTRY if registry is None else registry
        self._metrics_path = METRICS_PATH
        self.version = self.version or app.version
        add_health_routes(app, self._answers)
        show_functions(self._registry)
        add_metrics_route(app, METRICS_PATH, self._registry)
        count_requests(app)

    def _show(self, running: Running, registry: CollectorRegistry) -> None:
        from worker_agent.health.metrics import HealthCollector
        from worker_agent.instrumentation.agent import AgentCollector

        running.show(AgentCollector(self.statistics, running.lag), registry)
        running.show(HealthCollector(self.health, self._answers.requests), registry)
        running.share(registry)
