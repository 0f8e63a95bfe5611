"""What actions are about, in values."""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple

from .model import Wall


class Kind(StrEnum):
    PROMOTE = "promote"
    DEMOTE = "demote"


class RunFailure(StrEnum):
    """Why a run of an action failed; the `reason` of heartbeat_action_failures_total."""

    EXIT = "exit"
    TIMEOUT = "timeout"
    START = "start"
    CANCELLED = "cancelled"


class Cause(NamedTuple):
    """The probe or worker whose change decided, why it changed, and since when it is so."""

    name: str
    reason: str
    detail: str
    since: Wall


class Outcome(NamedTuple):
    """One finished run of an action. `output` is the last 8 KiB of what it wrote; durations in seconds."""

    at: Wall
    kind: Kind
    cause: Cause
    duration: float
    failure: RunFailure | None = None
    detail: str = ""
    output: str = ""
