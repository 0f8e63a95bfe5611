"""The registry as JSON: GET /workers, GET and DELETE /workers/{id}, GET /transitions."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Annotated, Any

from fastapi import APIRouter, Depends, HTTPException, Path, Query, Response

from exporter.api.refusals import Readiness, RegistryLoading
from exporter.api.registration import WriteThrough
from exporter.clock import rfc3339
from exporter.core.events import Delete
from exporter.core.fleet import UnknownWorker
from exporter.core.model import SECOND, Row, Status, Totals, Transition, Wall, WorkerId
from exporter.monitor import Monitor
from exporter.recent import KEPT, RecentTransitions


def routes(
    monitor: Monitor, recent: RecentTransitions, readiness: Readiness, write_through: WriteThrough
) -> APIRouter:
    def loaded() -> None:
        if readiness.loading:
            raise RegistryLoading

    # Half a registry looks like a fleet that is half gone.
    router = APIRouter(dependencies=[Depends(loaded)])

    @router.get("/workers", response_class=Response)
    async def workers(
        status: Annotated[list[Status] | None, Query(description="Only these")] = None,
        group: Annotated[str | None, Query(description="Only this group")] = None,
        q: Annotated[str | None, Query(description="Part of an id, a name or a host")] = None,
        limit: Annotated[int | None, Query(ge=0, description="At most so many")] = None,
        offset: Annotated[int, Query(ge=0, description="After so many")] = 0,
    ) -> Response:
        """All workers that match, in the order in which this process came to know them.

        How many there are in all is in `X-Total-Count`.
        """
        wanted = set(status) if status else None
        part = q.casefold() if q else None
        end = None if limit is None else offset + limit
        parts: list[str] = []
        count = 0
        async for rows in monitor.walk():
            matching = [row for row in rows if _matches(row, wanted, group, part)]
            shown = matching[max(0, offset - count) : None if end is None else max(0, end - count)]
            parts.extend(json.dumps(describe(row)) for row in shown)
            count += len(matching)
        body = f"[{','.join(parts)}]"
        return Response(body, media_type="application/json", headers={"X-Total-Count": str(count)})

    @router.get("/workers/{worker_id}")
    async def worker(worker_id: Annotated[str, Path()]) -> dict[str, Any]:
        """One worker, with its health checks and its last transitions, newest first."""
        await monitor.settle()
        row = monitor.row(WorkerId(worker_id))
        if row is None:
            raise _unknown(worker_id)
        return {
            **describe(row),
            "checks": dict(row.checks),
            "transitions": _list(reversed(row.history)),
        }

    @router.delete("/workers/{worker_id}", status_code=204)
    async def delete(worker_id: Annotated[str, Path()]) -> None:
        """Forget a worker. If it is alive it registers again."""
        try:
            monitor.receive(Delete(WorkerId(worker_id)))
        except UnknownWorker:
            raise _unknown(worker_id) from None
        await write_through(WorkerId(worker_id))

    @router.get("/transitions")
    async def transitions(
        limit: Annotated[int, Query(ge=1, le=KEPT, description="At most so many")] = 100,
    ) -> list[dict[str, Any]]:
        """The latest changes of status of all workers, newest first."""
        await monitor.settle()
        return _list(recent.newest(limit))

    return router


def describe(row: Row) -> dict[str, Any]:
    """A worker as the API shows it. Durations in seconds, totals since it was first seen."""
    facts, totals = row.facts, row.carried.plus(row.counted)
    return {
        "worker_id": facts.worker_id,
        "name": facts.name,
        "group": facts.group,
        "host": facts.host,
        "port": facts.port,
        "status": row.status,
        "reason": row.reason,
        "since": rfc3339(row.since),
        "last_heartbeat": None if row.last_heartbeat is None else rfc3339(row.last_heartbeat),
        "last_heartbeat_timestamp": row.last_heartbeat,
        "version": facts.version,
        "boot_id": facts.boot_id,
        "started_at": None if facts.started_at is None else rfc3339(Wall(facts.started_at)),
        "heartbeat_interval": facts.interval,
        "heartbeat_timeout": facts.timeout,
        "labels": dict(facts.labels),
        "clock_offset": row.clock_offset,
        "round_trip": row.round_trip,
        "event_loop_lag": row.loop_lag,
        **_describe_totals(totals),
    }


def _describe_totals(totals: Totals) -> dict[str, Any]:
    return {
        "heartbeats": totals.heartbeats,
        "missed_heartbeats": totals.missed,
        "restarts": totals.restarts,
        "up_seconds": totals.up / SECOND,
        "down_seconds": {reason.value: time / SECOND for reason, time in totals.down},
    }


def _list(transitions: Iterable[Transition]) -> list[dict[str, Any]]:
    return [
        {
            "worker_id": transition.worker_id,
            "worker": transition.worker,
            "group": transition.group,
            "from": transition.from_name,
            "to": transition.to_name,
            "reason": transition.reason,
            "at": rfc3339(transition.at),
        }
        for transition in transitions
    ]


def _matches(row: Row, status: set[Status] | None, group: str | None, part: str | None) -> bool:
    facts = row.facts
    if status is not None and row.status not in status:
        return False
    if group is not None and facts.group != group:
        return False
    return part is None or any(part in text.casefold() for text in (facts.worker_id, facts.name, facts.host))


def _unknown(worker_id: str) -> HTTPException:
    return HTTPException(404, f"unknown worker: {worker_id}")
