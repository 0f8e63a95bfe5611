"""What a health check says: a state, details for people, and what is wrong."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Coroutine, Iterable, Mapping
from dataclasses import dataclass, field

from worker_agent.masking import MASK, masked, names_secret
from worker_agent.protocol import CheckState

_LONGEST_TEXT = 500
_MOST_VALUES = 200
_DEEPEST = 4


@dataclass(frozen=True)
class Result:
    """The outcome of one check.

    `details` may hold anything: it is reduced to what JSON can express, bounded in size, and passwords
    in URLs are masked. `error` is one sentence; a healthy result has none.

    Raises:
        ValueError: `state` is none.
    """

    state: CheckState
    details: Mapping[str, object] = field(default_factory=dict)
    error: str | None = None

    def __post_init__(self) -> None:
        details = _Reduction().of(self.details)
        object.__setattr__(self, "state", CheckState(self.state))
        object.__setattr__(self, "details", details if isinstance(details, dict) else {})
        if self.error is not None:
            object.__setattr__(self, "error", shown(self.error))

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
        f"the check returned {shown(outcome, repr)}, expected a bool, a mapping of details or a Result"
    )


def shown(value: object, by: Callable[[object], str] = str) -> str:
    """A text about `value` that is bounded, has UTF-8 and no passwords; never raises, whatever a check
    hands over."""
    try:
        # Cut before as well, because masking takes its time; well behind what is left in the end, so that
        # no password is cut in two.
        text = masked(by(value)[: 4 * _LONGEST_TEXT])
        # Half a surrogate pair has no UTF-8 and would fail whoever writes it down.
        text = text.encode(errors="replace").decode()
    except (Exception, SystemExit):
        return f"a {type(value).__name__} that cannot be shown"
    return text if len(text) <= _LONGEST_TEXT else f"{text[: _LONGEST_TEXT - 3]}..."


class _Reduction:
    """What JSON can express of one value and what is in it; never raises. Beyond the bounds it leaves out."""

    def __init__(self) -> None:
        self._room = _MOST_VALUES

    def of(self, value: object, depth: int = 0, *, secret: bool = False) -> object:
        """Of what goes by the name of a `secret` only numbers are left: such a name may count tokens."""
        self._room -= 1
        try:
            return self._reduced(value, depth, secret)
        except (Exception, SystemExit):
            return MASK if secret else shown(value)

    def _reduced(self, value: object, depth: int, secret: bool) -> object:
        if value is None or isinstance(value, bool):
            return value
        if isinstance(value, int) and value.bit_length() <= 64:
            return int(value)
        if isinstance(value, float) and math.isfinite(value):
            return float(value)
        if isinstance(value, Mapping):
            return self._mapping(value, depth, secret) if depth < _DEEPEST else "..."
        if isinstance(value, list | tuple | set | frozenset):
            return self._sequence(value, depth, secret) if depth < _DEEPEST else "..."
        if secret:
            return MASK
        return shown(value, str.__str__) if isinstance(value, str) else shown(value)  # of an enum its value

    def _mapping(self, mapping: Mapping[object, object], depth: int, secret: bool) -> dict[str, object]:
        reduced: dict[str, object] = {}
        for key, value in mapping.items():
            if self._room <= 0:
                break
            name = shown(key)
            reduced[name] = self.of(value, depth + 1, secret=secret or names_secret(name))
        return reduced

    def _sequence(self, values: Iterable[object], depth: int, secret: bool) -> list[object]:
        reduced: list[object] = []
        for value in values:
            if self._room <= 0:
                break
            reduced.append(self.of(value, depth + 1, secret=secret))
        return reduced
