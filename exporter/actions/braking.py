"""The brake, told of probes and workers: all probes are one scope, and each group of workers another."""

from __future__ import annotations

import logging
from collections.abc import Collection

from exporter.actions.base import BrakeRules
from exporter.core.brake import Brake, Hold, Limits
from exporter.core.model import DOWN, SECOND, Now, Reason, Row, Transition

logger = logging.getLogger(__name__)

ALL_PROBES = "all probes"


class Braking:
    """Before it has seen all workers it only notes their falls: a share of an unknown number is none."""

    def __init__(self, rules: BrakeRules) -> None:
        self._brake = Brake(_limits(rules))
        self.drops = rules.then == "drop"
        self._probes: set[str] = set()
        self._failing: set[str] = set()
        self._scopes: dict[str, str] = {}  # of each worker that is known
        self._fallen: dict[tuple[str, str], Now] | None = {}  # None once all workers have been seen

    def configure(self, rules: BrakeRules, probes: Collection[str]) -> None:
        """These are the rules, and all probes, from now on."""
        self._brake.limits = _limits(rules)
        self.drops = rules.then == "drop"
        for name in self._probes.difference(probes):
            self._failing.discard(name)
            self._brake.leave(ALL_PROBES, name)
        for name in set(probes) - self._probes:
            self._brake.stand(ALL_PROBES, name)
        self._probes = set(probes)

    @property
    def hold(self) -> Hold | None:
        return self._brake.holding

    # What happens

    def on_result(self, probe: str, success: bool, now: Now) -> bool:
        """One run of a probe; whether it is news.

        Not only the one that makes its target down: what fails together is down one after the other, spread
        over an interval, and the first would be acted upon before the last is known.
        """
        if success is (probe not in self._failing):
            return False
        if success:
            self._failing.discard(probe)
            self._brake.stand(ALL_PROBES, probe)
        else:
            self._failing.add(probe)
            self._brake.fall(ALL_PROBES, probe, now)
        return True

    def on_worker(self, change: Transition, now: Now) -> None:
        """Who ends on purpose has not failed."""
        scope, worker_id = _scope(change.group), change.worker_id
        self._move(worker_id, None if change.after is None else scope)
        down = change.after in DOWN
        if down and change.reason is not Reason.SHUTDOWN:
            if change.before not in DOWN:
                self._fall(scope, worker_id, now)
            return
        if self._fallen is not None:
            self._fallen.pop((scope, worker_id), None)
        if down or change.after is None:
            self._brake.leave(scope, worker_id)
        else:
            self._brake.stand(scope, worker_id)

    def see(self, row: Row) -> None:
        """One of all workers, before `seen`."""
        scope, worker_id = _scope(row.facts.group), row.facts.worker_id
        self._move(worker_id, scope)
        if row.status not in DOWN:
            self._brake.stand(scope, worker_id)

    def seen(self) -> None:
        """These were all."""
        fallen, self._fallen = self._fallen or {}, None
        for (scope, worker_id), at in fallen.items():
            self._brake.fall(scope, worker_id, at)

    def _move(self, worker_id: str, scope: str | None) -> None:
        """It may have been in another group, which then is without it."""
        before = self._scopes.pop(worker_id, None)
        if scope is not None:
            self._scopes[worker_id] = scope
        if before is not None and before != scope:
            self._brake.leave(before, worker_id)
            if self._fallen is not None:
                self._fallen.pop((before, worker_id), None)

    def _fall(self, scope: str, worker_id: str, now: Now) -> None:
        if self._fallen is None:
            self._brake.fall(scope, worker_id, now)
        else:
            self._fallen[scope, worker_id] = now

    # Holding

    def turn(self, now: Now) -> Hold | None:
        """Hold if that is called for; the hold that has ended, if one has."""
        over = self._brake.release(now)
        hold = self._brake.pull(now)
        if hold is not None:
            logger.warning(
                "actions are held for %.0f s: %d of %d went down together (%s); it may be that the exporter"
                " has lost its own network",
                *((hold.until - now.mono) / SECOND, hold.fell, hold.of, hold.scope),
            )
        return over


def _limits(rules: BrakeRules) -> Limits:
    return Limits(
        share=rules.share,
        at_least=rules.at_least,
        window=round(rules.window * SECOND),
        hold=round(rules.hold * SECOND),
    )


def _scope(group: str) -> str:
    return f"workers of group {group}"
