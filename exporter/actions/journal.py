"""The latest runs of all actions, for GET /actions, and each of them in the log."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Sequence
from itertools import islice
from typing import Any

from exporter.core.acting import Outcome

logger = logging.getLogger(__name__)

KEPT = 200


class RunJournal:
    """Remembers the last `KEPT` runs, each with the name of its action."""

    def __init__(self) -> None:
        self._runs: deque[tuple[str, Outcome]] = deque(maxlen=KEPT)

    def add(self, action: str, outcome: Outcome) -> None:
        """One more run is over: one line, a warning if it failed."""
        self._runs.append((action, outcome))
        cause = f"{outcome.cause.name}: {outcome.cause.reason}"
        if outcome.dry_run:
            logger.info(
                "action %s: would %s now (%s), but it is a dry run",
                *(action, outcome.kind, cause),
                extra=_fields(action, outcome),
            )
        elif outcome.failure is None:
            logger.info(
                "action %s: %s took %.1f s (%s)",
                *(action, outcome.kind, outcome.duration, cause),
                extra=_fields(action, outcome),
            )
        else:
            logger.warning(
                "action %s: %s failed after %.1f s, attempt %d: %s: %s (%s)",
                *(
                    action,
                    outcome.kind,
                    outcome.duration,
                    outcome.attempt,
                    outcome.failure,
                    outcome.detail,
                    cause,
                ),
                extra={**_fields(action, outcome), "reason": outcome.failure.value},
            )

    def newest(self, limit: int = KEPT) -> Sequence[tuple[str, Outcome]]:
        """Newest first."""
        return list(islice(reversed(self._runs), limit))


def _fields(action: str, outcome: Outcome) -> dict[str, Any]:
    return {
        "action": action,
        "kind": outcome.kind.value,
        "cause": outcome.cause.name,
        "output": outcome.output,
    }
