"""The wire between a worker and the exporter: message types, encode, decode.

Both sides import this file, and it imports nothing but the standard library. A message is one JSON
object in one WebSocket text frame of at most `MAX_FRAME` bytes with a `type`. Unknown fields and
unknown types are ignored, so that either side may be the newer one.

    worker -> exporter    Heartbeat, Goodbye
    exporter -> worker    Ack

docs/protocol.md describes the same for people who write a client in another language.
"""

from __future__ import annotations

import json
import re
from enum import IntEnum, StrEnum
from typing import NamedTuple

VERSION = 1
MAX_FRAME = 4096
"""The largest frame either side accepts, in bytes of UTF-8."""

MAX_CHECKS = 32
"""How many health checks a worker may tell of; with names of full length they still fit a frame."""

MAX_CHECK_NAME = 48
"""Characters."""

MAX_RECONNECT_DELAY = 15.0
"""The longest an agent waits before it tries again, in seconds; the exporter grants it after a restart."""


class Close(IntEnum):
    """WebSocket close codes with a meaning of ours (4000 to 4999 are for applications, RFC 6455 7.4.2)."""

    NORMAL = 1000
    NOT_UTF8 = 1007
    ABUSE = 1008
    TOO_BIG = 1009
    RESTART = 1012
    REPLACED = 4001
    FORGOTTEN = 4004


class Flaw(StrEnum):
    """Why a frame, or a field of it, was rejected."""

    JSON = "json"
    TYPE = "type"
    FIELD = "field"
    SIZE = "size"


class CheckState(StrEnum):
    """What a health check found."""

    HEALTHY = "healthy"
    DEGRADED = "degraded"
    UNHEALTHY = "unhealthy"


Checks = tuple[tuple[str, CheckState], ...]
"""Health checks by name, in the order of the names: what is equal compares equal."""


class ProtocolError(ValueError):
    """A frame that is not a message. `flaw` says which way, the text says what was expected."""

    def __init__(self, flaw: Flaw, expected: str) -> None:
        super().__init__(expected)
        self.flaw = flaw


class Heartbeat(NamedTuple):
    """A sign of life. A tuple and not a dataclass because it is built for every single frame.

    Seconds throughout; `sent_at` is Unix time by the worker's clock and `clock_offset` is how far
    that clock is ahead of the exporter's. No `checks`: nothing is said of them; empty: there are none.
    `dropped` names the optional fields that were unusable, and "checks" once for each unusable check.
    """

    seq: int | None = None
    sent_at: float | None = None
    ack: bool = False
    rtt: float | None = None
    clock_offset: float | None = None
    loop_lag: float | None = None
    checks: Checks | None = None
    dropped: tuple[str, ...] = ()


class Goodbye(NamedTuple):
    """The worker ends on purpose; with `leave` it asks to be forgotten."""

    leave: bool = False


class Ack(NamedTuple):
    """The answer to a heartbeat that asked: when it arrived and when this left, by the exporter's clock."""

    seq: int | None
    received_at: float
    sent_at: float


_BARE = Heartbeat()
_HOUR = 3600.0
_YEAR_5138 = 1e11

# Bounds also keep NaN and infinity out: no comparison with NaN is true.
_BOUNDS: tuple[tuple[str, float, float], ...] = (
    ("sent_at", 0.0, _YEAR_5138),
    ("rtt", 0.0, _HOUR),
    ("clock_offset", -_YEAR_5138, _YEAR_5138),
    ("loop_lag", 0.0, _HOUR),
)


_STATES = {state.value: state for state in CheckState}
_CHECK_NAME = re.compile(rf"[A-Za-z0-9][A-Za-z0-9_.:-]{{0,{MAX_CHECK_NAME - 1}}}")


def valid_check_name(name: str) -> bool:
    """ASCII letters, digits and `_ . : -`, beginning with a letter or a digit, at most `MAX_CHECK_NAME`."""
    return _CHECK_NAME.fullmatch(name) is not None


def _load(frame: str | bytes) -> dict[str, object]:
    try:
        message = json.loads(frame)
    except (ValueError, RecursionError):
        raise ProtocolError(Flaw.JSON, "a frame must be a JSON object") from None
    if type(message) is not dict:
        raise ProtocolError(Flaw.JSON, "a frame must be a JSON object")
    return message


