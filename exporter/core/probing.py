"""What a probe found, and when that makes its target up or down."""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple

from .groups import HistogramRow
from .model import Wall


class Failure(StrEnum):
    """Why a run failed. A closed list: every failed run has exactly one."""

    DNS = "dns"
    REFUSED = "refused"
    CONNECT = "connect"
    TLS = "tls"
    TIMEOUT = "timeout"
    STATUS = "status"
    BODY = "body"
    PROTOCOL = "protocol"
    OTHER = "other"


class Phase(StrEnum):
    """A part of a run, in the order in which they come."""

    RESOLVE = "resolve"
    CONNECT = "connect"
    TLS = "tls"
    PROCESSING = "processing"
    TRANSFER = "transfer"


class Result(NamedTuple):
    """One run of a probe. `at` is its beginning, durations are seconds, the expiry is Unix time."""

    at: Wall
    duration: float
    failure: Failure | None = None
    detail: str = ""
    phases: tuple[tuple[Phase, float], ...] = ()
    http_status: int | None = None
    certificate_expiry: float | None = None

    @property
    def success(self) -> bool:
        return self.failure is None


class ProbeChange(NamedTuple):
    """A probe's target went up or down; `first` says that it was not known before. `result` decided."""

    probe: str
    up: bool
    first: bool
    result: Result


class Debounce:
    """Up or down only after so many results in a row that say so; the first result settles the start."""

    def __init__(self, failure_threshold: int, success_threshold: int) -> None:
        self.up: bool | None = None
        self._needed = {False: failure_threshold, True: success_threshold}
        self._against = 0

    def observe(self, success: bool) -> bool:
        """Take one result; whether `up` changed by it, the start included."""
        if self.up is None:
            self.up = success
            return True
        if success is self.up:
            self._against = 0
            return False
        self._against += 1
        if self._against < self._needed[success]:
            return False
        self.up, self._against = success, 0
        return True

    def require(self, failure_threshold: int, success_threshold: int) -> None:
        """Other thresholds from the next result on; what is known stays."""
        self._needed = {False: failure_threshold, True: success_threshold}


KEPT = 20
"""How many results are kept of a probe, and how many failures besides."""


class History(NamedTuple):
    """Results of a probe, oldest first: the last `KEPT`, and the last `KEPT` of those that failed.

    Failures are kept for themselves, because the one that somebody asks about is older than twenty
    successes. Immutable: safe to share.
    """

    latest: tuple[Result, ...] = ()
    failures: tuple[Result, ...] = ()

    def plus(self, result: Result) -> History:
        failures = self.failures if result.success else (*self.failures[1 - KEPT :], result)
        return History((*self.latest[1 - KEPT :], result), failures)


class ProbeRow(NamedTuple):
    """A probe at one instant, for metrics and API. Immutable: safe to keep and to share.

    `up` is None until the first result, and `since` says when the run began that made it what it is.
    `failures` has every reason, those that never came with 0.
    """

    name: str
    kind: str
    target: str
    up: bool | None
    since: Wall | None
    last: Result | None
    runs: int
    failures: tuple[tuple[Failure, int], ...]
    history: History


class ProbeKindRow(NamedTuple):
    """All probes of a kind at one instant. `run_duration` is in seconds."""

    kind: str
    run_duration: HistogramRow
