"""Too much fails at once to be true: then it is rather the exporter that has lost its network.

    brake.stand(scope, subject)       it is up, or nothing says otherwise
    brake.fall(scope, subject, now)   it went down
    brake.leave(scope, subject)       it is no longer there, or stopped on purpose
    brake.pull(now)                   the hold that begins now, if any
    brake.release(now)                the hold that ended, if any

A scope is all probes, or one group of workers. Of those that stood when the window began, more than a share,
and so many at least, have to have gone down within it and be down still. What is down for longer than that
says nothing about now, and does not count at all.

A hold has its length from its beginning, and nothing extends it: whoever is on call knows when it ends. What
fails meanwhile is held with the rest. Those that pulled the brake cannot do it a second time.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from .model import Mono, Now, Wall


class Hold(NamedTuple):
    """Actions are held: `fell` of `of` in `scope` went down within the window."""

    scope: str
    fell: int
    of: int
    began: Wall
    until: Mono


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """`share` is a ratio, `window` and `hold` nanoseconds."""

    share: float
    at_least: int
    window: int
    hold: int


class _Scope:
    def __init__(self) -> None:
        self.standing: set[str] = set()
        self.fallen: dict[str, Mono] = {}  # in the order of falling
        self.touched = False


class Brake:
    """Other `limits` may be set at any time; a hold that has begun ends as it would have."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.holding: Hold | None = None
        self._scopes: dict[str, _Scope] = {}

    def stand(self, scope: str, subject: str) -> None:
        known = self._scopes.setdefault(scope, _Scope())
        known.fallen.pop(subject, None)
        known.standing.add(subject)

    def fall(self, scope: str, subject: str, now: Now) -> None:
        known = self._scopes.setdefault(scope, _Scope())
        known.standing.discard(subject)
        if subject not in known.fallen:
            known.fallen[subject] = now.mono
        known.touched = True

    def leave(self, scope: str, subject: str) -> None:
        known = self._scopes.get(scope)
        if known is None:
            return
        known.standing.discard(subject)
        known.fallen.pop(subject, None)
        if not known.standing and not known.fallen:
            del self._scopes[scope]

    def pull(self, now: Now) -> Hold | None:
        """Call it after falls, before anything is done about them."""
        limits = self.limits
        for name, scope in self._scopes.items():
            if scope.touched:
                scope.touched = False
                self._expire(scope, now)
                fell, of = len(scope.fallen), len(scope.standing) + len(scope.fallen)
                if self.holding is None and fell >= limits.at_least and fell > limits.share * of:
                    self.holding = Hold(name, fell, of, now.wall, Mono(now.mono + limits.hold))
                    scope.fallen.clear()
                    return self.holding
        return None

    def release(self, now: Now) -> Hold | None:
        """Call it when `holding.until` has come."""
        hold = self.holding
        if hold is None or now.mono < hold.until:
            return None
        self.holding = None
        return hold

    def _expire(self, scope: _Scope, now: Now) -> None:
        for subject, at in list(scope.fallen.items()):
            if now.mono - at <= self.limits.window:
                break
            del scope.fallen[subject]
