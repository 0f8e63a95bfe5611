"""AmqpCheck and a real RabbitMQ."""

from __future__ import annotations

import asyncio
from typing import Any

import aio_pika
import pytest
from aio_pika.exceptions import AMQPError

from tests.support.dependencies import RabbitServer
from tests.support.processes import free_port
from tests.worker_agent.health.checks.outcomes import told
from worker_agent.health.checks.amqp import AmqpCheck

servers = pytest.mark.servers("rabbitmq-server")


async def outcome(url: str, **given: Any) -> tuple[str, dict[str, object], str | None]:
    """Of the second run, which has to find the connection as the first one left it."""
    check = AmqpCheck("mq", url=url, **given)
    try:
        await check.run()
        return told(await check.run())
    finally:
        await check.close()


async def leave(message: aio_pika.abc.AbstractIncomingMessage) -> None:
    """Consume, and never acknowledge."""


@servers
@pytest.mark.slow
async def test_queues(rabbit_dependency: RabbitServer) -> None:
    """A queue is told by what waits in it and who works on it; one that is not there, or not for us, is
    unhealthy, and never made."""
    url = rabbit_dependency.url
    async with await aio_pika.connect(url) as connection, await connection.channel() as channel:
        queue = await channel.declare_queue("orders", auto_delete=True)
        await channel.declare_queue("private", exclusive=True)
        for _ in range(3):
            await channel.default_exchange.publish(aio_pika.Message(b"order"), "orders")
        broker = {
            "product": "RabbitMQ",
            "version": connection.transport.connection.server_properties["version"],
        }
        waiting = {**broker, "messages": 3, "consumers": 0}

        assert await outcome(url) == ("healthy", broker, None)
        assert await outcome(url, queue="orders") == ("healthy", waiting, None)
        assert await outcome(url, queue="orders", max_depth=3, min_consumers=0) == ("healthy", waiting, None)
        assert await outcome(url, queue="orders", max_depth=2, min_consumers=1) == (
            "degraded",
            waiting,
            "3 messages wait, above 2; 0 consumers, below 1",
        )
        await channel.set_qos(prefetch_count=1)
        await queue.consume(leave)
        assert await outcome(url, queue="orders", max_depth=1, min_consumers=1, beyond="unhealthy") == (
            "unhealthy",
            {**broker, "messages": 2, "consumers": 1},
            "2 messages wait, above 1",
        )
        for _ in range(2):
            assert await outcome(url, queue="nowhere") == (
                "unhealthy",
                broker,
                "NOT_FOUND - no queue 'nowhere' in vhost '/'",
            )
        state, details, error = await outcome(url, queue="private")
        assert (state, details) == ("unhealthy", broker)
        assert str(error).startswith("RESOURCE_LOCKED - cannot obtain exclusive access to locked queue")


@servers
@pytest.mark.slow
async def test_refused_logins(rabbit_dependency: RabbitServer) -> None:
    """The error of a refused login does not name the password, and that of a virtual host says so."""
    with pytest.raises(ConnectionError, match="ACCESS_REFUSED") as refused:
        await outcome(rabbit_dependency.url.replace("guest@", "sesame@"))
    assert "sesame" not in str(refused.value)
    assert await outcome(f"{rabbit_dependency.url}nowhere") == (
        "unhealthy",
        {},
        "the broker refused the virtual host: does it exist, may the user open it?",
    )


@pytest.mark.parametrize(
    "greeting", [b"AMQP\x00\x01\x00\x00", b"\x08\x00\x00\x00\x00\x00\x00\xce"], ids=["version", "frame"]
)
async def test_no_broker(greeting: bytes) -> None:
    """What speaks another version of the protocol, or does not follow it, is an error."""

    async def greet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(greeting)
        await reader.readexactly(8)
        writer.close()

    async with await asyncio.start_server(greet, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        with pytest.raises(AMQPError):
            await outcome(f"amqp://worker:sesame@127.0.0.1:{port}")


async def test_nobody_listens() -> None:
    """A refused connection is raised, and named with its address."""
    port = free_port()
    with pytest.raises(ConnectionError, match=f"'127.0.0.1', {port}"):
        await outcome(f"amqp://worker:sesame@127.0.0.1:{port}")


URL = "the url of check mq must be a URL like amqp://user:password@mq:5672/vhost"


@pytest.mark.parametrize(
    ("given", "error", "text"),
    [
        ({"url": None}, TypeError, f"{URL}, not a NoneType"),
        ({"url": "mq:5672"}, ValueError, f"{URL}: it does not begin with amqp:// or amqps://"),
        ({"url": "amqp:///vhost"}, ValueError, f"{URL}: it names no host"),
        ({"queue": ""}, ValueError, "the queue of check mq must be a name or None, not ''"),
        (
            {"queue": "orders", "max_depth": -1},
            ValueError,
            "max_depth of check mq must be 0 or more, not -1",
        ),
        (
            {"queue": "orders", "min_consumers": "1"},
            TypeError,
            "min_consumers of check mq must be a whole number or None, not '1'",
        ),
        ({"max_depth": 5}, ValueError, "check mq has a limit for a queue, and no queue"),
        ({"min_consumers": 1}, ValueError, "check mq has a limit for a queue, and no queue"),
        ({"beyond": "bad"}, ValueError, "beyond of check mq must be 'degraded' or 'unhealthy', not 'bad'"),
    ],
)
def test_what_cannot_be_meant(given: dict[str, Any], error: type[Exception], text: str) -> None:
    """Bad arguments are refused when the check is made."""
    with pytest.raises(error) as refused:
        AmqpCheck("mq", **{"url": "amqps://mq", **given})
    assert str(refused.value) == text
