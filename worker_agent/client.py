"""The heartbeat client: carries out what the session decides, on asyncio and websockets."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Awaitable, Callable

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from worker_agent.actions import (
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
from worker_agent.lag import PROBE_EVERY, LoopLag
from worker_agent.protocol import MAX_FRAME, Checks
from worker_agent.registration import USER_AGENT, describe, proxy_for, refused
from worker_agent.session import Session

OPEN_TIMEOUT = 20.0
CLOSE_TIMEOUT = 1.0
SEND_TIMEOUT = 1.0

logger = logging.getLogger(__name__)

Dialler = Callable[[str], Awaitable[ClientConnection]]


async def dial(url: str) -> ClientConnection:
    """Open a WebSocket that is judged by its acknowledgements alone."""
    return await connect(
        url,
        proxy=proxy_for(url),
        compression=None,
        ping_interval=None,
        open_timeout=OPEN_TIMEOUT,
        close_timeout=CLOSE_TIMEOUT,
        max_size=MAX_FRAME,
        user_agent_header=USER_AGENT,
    )


class Client:
    """Keeps one worker registered and beating until it is stopped.

    Args:
        session: decides.
        register: posts the registration; blocks, and is called in a thread of its own.
        lag: measures the application's event loop; None when there is none.
        checks: says how the health checks stand. Called on the loop of `run` and often: it returns what is
            known, at once, and raises nothing.
    """

    def __init__(
        self,
        session: Session,
        register: Callable[[], Registration | Refusal],
        *,
        lag: LoopLag | None = None,
        checks: Callable[[], Checks | None] | None = None,
        dial: Dialler = dial,
    ) -> None:
        self._session = session
        self._register = register
        self._lag = lag
        self._checks = checks
        self._dial = dial
        self._wake = asyncio.Event()
        self._attempt: asyncio.Task[None] | None = None
        self._connection: ClientConnection | None = None
        self._last_problem: tuple[Cause, str] | None = None
        self._known_as: dict[str, str] = {}  # for the log, once the exporter has said it

    async def run(self) -> None:
        """Beat for ever; return when `stop` was called and the goodbye is out."""
        measuring = asyncio.create_task(self._measure_lag())
        try:
            finished = False
            while not finished:
                self._wake.clear()
                self._session.tick(self._now(), time.time(), self._readings())
                finished = await self._carry_out()
                if not finished:
                    await self._sleep()
        finally:
            measuring.cancel()
            await self._hang_up()

    def stop(self, *, leave: bool) -> None:
        """Say goodbye and end; to be called on the loop of `run`."""
        self._session.stop(leave=leave)
        self._wake.set()

    async def _carry_out(self) -> bool:
        for action in self._session.actions():
            await self._perform(action)
            if isinstance(action, Finished):
                return True
        return False

    async def _perform(self, action: Action) -> None:
        match action:
            case Register():
                self._attempt = asyncio.create_task(self._try_to_register())
            case Dial(url):
                self._attempt = asyncio.create_task(self._try_to_connect(url))
            case Send(frame):
                await self._send(frame)
            case HangUp():
                await self._hang_up()
            case Retry():
                self._tell(action)
            case Finished():
                logger.debug("the heartbeat client has ended")

    async def _sleep(self) -> None:
        deadline = self._session.deadline()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout_at(deadline):
                await self._wake.wait()

    async def _try_to_register(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(OPEN_TIMEOUT):
                answer = await loop.run_in_executor(None, self._register)
        except Exception as error:
            answer = _refusal("the registration", error)
        if isinstance(answer, Registration):
            self._known_as = {"worker_id": answer.worker_id}
            logger.info("registered as %s", answer.worker_id, extra=self._known_as)
            self._session.registered(answer)
        else:
            self._session.refused(answer, self._now())
        self._wake.set()

    async def _try_to_connect(self, url: str) -> None:
        try:
            connection = await self._dial(url)
        except Exception as error:
            # Whatever a network, a proxy or a certificate comes up with: we are not connected.
            self._session.refused(_refusal(url, error), self._now())
        else:
            self._connection = connection
            logger.info("connected to %s", url, extra={**self._known_as, "url": url})
            self._last_problem = None
            self._session.opened(self._now(), time.time(), self._readings())
            self._wake.set()
            await self._read(connection)
        self._wake.set()

    async def _read(self, connection: ClientConnection) -> None:
        try:
            while True:
                self._session.frame(await connection.recv(), self._now())
                self._wake.set()
        except ConnectionClosed as closed:
            self._session.closed(*_ending(closed), self._now())

    async def _send(self, frame: str) -> None:
        # A closed connection is reported by its reader; a blocked one by the answer that stays away.
        with contextlib.suppress(ConnectionClosed, TimeoutError):
            if self._connection is not None:
                async with asyncio.timeout(SEND_TIMEOUT):
                    await self._connection.send(frame)
                logger.debug("sent %s", frame, extra=self._known_as)

    async def _hang_up(self) -> None:
        attempt, self._attempt = self._attempt, None
        connection, self._connection = self._connection, None
        if attempt is not None:
            attempt.cancel()
            await asyncio.gather(attempt, return_exceptions=True)
        if connection is not None:
            await connection.close()

    async def _measure_lag(self) -> None:
        while True:
            if self._lag is not None:
                self._lag.probe()
            await asyncio.sleep(PROBE_EVERY)

    def _readings(self) -> Readings:
        registration = self._session.registration
        interval = 0.0 if registration is None else registration.heartbeat_interval
        return Readings(
            # A little more than since the last heartbeat, so that none of them misses a block.
            loop_lag=None if self._lag is None else self._lag.worst(within=max(interval, PROBE_EVERY) * 1.5),
            checks=None if self._checks is None else self._checks(),
        )

    def _tell(self, retry: Retry) -> None:
        """Once for each new problem; that it is still the same is for those who look closer."""
        problem = (retry.cause, retry.detail)
        level = logging.DEBUG if problem == self._last_problem else logging.WARNING
        self._last_problem = problem
        logger.log(
            level,
            "no heartbeats: %s; trying again in %.1f s%s",
            retry.detail,
            retry.delay,
            _ADVICE.get(retry.cause, ""),
            extra={**self._known_as, "reason": retry.cause.value},
        )

    def _now(self) -> float:
        return asyncio.get_running_loop().time()


_ADVICE = {
    Cause.REPLACED: " (another process registers as this same worker: do two share name, host and port, "
    "or do several server processes answer behind one port?)",
    Cause.RESTART: " (it restarts)",
    Cause.REFUSED: " (this needs another setting, here or at the exporter)",
}


def _ending(closed: ConnectionClosed) -> tuple[int | None, str]:
    """The exporter's close code, None if it was not the exporter that closed, and what people are told."""
    ours, theirs = closed.sent, closed.rcvd
    if ours is not None and not closed.rcvd_then_sent:
        return None, f"the connection was closed on this side with {ours.code}: {ours.reason}"
    if theirs is None:
        return None, "the connection broke off"
    detail = f"the exporter closed the connection with {theirs.code}"
    return theirs.code, f"{detail}: {theirs.reason}" if theirs.reason else detail


def _refusal(what: str, error: Exception) -> Refusal:
    if isinstance(error, InvalidStatus):
        response = error.response
        said = describe(response.body or b"")
        return refused(what, response.status_code, said, response.headers.get("Retry-After"))
    if isinstance(error, TimeoutError):
        return Refusal(f"{what}: no answer within {OPEN_TIMEOUT:g} s")
    return Refusal(f"{what}: {str(error) or type(error).__name__}")
