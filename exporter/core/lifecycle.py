"""The life of a worker as one table.

Everything that decides which status follows which lives here, and nothing here knows how a trigger
came about. The table is total: for each status it names an outcome for each trigger, so a pair that
nobody thought of is a `KeyError` in the tests and not a surprise in production. The diagram in the
docs and the label sets on /metrics are read from it.
"""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple

from .model import Reason, Status


class Trigger(StrEnum):
    REGISTER = "register, same or no boot_id"
    REBOOT = "register, another boot_id"
    CONFLICT = "register, another boot_id while the old socket still beats"
    CONNECT = "socket accepted"
    BEAT = "heartbeat"
    GOODBYE = "goodbye"
    LEAVE = "goodbye with leave"
    CLOSE = "socket closed"
    CUT = "socket closed, but the exporter had stalled"
    TIMEOUT = "deadline passed, socket open"
    ABSENCE = "deadline passed, no socket"
    DELETE = "deleted"
    EXPIRE = "retention over"
    EVICT = "evicted"


class Move(NamedTuple):
    """Go to another status (None: be forgotten) for a reason (None: the one it has)."""

    to: Status | None
    reason: Reason | None


class Keep(StrEnum):
    STAY = "stay"  # expected here, and it changes no status
    IGNORE = "ignore"  # means nothing here


Outcome = Move | Keep

STAY, IGNORE = Keep.STAY, Keep.IGNORE

BIRTH = Move(Status.REGISTERED, Reason.REGISTERED)
"""The only way in: an unknown worker registers. Any other event for an unknown worker is an error."""

_FORGET: dict[Trigger, Outcome] = {
    Trigger.DELETE: Move(None, Reason.DELETED),
    Trigger.EXPIRE: Move(None, Reason.EXPIRED),
    Trigger.EVICT: Move(None, Reason.EVICTED),
}

_RESTART = Move(Status.REGISTERED, Reason.RESTART)
_CONNECTED = Move(Status.CONNECTED, Reason.CONNECTED)
_LEAVE = Move(None, Reason.LEAVE)

TRANSITIONS: dict[Status, dict[Trigger, Outcome]] = {
    Status.REGISTERED: {
        Trigger.REGISTER: STAY,
        Trigger.REBOOT: _RESTART,
        Trigger.CONFLICT: IGNORE,
        Trigger.CONNECT: _CONNECTED,
        Trigger.BEAT: IGNORE,
        Trigger.GOODBYE: IGNORE,
        Trigger.LEAVE: _LEAVE,
        Trigger.CLOSE: IGNORE,
        Trigger.CUT: IGNORE,
        Trigger.TIMEOUT: IGNORE,
        Trigger.ABSENCE: Move(Status.NOT_RESPONDING, Reason.NEVER_CONNECTED),
        **_FORGET,
    },
    Status.CONNECTED: {
        Trigger.REGISTER: STAY,
        Trigger.REBOOT: _RESTART,
        Trigger.CONFLICT: IGNORE,
        Trigger.CONNECT: STAY,
        Trigger.BEAT: Move(Status.ALIVE, Reason.HEARTBEAT),
        Trigger.GOODBYE: Move(Status.DISCONNECTED, Reason.SHUTDOWN),
        Trigger.LEAVE: _LEAVE,
        Trigger.CLOSE: Move(Status.DISCONNECTED, Reason.CONNECTION_LOST),
        Trigger.CUT: STAY,
        Trigger.TIMEOUT: Move(Status.NOT_RESPONDING, Reason.TIMEOUT),
        Trigger.ABSENCE: Move(Status.NOT_RESPONDING, Reason.CONNECTION_LOST),
        **_FORGET,
    },
    Status.ALIVE: {
        Trigger.REGISTER: STAY,
        Trigger.REBOOT: _RESTART,
        Trigger.CONFLICT: STAY,
        Trigger.CONNECT: STAY,
        Trigger.BEAT: STAY,
        Trigger.GOODBYE: Move(Status.DISCONNECTED, Reason.SHUTDOWN),
        Trigger.LEAVE: _LEAVE,
        Trigger.CLOSE: Move(Status.DISCONNECTED, Reason.CONNECTION_LOST),
        Trigger.CUT: STAY,
        Trigger.TIMEOUT: Move(Status.NOT_RESPONDING, Reason.TIMEOUT),
        Trigger.ABSENCE: Move(Status.NOT_RESPONDING, Reason.CONNECTION_LOST),
        **_FORGET,
    },
    Status.DISCONNECTED: {
        Trigger.REGISTER: STAY,
        Trigger.REBOOT: _RESTART,
        Trigger.CONFLICT: IGNORE,
        Trigger.CONNECT: _CONNECTED,
        Trigger.BEAT: IGNORE,
        Trigger.GOODBYE: IGNORE,
        Trigger.LEAVE: _LEAVE,
        Trigger.CLOSE: IGNORE,
        Trigger.CUT: IGNORE,
        Trigger.TIMEOUT: IGNORE,
        Trigger.ABSENCE: Move(Status.NOT_RESPONDING, None),
        **_FORGET,
    },
    Status.NOT_RESPONDING: {
        Trigger.REGISTER: STAY,
        Trigger.REBOOT: _RESTART,
        Trigger.CONFLICT: IGNORE,
        Trigger.CONNECT: _CONNECTED,
        Trigger.BEAT: Move(Status.ALIVE, Reason.HEARTBEAT),
        Trigger.GOODBYE: STAY,
        Trigger.LEAVE: _LEAVE,
        Trigger.CLOSE: STAY,
        Trigger.CUT: STAY,
        Trigger.TIMEOUT: IGNORE,
        Trigger.ABSENCE: IGNORE,
        **_FORGET,
    },
}


def _possible_changes() -> tuple[tuple[Status | None, Status | None, Reason], ...]:
    """Every (from, to, reason) that can ever be counted, so that all of them can start at 0."""
    changes: list[tuple[Status | None, Status | None, Reason]] = [(None, BIRTH.to, Reason.REGISTERED)]
    for status, outcomes in TRANSITIONS.items():
        for outcome in outcomes.values():
            if isinstance(outcome, Move):
                # A disconnected worker has either been stopped or lost, and keeps saying which.
                kept = (Reason.CONNECTION_LOST, Reason.SHUTDOWN)
                reasons = (outcome.reason,) if outcome.reason is not None else kept
                changes += [(status, outcome.to, reason) for reason in reasons]
    return tuple(dict.fromkeys(changes))


POSSIBLE_CHANGES = _possible_changes()

REASONS = {
    status: frozenset(reason for _, after, reason in POSSIBLE_CHANGES if after is status) for status in Status
}
"""With which reasons a worker can be in a status. A record that says otherwise is corrupt."""
