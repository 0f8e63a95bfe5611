"""When an action runs: one machine for each, driven by how its subjects stand.

    machine.observe(subject, health, cause, now)   a probe or worker went up or down, or is not known
    machine.forget(subject)                        it is no longer there
    machine.advance(now)                           the run to start now, if any
    machine.finish(failure, now)                   that run is over
    machine.ready()                                when to call advance() again

It acts on changes, never on states: once when all subjects have come up, once when the first of them went
down. What is wanted is always the newest; what waits and is no longer wanted is not run at all.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from .model import SECOND, Mono, Now, Wall


class Kind(StrEnum):
    PROMOTE = "promote"
    DEMOTE = "demote"


class RunFailure(StrEnum):
    """Why a run of an action failed; the `reason` of heartbeat_action_failures_total."""

    EXIT = "exit"
    TIMEOUT = "timeout"
    START = "start"
    CANCELLED = "cancelled"


class Health(StrEnum):
    UP = "up"
    DOWN = "down"
    UNKNOWN = "unknown"


class SubjectKind(StrEnum):
    """What an action can depend on."""

    PROBE = "probe"
    WORKER = "worker"


class Subject(NamedTuple):
    """One that an action depends on: a probe by its name, or a worker by its id."""

    kind: SubjectKind
    id: str


class Cause(NamedTuple):
    """The probe or worker whose change decided, why it changed, and since when it is so."""

    name: str
    reason: str
    detail: str
    since: Wall


class State(NamedTuple):
    """What an action made of the world, and when: by its last run, or as it was found at the start."""

    kind: Kind
    since: Wall

    @property
    def name(self) -> str:
        return f"{self.kind}d"


class Run(NamedTuple):
    """A run to start; `attempt` counts from 1."""

    kind: Kind
    cause: Cause
    attempt: int


class Outcome(NamedTuple):
    """One finished run of an action. `output` is the last 8 KiB of what it wrote; durations in seconds."""

    at: Wall
    kind: Kind
    cause: Cause
    duration: float
    failure: RunFailure | None = None
    detail: str = ""
    output: str = ""
    attempt: int = 1
    dry_run: bool = False


class ActionRow(NamedTuple):
    """An action at one instant, for metrics and API. Immutable: safe to keep and to share.

    `state` and `wanted` are None while they are not known. `running` is under way, `waiting` has its turn
    later. Counts have every kind that has a hook, and every failure, those that never came with 0; `last`
    has the last run of each kind that ran.
    """

    name: str
    hooks: tuple[tuple[Kind, str], ...]
    dry_run: bool
    state: State | None
    wanted: Kind | None
    cause: Cause | None
    running: Kind | None
    waiting: Kind | None
    runs: tuple[tuple[Kind, int], ...]
    failures: tuple[tuple[tuple[Kind, RunFailure], int], ...]
    last: tuple[tuple[Kind, Outcome], ...]


LONGEST_BACKOFF = 300 * SECOND
"""Between two attempts, in nanoseconds, unless the first is set to be longer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """How an action is run; durations in nanoseconds. A kind that is not in `kinds` is nothing to run.

    A demotion waits for `patience` after what caused it: if much else fails in that time, it is the brake's.
    """

    kinds: frozenset[Kind] = frozenset(Kind)
    cooldown: int = 0
    retries: int = 0
    backoff: int = 0
    patience: int = 0
    run_on_start: bool = False


