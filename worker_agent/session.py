"""What the heartbeat client does next, when, and when it gives up: no sockets, no clock, no logger.

Push in what happened (`registered`, `opened`, `frame`, ...), then carry out what `actions` returns and
call `tick` when `deadline` has come. Nothing here waits.

    waiting -> registering -> dialling -> open -> waiting -> ...        stopped

Every way back to a server leads through `waiting`, and that takes a second at least: a server that
accepts and closes is dialled at most once a second, whatever it says.

Times are in seconds. `now` is a monotonic clock, `wall` is Unix time at the same moment.
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import Enum, auto
from random import uniform as random_uniform

from worker_agent import protocol
from worker_agent.actions import (
    NONE,
    Action,
    Cause,
    Dial,
    Finished,
    HangUp,
    Readings,
    Refusal,
    Register,
    Registration,
    Retry,
    Send,
)
from worker_agent.backoff import MIN_DELAY, Uniform, delays
from worker_agent.protocol import MAX_RECONNECT_DELAY, Checks, Close
from worker_agent.roundtrip import RoundTrips
from worker_agent.statistics import Statistics

ACK_EVERY = 3
ACK_TIMEOUT = 2.0
UNANSWERED_LIMIT = 2
LATE = 0.5
"""A timer this late means that we were held up ourselves: the answer may be waiting to be read."""

SLOW_DELAY = 60.0
"""Between attempts that will fail until somebody changes a setting."""
MAX_RETRY_AFTER = 60.0
DIALS_BEFORE_REGISTERING = 3
"""The address may be that of an exporter that is gone; registering tells where another one is."""

_LONGEST = 3600.0


class Phase(Enum):
    WAITING = auto()
    REGISTERING = auto()
    DIALLING = auto()
    OPEN = auto()
    STOPPED = auto()


class Session:
    """One worker's side of the conversation, over as many connections as it takes.

    Begins by waiting for a moment that has come: the first `tick` registers.

    Args:
        ack_every: of so many heartbeats one asks for an answer.
    """

    def __init__(
        self, statistics: Statistics, uniform: Uniform = random_uniform, *, ack_every: int = ACK_EVERY
    ) -> None:
        self.phase = Phase.WAITING
        self.registration: Registration | None = None
        self.statistics = statistics
        self._uniform = uniform
        self._ack_every = ack_every
        self._delays: Iterator[float] = delays(uniform)
        self._actions: list[Action] = []
        self._failed_dials = 0
        # When the next attempt (waiting) or the next heartbeat (open) is due.
        self._due = float("-inf")
        # The open connection.
        self._seq = 0
        self._asked: dict[int, float] = {}
        self._last_ask = 0
        self._answer_due: float | None = None
        self._was_held_up = False
        self._unanswered = 0
        self._rtt: float | None = None
        self._told: Checks | None = None
        self._round_trips = RoundTrips()

    @property
    def answered(self) -> bool:
        """Whether the connection is open and no answer on it is overdue."""
        return self.phase is Phase.OPEN and self._unanswered == 0

    def actions(self) -> list[Action]:
        """What is to be done now, in this order. Each is returned once."""
        actions, self._actions = self._actions, []
        return actions

    def deadline(self) -> float | None:
        """When `tick` is to be called if nothing happens before; None: something has to happen."""
        if self.phase is Phase.OPEN and self._answer_due is not None:
            return min(self._due, self._answer_due)
        return self._due if self.phase in (Phase.WAITING, Phase.OPEN) else None

    def tick(self, now: float, wall: float, readings: Readings = NONE) -> None:
        """The time is `now`; calling this too early is harmless."""
        if self.phase is Phase.WAITING and now >= self._due:
            self._attempt()
        elif self.phase is Phase.OPEN:
            if self._answer_due is not None and now >= self._answer_due:
                self._miss_answer(now)
            if self.phase is Phase.OPEN and now >= self._due:
                self._beat(now, wall, readings)

    def registered(self, registration: Registration) -> None:
        """The exporter took us in."""
        if not self._expects(Phase.REGISTERING):
            return
        self.registration = registration
        self.statistics.worker_id = registration.worker_id
        self._failed_dials = 0
        self._attempt()

    def refused(self, refusal: Refusal, now: float) -> None:
        """The registration or the WebSocket handshake failed."""
        if not self._expects(Phase.REGISTERING, Phase.DIALLING):
            return
        if self.phase is Phase.REGISTERING:
            self._registration_refused(refusal, now)
        else:
            self._dial_refused(refusal, now)

    def opened(self, now: float, wall: float, readings: Readings = NONE) -> None:
        """The WebSocket is open: the first heartbeat goes out at once."""
        if not self._expects(Phase.DIALLING):
            return
        self.phase = Phase.OPEN
        self.statistics.connected = True
        self.statistics.problem = None
        self._due = now
        self._seq = self._last_ask = self._unanswered = 0
        self._asked.clear()
        self._answer_due = self._rtt = self._told = None
        # Another connection may end at another exporter, with another clock.
        self._round_trips = RoundTrips()
        self._beat(now, wall, readings)

    def frame(self, frame: str | bytes, now: float) -> None:
        """A frame arrived. What is not understood is ignored: the exporter may be newer."""
        if not self._expects(Phase.OPEN):
            return
        try:
            ack = protocol.decode_from_exporter(frame)
        except protocol.ProtocolError:
            return
        if ack is None or ack.seq is None or (sent := self._asked.pop(ack.seq, None)) is None:
            return
        self._rtt = self._round_trips.add(
            sent=sent, received=now, exporter_received=ack.received_at, exporter_sent=ack.sent_at
        )
        self.statistics.observe_round_trip(self._rtt)
        self._unanswered = 0
        if ack.seq == self._last_ask:
            self._answer_due = None
        # Only an answer proves that this server is worth coming back to soon.
        self._delays = delays(self._uniform)

    def closed(self, code: int | None, detail: str, now: float) -> None:
        """The WebSocket is gone; no `code`: without a closing handshake."""
        if not self._expects(Phase.OPEN):
            return
        assert self.registration is not None, "nothing is dialled before it is registered"
        if code == Close.RESTART:
            spread = min(self.registration.heartbeat_interval, MAX_RECONNECT_DELAY - MIN_DELAY)
            self._wait(Cause.RESTART, detail, MIN_DELAY + self._uniform(0.0, spread), now)
        elif code == Close.REPLACED:
            # Registering, and not only dialling, shows the exporter two boot ids: it counts a conflict.
            self.registration = None
            self._wait(Cause.REPLACED, detail, MAX_RECONNECT_DELAY, now)
        elif code == Close.FORGOTTEN:
            self.registration = None
            self._wait(Cause.FORGOTTEN, detail, next(self._delays), now)
        else:
            self._wait(Cause.CONNECTION_LOST, detail, next(self._delays), now)

    def stop(self, *, leave: bool) -> None:
        """Say goodbye if anybody listens, and end; `leave` asks to be forgotten. Again is harmless."""
        if self.phase is Phase.STOPPED:
            return
        if self.phase is Phase.OPEN:
            self._actions.append(Send(protocol.encode_goodbye(protocol.Goodbye(leave))))
        self.phase = Phase.STOPPED
        self.statistics.connected = False
        self.statistics.problem = "stopped"
        self._actions += [HangUp(), Finished()]

    def _expects(self, *phases: Phase) -> bool:
        """After `stop`, what was under way may still report; nobody listens to it any more."""
        assert self.phase in (Phase.STOPPED, *phases), f"this cannot happen while {self.phase.name}"
        return self.phase is not Phase.STOPPED

    def _attempt(self) -> None:
        if self.registration is None:
            self.phase = Phase.REGISTERING
            self._actions.append(Register())
        else:
            self.phase = Phase.DIALLING
            self._actions.append(Dial(self.registration.websocket_url))

    def _wait(self, cause: Cause, detail: str, delay: float, now: float) -> None:
        self.phase = Phase.WAITING
        self._due = now + delay
        self.statistics.connected = False
        self.statistics.problem = detail
        self.statistics.reconnects[cause] += 1
        self._actions.append(Retry(cause, detail, delay))

    def _registration_refused(self, refusal: Refusal, now: float) -> None:
        if refusal.status == 404:
            # Our address is wrong, or a proxy does not know the exporter yet.
            self._wait(Cause.REFUSED, refusal.detail, MAX_RECONNECT_DELAY, now)
        else:
            self._wait(*self._judge(refusal), now)

    def _dial_refused(self, refusal: Refusal, now: float) -> None:
        self._failed_dials += 1
        if refusal.status == 404:
            self.registration = None
            self._wait(Cause.UNKNOWN_WORKER, refusal.detail, next(self._delays), now)
            return
        if self._failed_dials >= DIALS_BEFORE_REGISTERING:
            self.registration = None
        self._wait(*self._judge(refusal), now)

    def _judge(self, refusal: Refusal) -> tuple[Cause, str, float]:
        status, detail = refusal.status, refusal.detail
        if status is None:
            return Cause.UNREACHABLE, detail, next(self._delays)
        if status < 500 and status not in (408, 429):
            return Cause.REFUSED, detail, SLOW_DELAY
        if refusal.retry_after is None:
            return Cause.UNAVAILABLE, detail, next(self._delays)
        told = max(MIN_DELAY, min(refusal.retry_after, MAX_RETRY_AFTER))
        # A second of spread: a whole fleet was told the same number at the same moment.
        return Cause.UNAVAILABLE, detail, told + self._uniform(0.0, 1.0)

    def _beat(self, now: float, wall: float, readings: Readings) -> None:
        assert self.registration is not None, "nothing is dialled before it is registered"
        self._seq += 1
        ask = self._answer_due is None and (
            self._last_ask == 0 or self._unanswered > 0 or self._seq - self._last_ask >= self._ack_every
        )
        if ask:
            self._last_ask = self._seq
            self._asked[self._seq] = now
            self._answer_due = now + ACK_TIMEOUT
            self._was_held_up = False
        rtt, self._rtt = self._rtt, None
        # An offset is news only together with the round trip it came from.
        offset = None if rtt is None else self._round_trips.clock_offset(now, wall)
        loop_lag = readings.loop_lag
        beat = protocol.Heartbeat(
            seq=self._seq,
            sent_at=round(wall, 6),
            ack=ask,
            rtt=None if rtt is None else round(min(rtt, _LONGEST), 6),
            clock_offset=None if offset is None else round(offset, 6),
            loop_lag=None if loop_lag is None else round(min(loop_lag, _LONGEST), 6),
            checks=self._news(readings.checks),
        )
        self._actions.append(Send(protocol.encode_heartbeat(beat)))
        self.statistics.heartbeats_sent += 1
        interval = self.registration.heartbeat_interval
        # From when it was due, so that the rhythm does not drift; beats slept through are not made up for.
        self._due = self._due + interval if self._due + interval > now else now + interval

    def _news(self, checks: Checks | None) -> Checks | None:
        """The checks, unless they are what was told last on this connection."""
        if checks is None or checks == self._told:
            return None
        self._told = checks
        return checks

    def _miss_answer(self, now: float) -> None:
        assert self._answer_due is not None, "nobody was asked"
        if now - self._answer_due > LATE and not self._was_held_up:
            self._was_held_up = True
            self._answer_due = now + ACK_TIMEOUT
            return
        self._answer_due = None
        self._unanswered += 1
        if self._unanswered >= UNANSWERED_LIMIT:
            self._actions.append(HangUp())
            detail = f"no answer to {UNANSWERED_LIMIT} heartbeats, {ACK_TIMEOUT:g} s each"
            self._wait(Cause.NO_ANSWER, detail, next(self._delays), now)
