"""Whether a message broker speaks AMQP 0-9-1, and how much waits in a queue."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

from worker_agent.health.check import BREAKER, CACHE, TIMEOUT, Breaker, Check
from worker_agent.health.checks.address import checked_url
from worker_agent.health.checks.library import need
from worker_agent.health.checks.limits import checked_limit, checked_severity, verdict
from worker_agent.health.result import Outcome, Result
from worker_agent.protocol import CheckState

if TYPE_CHECKING:
    from aio_pika.abc import AbstractConnection

_CLOSE_TIMEOUT = 0.25


class AmqpCheck(Check):
    """Opens a channel and, when a queue is named, declares it passively: it must exist and be usable.

    Details: `product` and `version` of the broker; with a queue also `messages` that are ready, and
    `consumers`.

    Args:
        url: amqp:// or amqps://, the virtual host as its path; options of aio-pika may follow.
        queue: what to look at; None for the broker alone.
        max_depth: the messages that may wait; None for any number.
        min_consumers: the consumers there must be.
        beyond: what the check is outside these limits, "degraded" or "unhealthy".

    Raises:
        ModuleNotFoundError: aio-pika is not installed.
        TypeError, ValueError: an argument that cannot be meant.
    """

    def __init__(
        self,
        name: str,
        *,
        url: str,
        queue: str | None = None,
        max_depth: int | None = None,
        min_consumers: int | None = None,
        beyond: str = CheckState.DEGRADED,
        timeout: float = TIMEOUT,
        cache: float = CACHE,
        critical: bool = True,
        breaker: Breaker | None = BREAKER,
    ) -> None:
        need("AmqpCheck", "aio_pika", "amqp")
        super().__init__(name, timeout=timeout, cache=cache, critical=critical, breaker=breaker)
        if queue is not None and (not isinstance(queue, str) or not queue):
            raise ValueError(f"the queue of check {name} must be a name or None, not {queue!r}")
        if queue is None and (max_depth is not None or min_consumers is not None):
            raise ValueError(f"check {name} has a limit for a queue, and no queue")
        self._url = checked_url(
            f"the url of check {name}",
            url,
            ("amqp", "amqps"),
            example="amqp://user:password@mq:5672/vhost",
        )
        self._queue = queue
        self._max_depth = checked_limit(f"max_depth of check {name}", max_depth)
        self._min_consumers = checked_limit(f"min_consumers of check {name}", min_consumers)
        self._beyond = checked_severity(f"beyond of check {name}", beyond)
        self._connection: AbstractConnection | None = None
        self._broker: dict[str, object] = {}

    async def run(self) -> Outcome:
        from aio_pika.exceptions import ChannelClosed
        from aiormq.exceptions import InvalidFrameError

        try:
            connection = await self._connected()
        except InvalidFrameError as error:
            if "OpenOk" not in str(error):
                raise
            # All that aiormq says of the broker's refusal is that it is no acceptance.
            return Result.unhealthy(
                "the broker refused the virtual host: does it exist, may the user open it?"
            )
        try:
            return await self._look(connection)
        except ChannelClosed as error:
            # The broker's answer to a queue that is not there, or not for us; the connection lives on.
            return Result.unhealthy(str(error), **self._broker)
        except BaseException:
            self._connection = None
            await _hang_up(connection)
            raise

    async def close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            await _hang_up(connection)

    async def _connected(self) -> AbstractConnection:
        from aio_pika import connect

        if self._connection is None or self._connection.is_closed:
            self._connection = await connect(self._url, timeout=self.timeout)
            assert self._connection.transport is not None, "it has just been opened"
            told = self._connection.transport.connection.server_properties
            self._broker = {name: told[name] for name in ("product", "version") if name in told}
        return self._connection

    async def _look(self, connection: AbstractConnection) -> Outcome:
        details = self._broker.copy()
        async with connection.channel(publisher_confirms=False) as channel:
            if self._queue is None:
                return details
            queue = await channel.declare_queue(self._queue, passive=True, timeout=self.timeout)
            messages = queue.declaration_result.message_count or 0
            consumers = queue.declaration_result.consumer_count or 0
        details |= {"messages": messages, "consumers": consumers}
        passed = []
        if self._max_depth is not None and messages > self._max_depth:
            passed.append(f"{messages} messages wait, above {self._max_depth}")
        if self._min_consumers is not None and consumers < self._min_consumers:
            passed.append(f"{consumers} consumers, below {self._min_consumers}")
        return verdict(self._beyond, passed, details)


async def _hang_up(connection: AbstractConnection) -> None:
    """Say goodbye, and cut the connection if the broker does not answer."""
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(connection.close(), _CLOSE_TIMEOUT)
