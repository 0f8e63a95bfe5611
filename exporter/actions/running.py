"""One run of an action's hook: what it is told, and what comes of it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping

from exporter.actions.base import Action, Ran, Variety
from exporter.clock import Clock, rfc3339
from exporter.core.acting import Cause, Health, Kind, Outcome, Run, RunFailure
from exporter.core.model import SECOND

logger = logging.getLogger(__name__)

_LONGEST = 4096
"""Characters of a variable, at most."""


async def make(action: Action, run: Run, varieties: Mapping[str, Variety], clock: Clock) -> Outcome:
    """Run the hook to its end. Raises nothing: one that is cancelled has an outcome, too."""
    started = clock.now()
    ran = await _ran(action, run, varieties)
    return Outcome(
        at=started.wall,
        kind=run.kind,
        cause=run.cause,
        duration=(clock.now().mono - started.mono) / SECOND,
        failure=ran.failure,
        detail=ran.detail,
        output=ran.output,
        attempt=run.attempt,
        dry_run=action.dry_run,
    )


async def _ran(action: Action, run: Run, varieties: Mapping[str, Variety]) -> Ran:
    if action.dry_run:
        return Ran()
    hook = action.hooks[run.kind]
    try:
        told = variables(action.name, run.kind, run.cause)
        return await varieties[hook.kind].run(hook.options, told, action.timeout)
    except asyncio.CancelledError:
        return Ran(RunFailure.CANCELLED, "ended early, because the exporter or the action is no longer there")
    except Exception as error:
        logger.exception("action %s failed by a defect", action.name, extra={"action": action.name})
        return Ran(RunFailure.START, f"a defect: {type(error).__name__}")


def variables(action: str, kind: Kind, cause: Cause) -> dict[str, str]:
    """What a hook is told; see `base.VARIABLES`."""
    values = {
        "action": action,
        "kind": kind.value,
        "state": Health.UP.value if kind is Kind.PROMOTE else Health.DOWN.value,
        "cause": cause.name,
        "reason": cause.reason,
        "detail": cause.detail,
        "since": rfc3339(cause.since),
    }
    return {f"HEARTBEAT_{name.upper()}": _plain(value) for name, value in values.items()}


def _plain(text: str) -> str:
    """As a system takes it: no NUL, no half of a character, and not without end."""
    return text[:_LONGEST].replace("\0", "?").encode(errors="replace").decode()
