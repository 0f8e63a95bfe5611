"""How a run is conducted: what it has found so far, how long each part took, and how it ends."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping

from exporter.clock import SystemClock
from exporter.core.model import SECOND
from exporter.core.probing import Failure, Phase, Result
from exporter.probes.base import ProbeFailed

logger = logging.getLogger(__name__)
_clock = SystemClock()

_LONGEST = 500
"""Characters of a detail."""

_WAITING: Mapping[Phase | None, str] = {
    None: "nothing has begun",
    Phase.RESOLVE: "the name is not resolved",
    Phase.CONNECT: "nobody has answered at the address",
    Phase.TLS: "the TLS handshake is not over",
    Phase.PROCESSING: "the server has not answered",
    Phase.TRANSFER: "the answer is not complete",
}


class Course:
    """One run on its way. `conduct` makes it, and the steps of the run write what they find into it."""

    def __init__(self, timeout: float) -> None:
        self.timeout = timeout
        self.phase: Phase | None = None
        self.http_status: int | None = None
        self.certificate_expiry: float | None = None
        self.verdict: ProbeFailed | None = None
        """Stands once it is set, even if what is then found out in addition does not succeed in time."""
        self._spent: dict[Phase, int] = {}
        self._began = self._entered = _clock.now()
        self._transports: list[asyncio.WriteTransport] = []

    def enter(self, phase: Phase) -> None:
        """A part begins, and with it the one before ends. Parts that come again add up."""
        self._close_phase()
        self.phase = phase

    def left(self) -> float:
        """Seconds until the timeout."""
        return self.timeout - (_clock.now().mono - self._began.mono) / SECOND

    def found_expiry(self, expiry: float | None) -> None:
        """A certificate was seen; the earliest end of all of them counts."""
        if expiry is not None:
            self.certificate_expiry = min(expiry, self.certificate_expiry or expiry)

    def opened(self, transport: asyncio.WriteTransport) -> None:
        """A connection that is closed with the run, however that ends."""
        self._transports.append(transport)

    def hang_up(self, *, politely: bool) -> None:
        """Close all connections. Politely: what was written goes out first, and TLS says that it is over;
        but no answer is waited for."""
        loop = asyncio.get_running_loop()
        while self._transports:
            transport = self._transports.pop()  # TLS before the connection that carries it
            if politely:
                transport.close()
                loop.call_soon(transport.abort)
            else:
                transport.abort()

    def timed_out(self) -> ProbeFailed:
        phase = "" if self.phase is None else f" (phase {self.phase})"
        return ProbeFailed(Failure.TIMEOUT, f"after {self.timeout:g} s {_WAITING[self.phase]}{phase}")

    def result(self, failed: ProbeFailed | None) -> Result:
        self._close_phase()
        return Result(
            at=self._began.wall,
            duration=(self._entered.mono - self._began.mono) / SECOND,
            failure=None if failed is None else failed.failure,
            detail="" if failed is None else _presentable(failed.detail),
            phases=tuple((phase, spent / SECOND) for phase, spent in self._spent.items()),
            http_status=self.http_status,
            certificate_expiry=self.certificate_expiry,
        )

    def _close_phase(self) -> None:
        now = _clock.now()
        if self.phase is not None:
            self._spent[self.phase] = self._spent.get(self.phase, 0) + now.mono - self._entered.mono
        self._entered = now


async def conduct(timeout: float, steps: Callable[[Course], Awaitable[None]]) -> Result:
    """Run `steps` to their end or for `timeout` seconds. Raises nothing but CancelledError.

    Connections that were reported to the course are closed when this returns or is cancelled.
    """
    course = Course(timeout)
    failed: ProbeFailed | None = None
    ended = False
    try:
        async with asyncio.timeout(timeout):
            await steps(course)
        ended = True
    except ProbeFailed as error:
        failed = error
        _forget_frames(error)
        ended = True
    except TimeoutError:
        failed = course.verdict or course.timed_out()
    except Exception as error:
        # A defect, or what a library makes of a server stranger than all we have met: as often as it runs.
        logger.debug("a probe met something unforeseen", exc_info=True)
        failed = ProbeFailed(Failure.OTHER, f"{type(error).__name__}: {error}")
        _forget_frames(error)
    finally:
        course.hang_up(politely=ended)
    return course.result(failed)


def _presentable(detail: str) -> str:
    """What goes into the log, the environment of commands and JSON, and forty times into memory: on one line,
    not endless, and without what a server has put in that is no text."""
    if len(detail) > _LONGEST:
        detail = f"{detail[: _LONGEST - 1]}…"
    return detail if detail.isprintable() else "".join(c if c.isprintable() else "\ufffd" for c in detail)


def _forget_frames(error: BaseException | None) -> None:
    """Let go of the frames that an exception went through, and of what those hold.

    The frame that keeps an exception is one of them, so all of a failed run would be a cycle. The collector
    that finds those never looks at old objects (exporter/server.py): it would be a leak.
    """
    while error is not None:
        error.__traceback__ = None
        error = error.__cause__ or error.__context__
