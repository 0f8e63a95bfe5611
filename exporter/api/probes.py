"""The probes as JSON: GET /probes, GET /probes/{name}."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable
from typing import Annotated, Any

from fastapi import APIRouter, HTTPException, Path, Response

from exporter.clock import rfc3339
from exporter.core.model import Wall
from exporter.core.probing import ProbeRow, Result
from exporter.probes.probing import Probing

_ROWS_A_TURN = 50


def routes(probing: Probing) -> APIRouter:
    router = APIRouter()

    @router.get("/probes", response_class=Response)
    async def probes() -> Response:
        """All probes in the order of the configuration, each with its last result."""
        parts: list[str] = []
        for row in probing.each():
            parts.append(json.dumps(describe(row)))
            if len(parts) % _ROWS_A_TURN == 0:
                await asyncio.sleep(0)
        return Response(f"[{','.join(parts)}]", media_type="application/json")

    # A name is whatever the configuration says, slashes included.
    @router.get("/probes/{name:path}")
    async def probe(name: Annotated[str, Path()]) -> dict[str, Any]:
        """One probe, with its last results and, however old they are, its last failures; newest first."""
        row = probing.row(name)
        if row is None:
            raise HTTPException(404, f"unknown probe: {name}")
        return {
            **describe(row),
            "last_results": _list(row.history.latest),
            "last_failures": _list(row.history.failures),
        }

    return router


def describe(row: ProbeRow) -> dict[str, Any]:
    """A probe as the API shows it. `up` is null before the first result; counts are since the start."""
    return {
        "name": row.name,
        "kind": row.kind,
        "target": row.target,
        "up": row.up,
        "since": None if row.since is None else rfc3339(row.since),
        "runs": row.runs,
        "failures": {reason.value: count for reason, count in row.failures},
        "last_result": None if row.last is None else describe_result(row.last),
    }


def describe_result(result: Result) -> dict[str, Any]:
    """One run. Durations in seconds; `reason` and `detail` of a success are null and empty."""
    expiry = result.certificate_expiry
    return {
        "at": rfc3339(result.at),
        "success": result.success,
        "reason": result.failure,
        "detail": result.detail,
        "duration": result.duration,
        "phases": {phase.value: took for phase, took in result.phases},
        "http_status": result.http_status,
        "certificate_expiry": None if expiry is None else rfc3339(Wall(expiry)),
    }


def _list(results: Iterable[Result]) -> list[dict[str, Any]]:
    return [describe_result(result) for result in reversed(tuple(results))]
