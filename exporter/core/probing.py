"""What a probe found, and when that makes its target up or down."""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple

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
