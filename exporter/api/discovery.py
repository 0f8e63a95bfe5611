"""GET /sd: Prometheus HTTP service discovery, so that its scrape list follows the fleet.

https://prometheus.io/docs/prometheus/latest/http_sd/
"""

from __future__ import annotations

import json
from typing import Any

from fastapi import APIRouter
from fastapi.responses import Response

from exporter.api.refusals import Readiness, RegistryLoading
from exporter.core.model import Facts
from exporter.monitor import Monitor


def routes(monitor: Monitor, readiness: Readiness) -> APIRouter:
    router = APIRouter()

    @router.get("/sd", response_class=Response)
    async def targets() -> Response:
        """One target per host, port and path, in every status: a lost worker is still scraped.

        503 while the registry is loading: an empty list would take every target away.
        """
        if readiness.loading:
            raise RegistryLoading
        found: dict[tuple[str, int, str], str] = {}
        async for rows in monitor.walk():
            for row in rows:
                facts = row.facts
                if facts.metrics_path is None:
                    continue
                key = (facts.host, facts.port, facts.metrics_path)
                # Of several processes behind one port, one that is up gives the target its labels.
                if key not in found or row.up:
                    found[key] = json.dumps(target(facts))
        return Response(f"[{','.join(found.values())}]", media_type="application/json")

    return router


def target(facts: Facts) -> dict[str, Any]:
    host = f"[{facts.host}]" if ":" in facts.host else facts.host
    return {
        "targets": [f"{host}:{facts.port}"],
        "labels": {
            "__metrics_path__": facts.metrics_path,
            "__scheme__": facts.metrics_scheme,
            "__meta_heartbeat_worker_id": facts.worker_id,
            "__meta_heartbeat_worker": facts.name,
            "__meta_heartbeat_group": facts.group,
            "__meta_heartbeat_version": facts.version,
            **{f"__meta_heartbeat_label_{key}": value for key, value in facts.labels},
        },
    }
