"""How the exporter itself is: /health, /health/live, /health/ready, /health/startup, /-/healthy, /-/ready."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from fastapi import APIRouter
from fastapi.responses import JSONResponse, PlainTextResponse

from exporter import __version__
from exporter.api.refusals import Readiness
from exporter.clock import rfc3339
from exporter.core.model import SECOND
from exporter.monitor import Monitor


class StoreHealth(NamedTuple):
    """Whether the store answered last time; `error` says why not, `where` names it without secrets."""

    up: bool
    where: str
    pending: int
    error: str | None


def routes(monitor: Monitor, readiness: Readiness, store_health: Callable[[], StoreHealth]) -> APIRouter:
    router = APIRouter()
    started = monitor.now()

    def about(status: str) -> dict[str, Any]:
        now = monitor.now()
        return {
            "status": status,
            "timestamp": rfc3339(now.wall),
            "uptime": (now.mono - started.mono) / SECOND,
            "version": __version__,
        }

    def condition() -> str:
        return "healthy" if store_health().up else "degraded"

    @router.get("/health")
    async def health() -> JSONResponse:
        """200, `degraded` while the store is away: the exporter goes on judging without it."""
        store = store_health()
        checks: dict[str, dict[str, Any]] = {
            "store": {
                "status": condition(),
                "details": {"where": store.where, "pending_writes": store.pending},
                "error": store.error,
            },
            "registry": {
                "status": "degraded" if readiness.loading else "healthy",
                "details": {
                    "workers": len(monitor.fleet),
                    "limit": monitor.max_workers,
                    "warming_up": monitor.warming_up(),
                },
                "error": "the registry is loading" if readiness.loading else None,
            },
        }
        healthy = all(check["status"] == "healthy" for check in checks.values())
        return JSONResponse({**about("healthy" if healthy else "degraded"), "checks": checks})

    @router.get("/health/live")
    async def live() -> dict[str, Any]:
        """Answers as long as the event loop turns."""
        return about("alive")

    @router.get("/health/ready")
    async def ready() -> JSONResponse:
        """503 while loading and while stopping, and at no other time."""
        if readiness.stopping:
            return JSONResponse({**about("not_ready"), "error": "stopping"}, 503)
        if readiness.loading:
            return JSONResponse({**about("not_ready"), "error": "the registry is loading"}, 503)
        return JSONResponse(about("ready" if store_health().up else "degraded"))

    @router.get("/health/startup")
    async def startup() -> JSONResponse:
        """503 until the registry has been loaded, or loading was given up."""
        if readiness.loading:
            return JSONResponse({**about("starting"), "error": "the registry is loading"}, 503)
        return JSONResponse(about("started"))

    @router.get("/-/healthy", response_class=PlainTextResponse)
    async def prometheus_healthy() -> str:
        return "heartbeat-exporter is healthy.\n"

    @router.get("/-/ready", response_class=PlainTextResponse)
    async def prometheus_ready() -> PlainTextResponse:
        if readiness.loading or readiness.stopping:
            return PlainTextResponse("heartbeat-exporter is not ready.\n", 503)
        return PlainTextResponse("heartbeat-exporter is ready.\n")

    return router
