"""The health paths of a worker, as load balancers, orchestrators and people ask for them.

A worker whose exporter is away is degraded and answers 200: it does its work, only nobody watches.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Protocol

from fastapi import FastAPI
from fastapi.responses import JSONResponse

from worker_agent.statistics import Statistics

NOT_STARTED = "the agent was not started: pass lifespan=agent.lifespan to FastAPI"


class Worker(Protocol):
    """What the paths report on."""

    @property
    def statistics(self) -> Statistics: ...
    @property
    def version(self) -> str | None: ...
    @property
    def uptime(self) -> float: ...
    @property
    def started(self) -> bool: ...
    @property
    def ready(self) -> bool: ...


def add_health_routes(app: FastAPI, worker: Worker) -> None:
    """Add `/health`, `/health/live`, `/health/ready` and `/health/startup`."""

    def about(status: object) -> dict[str, object]:
        now = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        return {
            "status": status,
            "timestamp": now,
            "uptime": round(worker.uptime, 3),
            "version": worker.version,
        }

    async def health() -> JSONResponse:
        exporter = exporter_check(worker)
        return JSONResponse({**about(exporter["status"]), "checks": {"exporter": exporter}})

    async def live() -> JSONResponse:
        return JSONResponse(about("alive"))

    async def ready() -> JSONResponse:
        if worker.ready:
            return JSONResponse(about("ready"))
        return JSONResponse(
            {**about("not_ready"), "error": "stopping" if worker.started else NOT_STARTED}, 503
        )

    async def startup() -> JSONResponse:
        if worker.started:
            return JSONResponse(about("started"))
        return JSONResponse({**about("starting"), "error": NOT_STARTED}, 503)

    for path, endpoint in (
        ("/health", health),
        ("/health/live", live),
        ("/health/ready", ready),
        ("/health/startup", startup),
    ):
        app.add_api_route(path, endpoint, methods=["GET", "HEAD"], include_in_schema=False)


def exporter_check(worker: Worker) -> dict[str, object]:
    """The connection to the exporter: healthy or degraded, never unhealthy."""
    statistics = worker.statistics
    details = {"worker_id": statistics.worker_id, "heartbeats_sent": statistics.heartbeats_sent}
    if statistics.connected:
        return {"status": "healthy", "details": details, "error": None}
    error = (statistics.problem or "not connected yet") if worker.started else NOT_STARTED
    return {"status": "degraded", "details": details, "error": error}