class Machine:
    """One action. Its subjects are unknown until they are observed; another `policy` may be set at any time.

    Until `settle` it only listens: at the start not all that it depends on is known by name, nor what its
    state was before a restart.
    """

    def __init__(self, policy: Policy, subjects: Iterable[Subject] = ()) -> None:
        self.policy = policy
        self.state: State | None = None
        self.wanted: Kind | None = None
        self.cause: Cause | None = None
        self.running: Run | None = None
        self._settled = False
        self._up: dict[Subject, Cause] = {}
        self._down: dict[Subject, Cause] = {}
        self._unknown = set(subjects)
        self._last: Kind | None = None  # the kind of the last run, or as the world was found
        self._failures = 0  # of the last runs of that kind, in a row
        self._dropped = False  # what is wanted now was given up
        self._learned = False  # the state is what was found, and nothing was run since
        self._ended: Mono | None = None
        self._wanted_at = Mono(0)

    # In

    def restore(self, state: State) -> None:
        """What the state was before a restart. Too late once something was run."""
        if self.running is None and self._ended is None and (self.state is None or self._learned):
            self.state, self._last, self._learned = state, state.kind, False

    def settle(self, now: Now) -> None:
        """From here on act: all subjects are known by name, and so is the state if anybody knows it.

        Call it again when it depends on others than before.
        """
        self._settled = True
        self._judge(now)

    @property
    def settled(self) -> bool:
        return self._settled

    def observe(self, subject: Subject, health: Health, cause: Cause, now: Now) -> None:
        """How one that it depends on stands, whether that is new or not."""
        self.forget(subject)
        if health is Health.UNKNOWN:
            self._unknown.add(subject)
        else:
            (self._up if health is Health.UP else self._down)[subject] = cause
        self._judge(now)

    def expect(self, subject: Subject) -> None:
        """It depends on this one, too, of which nothing is known yet."""
        self._unknown.add(subject)

    def forget(self, subject: Subject) -> None:
        """It no longer depends on this one. That alone changes nothing; the next that is observed decides."""
        self._unknown.discard(subject)
        self._up.pop(subject, None)
        self._down.pop(subject, None)

    def advance(self, now: Now, *, held: bool = False) -> Run | None:
        """The run to start now. Call `finish` when it is over, before which there is no other."""
        if self.running is not None or not self._outstanding:
            return None
        assert self.wanted is not None
        assert self.cause is not None
        if self.wanted not in self.policy.kinds:
            self._done(self.wanted, None, now)
            return None
        if held or now.mono < self._ready():
            return None
        self.running = Run(self.wanted, self.cause, self._failures_of(self.wanted) + 1)
        return self.running

    def finish(self, failure: RunFailure | None, now: Now) -> None:
        """The run that `advance` gave is over. One that was cancelled counts as not made."""
        assert self.running is not None, "no run is under way"
        run, self.running = self.running, None
        self._ended = now.mono
        if failure is not RunFailure.CANCELLED:
            self._done(run.kind, failure, now)

    def drop(self) -> Kind | None:
        """Give up what waits until something else is wanted; what that was."""
        waiting = self.waiting
        self._dropped = self._dropped or waiting is not None
        return waiting

    # Out

    @property
    def waiting(self) -> Kind | None:
        """What has its turn later: after the present run, the cooldown, the backoff, or the brake."""
        if self.running is not None:
            wanted = self.wanted if self.wanted is not self.running.kind and not self._dropped else None
        else:
            wanted = self.wanted if self._outstanding else None
        return wanted if wanted in self.policy.kinds else None

    def ready(self) -> Mono | None:
        """When what waits may run, as far as time decides; None if nothing waits for time."""
        return self._ready() if self.running is None and self._outstanding else None

    # Steps

    def _judge(self, now: Now) -> None:
        if not self._settled:
            return
        if self._down:
            self._want(Kind.DEMOTE, next(reversed(self._down.values())), now)
        elif self._up and not self._unknown:
            self._want(Kind.PROMOTE, next(reversed(self._up.values())), now)

    def _want(self, kind: Kind, cause: Cause, now: Now) -> None:
        if kind is self.wanted:
            return
        self.wanted, self.cause, self._dropped = kind, cause, False
        self._wanted_at = now.mono
        if self._last is None and not self.policy.run_on_start:
            self.state, self._last, self._learned = State(kind, now.wall), kind, True

    @property
    def _outstanding(self) -> bool:
        if self.wanted is None or self._dropped:
            return False
        return self.wanted is not self._last or 0 < self._failures <= self.policy.retries

    def _failures_of(self, kind: Kind) -> int:
        return self._failures if kind is self._last else 0

    def _ready(self) -> Mono:
        if self.wanted is self._last and self._ended is not None:
            backoff = self.policy.backoff << min(self._failures - 1, 32)
            return Mono(self._ended + min(backoff, max(self.policy.backoff, LONGEST_BACKOFF)))
        patience = self.policy.patience if self.wanted is Kind.DEMOTE else 0
        rested = Mono(0) if self._ended is None else self._ended + self.policy.cooldown
        return Mono(max(rested, self._wanted_at + patience))

    def _done(self, kind: Kind, failure: RunFailure | None, now: Now) -> None:
        self._failures = 0 if failure is None else self._failures_of(kind) + 1
        self._last, self._learned = kind, False
        over = not 0 < self._failures <= self.policy.retries
        # Retried or not, a change is answered once: after the last attempt it is as if it had gone well.
        if over and (self.state is None or self.state.kind is not kind):
            self.state = State(kind, now.wall)