def decode_from_worker(frame: str | bytes) -> Heartbeat | Goodbye | None:
    """Read a frame that a worker sent; None for a type this version does not know.

    Raises:
        ProtocolError: no JSON object, or one without a `type` that is a string.
    """
    message = _load(frame)
    kind = message.get("type")
    if kind == "heartbeat":
        return _BARE if len(message) == 1 else _heartbeat(message)
    if kind == "goodbye":
        return Goodbye(message.get("leave") is True)
    if isinstance(kind, str):
        return None
    raise ProtocolError(Flaw.TYPE, 'a message must have a "type" that is a string')


def _heartbeat(message: dict[str, object]) -> Heartbeat:
    """Keep what is usable: a heartbeat with a bad field is still a sign of life."""
    dropped: tuple[str, ...] = ()
    get = message.get
    seq = get("seq")
    if seq is not None and (type(seq) is not int or not 0 <= seq < 2**63):
        seq, dropped = None, ("seq",)
    ack = get("ack", False)
    if type(ack) is not bool:
        ack, dropped = False, (*dropped, "ack")
    seconds: list[float | None] = []
    for name, low, high in _BOUNDS:
        value = get(name)
        if value is None:
            seconds.append(None)
        elif (type(value) is float or type(value) is int) and low <= value <= high:
            seconds.append(float(value))
        else:
            seconds.append(None)
            dropped = (*dropped, name)
    sent_at, rtt, clock_offset, loop_lag = seconds
    checks = None
    if (told := get("checks")) is not None:
        checks, unusable = _checks(told)
        dropped += ("checks",) * unusable
    return Heartbeat(seq, sent_at, ack, rtt, clock_offset, loop_lag, checks, dropped)


def _checks(told: object) -> tuple[Checks | None, int]:
    """The first `MAX_CHECKS` that are usable, and how many are not.

    More than `MAX_CHECKS` + 1 are not told apart: a frame has room for hundreds.
    """
    if type(told) is not dict:
        return None, 1
    usable: list[tuple[str, CheckState]] = []
    for name, state in told.items():
        known = _STATES.get(state) if type(state) is str else None
        if known is not None and valid_check_name(name):
            usable.append((name, known))
            if len(usable) == MAX_CHECKS:
                break
    return tuple(sorted(usable)), min(len(told) - len(usable), MAX_CHECKS + 1)


def decode_from_exporter(frame: str | bytes) -> Ack | None:
    """Read a frame that the exporter sent; None for a type this version does not know.

    Raises:
        ProtocolError: no JSON object, no `type`, or an ack whose times are not numbers.
    """
    message = _load(frame)
    kind = message.get("type")
    if kind == "ack":
        seq, received_at, sent_at = message.get("seq"), message.get("received_at"), message.get("sent_at")
        if (
            not isinstance(received_at, int | float)
            or not isinstance(sent_at, int | float)
            or not 0.0 <= received_at <= sent_at <= _YEAR_5138
            or not (seq is None or type(seq) is int)
        ):
            raise ProtocolError(Flaw.FIELD, "an ack must have received_at <= sent_at, both in Unix seconds")
        return Ack(seq, float(received_at), float(sent_at))
    if isinstance(kind, str):
        return None
    raise ProtocolError(Flaw.TYPE, 'a message must have a "type" that is a string')


def encode_heartbeat(beat: Heartbeat) -> str:
    """One frame; fields that are None stay away."""
    message: dict[str, object] = {"type": "heartbeat"}
    if beat.seq is not None:
        message["seq"] = beat.seq
    if beat.sent_at is not None:
        message["sent_at"] = beat.sent_at
    if beat.ack:
        message["ack"] = True
    if beat.rtt is not None:
        message["rtt"] = beat.rtt
    if beat.clock_offset is not None:
        message["clock_offset"] = beat.clock_offset
    if beat.loop_lag is not None:
        message["loop_lag"] = beat.loop_lag
    if beat.checks is not None:
        message["checks"] = dict(beat.checks)
    return json.dumps(message, separators=(",", ":"), allow_nan=False)


def encode_goodbye(goodbye: Goodbye) -> str:
    return '{"type":"goodbye","leave":true}' if goodbye.leave else '{"type":"goodbye","leave":false}'


def encode_ack(ack: Ack) -> str:
    """Formatted by hand: it is on the heartbeat path, and an integer and two times need no escaping."""
    seq = "null" if ack.seq is None else ack.seq
    return f'{{"type":"ack","seq":{seq},"received_at":{ack.received_at:.6f},"sent_at":{ack.sent_at:.6f}}}'
