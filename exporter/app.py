"""The composition root: the only file that knows everybody."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any, NoReturn

from fastapi import APIRouter, FastAPI
from fastapi.exceptions import RequestValidationError
from prometheus_client import CollectorRegistry
from starlette.types import ASGIApp, Receive, Scope, Send

from exporter import __version__
from exporter.actions.acting import Acting
from exporter.api import actions, discovery, health, lifecycle, probes, registration, workers
from exporter.api.heartbeat import Heartbeats
from exporter.api.refusals import BodyLimit, invalid_request
from exporter.clock import Clock, SystemClock
from exporter.configuration.loading import load
from exporter.configuration.model import Configuration
from exporter.core.acting import State
from exporter.core.events import Restore
from exporter.core.fleet import Fleet
from exporter.core.model import Record
from exporter.errors import ExporterError, StoreInUse, StoreUnusable, UsageError
from exporter.metrics import route as metrics
from exporter.metrics.catalogue import action_sections, probe_sections
from exporter.metrics.render import Renderer
from exporter.monitor import Monitor
from exporter.probes.change_log import log_change
from exporter.probes.probing import Probing
from exporter.recent import RecentTransitions
from exporter.reload import Reloader
from exporter.settings import Settings
from exporter.store.base import LeaseHeld, Store, StoreError
from exporter.store.journal import Journal
from exporter.telemetry import Telemetry
from exporter.transition_log import log_effect
from exporter.web import assets
from exporter.web import routes as web
from exporter.web.frame import Condition, Frame, Links
from exporter.web.live import Live
from worker_agent import systemd
from worker_agent.signals import on_termination

logger = logging.getLogger(__name__)

_HEEDS_SIGNALS = 0.1
"""Seconds until a start that waits for the store notices that it is no longer wanted."""


def create_app(
    settings: Settings, *, clock: Clock | None = None, store: Store | None = None, workers: bool = True
) -> FastAPI:
    """Everything put together; `clock` and `store` are for tests, the settings name the real ones.

    Without `workers` it only probes: nobody can register.

    Raises:
        ConfigurationError: the configuration file is wrong.
        UsageError: a setting is, in a way that only its use shows.
    """
    configuration = Configuration() if settings.config_file is None else load(settings.config_file)
    unheeded = configuration.daemon.said()
    if unheeded:
        logger.warning(
            "[general] %s of %s: heeded by heartbeat-exporter probe only",
            *(", ".join(unheeded), settings.config_file),
        )
    exporter = Exporter(
        settings, configuration, clock or SystemClock(), store or make_store(settings), workers=workers
    )
    app = Application(
        exporter.heartbeats,
        title="heartbeat-exporter",
        version=__version__,
        description="Judges which workers are alive, and shows it to Prometheus.",
        lifespan=exporter.lifespan,
        docs_url=None,  # ours load nothing from elsewhere: exporter/web
        redoc_url=None,
    )
    app.add_middleware(BodyLimit, telemetry=exporter.telemetry)
    app.add_exception_handler(RequestValidationError, invalid_request(exporter.telemetry))
    app.state.exporter = exporter
    of_workers = exporter.worker_routers() if workers else ()
    for router in (*exporter.page_routers(workers=workers), *exporter.routers(), *of_workers):
        app.include_router(router)
    return app


class Application(FastAPI):
    """FastAPI, passed by on the way to the heartbeats, and answering HEAD wherever it answers GET.

    Its middleware is a dozen coroutines around each connection: memory for as long as that is open, and
    frames to climb through whenever something arrives.
    """

    def __init__(self, websockets: ASGIApp, **options: Any) -> None:
        super().__init__(**options)
        self._websockets = websockets

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            await self._websockets(scope, receive, send)
            return
        if scope["type"] == "http" and scope["method"] == "HEAD":
            scope = {**scope, "method": "GET"}  # a server leaves the body out by itself
        await super().__call__(scope, receive, send)


def make_store(settings: Settings) -> Store:
    """The store that the settings choose. Its libraries are imported only if it is this one."""
    if settings.sqlite_path is not None:
        from exporter.store.sqlite import SQLiteStore

        return SQLiteStore(settings.sqlite_path)
    from exporter.store.redis import RedisStore

    try:
        return RedisStore(settings.redis_address())
    except ValueError as error:
        raise UsageError(f"REDIS_URL=****: {error}") from None


class Exporter:
    """The parts of one exporter and the order in which they come and go.

    Without `workers`, those that the store has are left to whoever takes heartbeats next.
    """

    def __init__(
        self,
        settings: Settings,
        configuration: Configuration,
        clock: Clock,
        store: Store,
        *,
        workers: bool = True,
    ) -> None:
        self.telemetry = Telemetry(CollectorRegistry())
        self.fleet = Fleet(settings.rules())
        self.monitor = Monitor(self.fleet, clock, self.telemetry, loading=lambda: self.loading)
        self.store = store
        self.recent = RecentTransitions()
        self.journal = Journal(
            self.fleet,
            store,
            restore=self._restore if workers else lambda records: None,
            restore_actions=self._restore_actions,
            lost=lambda held: _end(StoreInUse(str(held))),
            clock=clock,
            telemetry=self.telemetry,
        )
        self.heartbeats = Heartbeats(self.monitor, self.telemetry, self)
        self.acting = Acting(
            configuration.actions,
            configuration.brake,
            clock=clock,
            store=self.journal,
            telemetry=self.telemetry,
            fleet=self.monitor,
            probes=[probe.name for probe in configuration.probes],
        )
        self.probing = Probing(
            configuration.probes,
            concurrency=configuration.concurrency,
            clock=clock,
            telemetry=self.telemetry,
            sinks=(log_change, self.acting.on_probe),
            result_sinks=(self.acting.on_result,),
        )
        self.reloader = Reloader(
            settings.config_file, self._reconfigure, clock=clock, telemetry=self.telemetry
        )
        self.live = Live(clock, self.telemetry)
        self.stopping = False
        self._settings = settings
        for sink in (
            log_effect,
            self.heartbeats.on_effect,
            self.journal,
            self.recent,
            self.acting.on_effect,
            self.live.on_effect,
        ):
            self.monitor.add_sink(sink)

    @property
    def loading(self) -> bool:
        return self.journal.loading

    def routers(self) -> Sequence[APIRouter]:
        renderer = Renderer(
            self.telemetry.registry, (*probe_sections(self.probing), *action_sections(self.acting))
        )
        return (
            health.routes(self.monitor, self, self._store_health),
            metrics.routes(self.monitor, renderer, self.telemetry),
            probes.routes(self.probing),
            actions.routes(self.acting),
            lifecycle.routes(self.reloader.reload, enabled=self._settings.enable_lifecycle),
        )

    def page_routers(self, *, workers: bool) -> Sequence[APIRouter]:
        files = assets.read()
        links = Links(self._settings.grafana_url or "", self._settings.alertmanager_url or "")
        frame = Frame(self._condition, links, files, workers=workers, now=lambda: self.monitor.now().wall)
        deliverer = web.Deliverer(frame, self.live)
        return (
            assets.routes(files),
            web.worker_routes(deliverer, frame, self.monitor)
            if workers
            else web.front_routes(deliverer, frame, self.probing),
            web.routes(deliverer, frame, self.probing, self.acting),
        )

    def worker_routers(self) -> Sequence[APIRouter]:
        written = self.journal.written_through
        return (
            registration.routes(self.monitor, self.telemetry, self._settings, self, written),
            workers.routes(self.monitor, self.recent, self, written),
            discovery.routes(self.monitor, self),
        )

    @contextlib.asynccontextmanager
    async def lifespan(self, app: FastAPI) -> AsyncIterator[None]:
        loop = asyncio.get_running_loop()

        def end() -> None:
            self.stop_judging()
            loop.call_soon_threadsafe(self.live.close)

        # The server closes its sockets, and waits for streams, before it tells us that it ends. So the
        # signal has to.
        forget_signals = on_termination(end)
        pages = asyncio.create_task(self.live.run(), name="pages")
        try:
            async with self.running():
                with systemd.told():
                    yield
        finally:
            forget_signals()
            await _cancel(pages)

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Judge, probe and act for the length of a block."""
        async with self._watching():
            active = [
                asyncio.create_task(self.acting.run(), name="actions"),
                asyncio.create_task(self.probing.run(), name="probes"),
            ]
            try:
                with self.reloader.on_hangup():
                    yield
            finally:
                await _cancel(*active)

    async def pass_once(self) -> None:
        """Probe everything once, act on what is not as the store remembers it, and return."""
        async with self._watching():
            await self.probing.once()
            await self.acting.settle()

    @contextlib.asynccontextmanager
    async def _watching(self) -> AsyncIterator[None]:
        # Before anything that takes time: a silence of the pulse is taken for a stall.
        pulse = asyncio.create_task(self.monitor.run(), name="pulse")
        try:
            await self._claim_store()
            yield
        finally:
            self.stop_judging()
            await _cancel(pulse)
            await self.journal.stop()

    def stop_judging(self) -> None:
        """Our own end says nothing about the workers: from here on no closed socket counts."""
        self.stopping = True

    async def _claim_store(self) -> None:
        claim = asyncio.create_task(self.journal.start())
        while not claim.done():
            if self.stopping:
                claim.cancel()  # another's lease may take ten seconds to run out
            await asyncio.wait({claim}, timeout=_HEEDS_SIGNALS)
        if claim.cancelled():
            return
        try:
            claim.result()
        except LeaseHeld as held:
            _end(StoreInUse(str(held)))
        except StoreError as error:
            _end(StoreUnusable(str(error)))

    def _restore(self, records: tuple[Record, ...]) -> None:
        self.monitor.receive(Restore(records))
        self.recent.restore(records)

    def _restore_actions(self, states: Mapping[str, State]) -> None:
        self.acting.restore(states)

    def _reconfigure(self, configuration: Configuration) -> None:
        names = [probe.name for probe in configuration.probes]
        self.acting.reconfigure(configuration.actions, configuration.brake, names)
        self.probing.reconfigure(configuration.probes, configuration.concurrency)

    def _condition(self) -> Condition:
        return Condition(self.loading, self.monitor.warming_up(), self.journal.problem or "")

    def _store_health(self) -> health.StoreHealth:
        problem = self.journal.problem
        return health.StoreHealth(problem is None, self.store.where, self.journal.pending, problem)


async def _cancel(*tasks: asyncio.Task[None]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def _end(error: ExporterError) -> NoReturn:
    """End the process with the error's exit code, whatever server it runs in.

    At once, for a server would report an exception a second time, with a traceback for each open
    socket, and end with a code of its own. Nothing is left undone: the store is not ours to write to.
    """
    logger.critical("%s", error)
    os._exit(error.exit_code)
