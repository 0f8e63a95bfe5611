"""The actions as JSON: GET /actions."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable
from typing import Any

from fastapi import APIRouter, Response

from exporter.actions.acting import Acting
from exporter.clock import rfc3339
from exporter.core.acting import ActionRow, Cause, Outcome
from exporter.core.brake import Hold

_ROWS_A_TURN = 50


def routes(acting: Acting) -> APIRouter:
    router = APIRouter()

    @router.get("/actions", response_class=Response)
    async def actions() -> Response:
        """All actions in the order of the configuration, their latest runs, newest first, and any hold."""
        hold, left = acting.hold, acting.hold_left()
        held = None if hold is None else describe_hold(hold, left)
        rows = await _list(describe(row, held=hold is not None) for row in acting.rows())
        runs = await _list(
            {"action": action, **describe_run(outcome)} for action, outcome in acting.journal.newest()
        )
        text = f'{{"held":{json.dumps(held)},"actions":{rows},"runs":{runs}}}'
        return Response(text, media_type="application/json")

    return router


async def _list(each: Iterable[dict[str, Any]]) -> str:
    """As JSON, with turns of the event loop for others in between."""
    parts: list[str] = []
    for one in each:
        parts.append(json.dumps(one))
        if len(parts) % _ROWS_A_TURN == 0:
            await asyncio.sleep(0)
    return f"[{','.join(parts)}]"


def describe(row: ActionRow, *, held: bool) -> dict[str, Any]:
    """An action as the API shows it. `state` and `wanted` are null while they are not known.

    `waiting` is the kind that has its turn later, and `held` says that it is the brake that it waits for.
    """
    last = max((outcome for _, outcome in row.last), key=lambda outcome: outcome.at, default=None)
    return {
        "name": row.name,
        "hooks": {kind.value: shown for kind, shown in row.hooks},
        "dry_run": row.dry_run,
        "state": None if row.state is None else row.state.name,
        "since": None if row.state is None else rfc3339(row.state.since),
        "wanted": None if row.wanted is None else f"{row.wanted}d",
        "cause": None if row.cause is None else describe_cause(row.cause),
        "running": row.running,
        "waiting": row.waiting,
        "held": held and row.waiting is not None,
        "runs": {kind.value: count for kind, count in row.runs},
        "last_run": None if last is None else describe_run(last),
    }


def describe_run(outcome: Outcome) -> dict[str, Any]:
    """One run. Its duration is in seconds; `reason` of one that went well is null."""
    return {
        "kind": outcome.kind,
        "at": rfc3339(outcome.at),
        "duration": outcome.duration,
        "success": outcome.failure is None,
        "reason": outcome.failure,
        "detail": outcome.detail,
        "output": outcome.output,
        "attempt": outcome.attempt,
        "dry_run": outcome.dry_run,
        "cause": describe_cause(outcome.cause),
    }


def describe_cause(cause: Cause) -> dict[str, Any]:
    """The probe or worker that decided, and why it changed."""
    return {
        "name": cause.name,
        "reason": cause.reason,
        "detail": cause.detail,
        "since": rfc3339(cause.since),
    }


def describe_hold(hold: Hold, left: float | None) -> dict[str, Any]:
    """Why actions are held: so many of all went down together."""
    return {
        "scope": hold.scope,
        "fell": hold.fell,
        "of": hold.of,
        "since": rfc3339(hold.began),
        "seconds_left": left,
    }
