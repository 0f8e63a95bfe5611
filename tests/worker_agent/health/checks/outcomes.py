"""What a check says, in a form that can be compared whole."""

from __future__ import annotations

from worker_agent.health.result import Outcome, judged


def told(outcome: Outcome) -> tuple[str, dict[str, object], str | None]:
    """State, details and error; of a detail that was measured in seconds or bytes, the unit."""
    result = judged(outcome)
    details = {name: _unit(name, detail) for name, detail in result.details.items()}
    return result.state.value, details, result.error


def _unit(name: str, detail: object) -> object:
    unit = name.rpartition("_")[2]
    measured = isinstance(detail, int | float) and detail > 0
    return unit if measured and unit in ("seconds", "bytes") else detail
