"""What a health check says: a state, details for people, and what is wrong."""

from __future__ import annotations

import inspect
import math
from collections.abc import Coroutine, Mapping
from dataclasses import dataclass, field

from worker_agent.masking import masked
from worker_agent.protocol import CheckState

_LONGEST_TEXT = 500
_MOST_ITEMS = 50
_DEEPEST = 4


@dataclass(frozen=True)
class Result:
    """The outcome of one check.

    `details` may hold anything: it is reduced to what JSON can express, bounded in size, and passwords
    in URLs are masked. `error` is one sentence; a healthy result has none.
    """

    state: CheckState
    details: Mapping[str, object] = field(default_factory=dict)
    error: str | None = None

    def __post_init__(self) -> None:
        details = _plain(self.details, 0)
        object.__setattr__(self, "details", details if isinstance(details, dict) else {})
        if self.error is not None:
            object.__setattr__(self, "error", _text(str(self.error)))

    @classmethod
    def healthy(cls, **details: object) -> Result:
        return cls(CheckState.HEALTHY, details)

    @classmethod
    def degraded(cls, error: str, **details: object) -> Result:
        """It works, but not as it should."""
        return cls(CheckState.DEGRADED, details, error)

    @classmethod
    def unhealthy(cls, error: str, **details: object) -> Result:
        return cls(CheckState.UNHEALTHY, details, error)


Outcome = bool | Mapping[str, object] | Result
"""What a check may return: whether all is well, details (all is well), or a full result."""


class Nonsense(TypeError):
    """A check returned what is no outcome."""


def judged(outcome: object) -> Result:
    """The result that an outcome stands for.

    Raises:
        Nonsense: it is none of the three.
    """
    if isinstance(outcome, Result):
        return outcome
    if isinstance(outcome, bool):
        return Result.healthy() if outcome else Result.unhealthy("the check returned False")
    if isinstance(outcome, Mapping):
        return Result(CheckState.HEALTHY, outcome)
    if isinstance(outcome, Coroutine):
        outcome.close()
        raise Nonsense("the check returned a coroutine that was not awaited")
    if inspect.isawaitable(outcome):
        raise Nonsense(f"the check returned an awaitable {type(outcome).__name__} that was not awaited")
    raise Nonsense(
        f"the check returned {_text(repr(outcome))}, expected a bool, a mapping of details or a Result"
    )


def _plain(value: object, depth: int) -> object:
    """What JSON can express of `value`; never raises, whatever a check hands over."""
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if isinstance(value, str):
        return _text(value)
    try:
        if depth < _DEEPEST:
            if isinstance(value, Mapping):
                items = list(value.items())[:_MOST_ITEMS]
                return {_text(str(key)): _plain(item, depth + 1) for key, item in items}
            if isinstance(value, list | tuple | set | frozenset):
                return [_plain(item, depth + 1) for item in list(value)[:_MOST_ITEMS]]
        return _text(str(value))
    except Exception:
        return f"a {type(value).__name__} that cannot be shown"


def _text(text: str) -> str:
    # Half a surrogate pair has no UTF-8 and would fail the whole answer.
    shown = masked(text).encode(errors="replace").decode()
    return shown if len(shown) <= _LONGEST_TEXT else f"{shown[: _LONGEST_TEXT - 3]}..."
