"""TcpCheck and small servers in the same process."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

from tests.support.processes import free_port
from tests.worker_agent.health.checks.outcomes import told
from worker_agent.health.checks.tcp import TcpCheck

Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@contextlib.asynccontextmanager
async def listening(handle: Handler) -> AsyncIterator[int]:
    """The port of a server for the length of the block."""

    async def handle_and_close(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await handle(reader, writer)
        finally:
            writer.close()

    server = await asyncio.start_server(handle_and_close, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Sends back every byte, one by one."""
    while byte := await reader.read(1):
        writer.write(byte)
        await writer.drain()
        await asyncio.sleep(0)


async def test_connecting() -> None:
    """Where nothing is expected, a connection is enough."""
    async with listening(echo) as port:
        check = TcpCheck("t", host="127.0.0.1", port=port)
        assert told(await check.run()) == (
            "healthy",
            {"address": f"127.0.0.1:{port}", "connect_seconds": "seconds"},
            None,
        )


async def test_an_answer() -> None:
    """What is expected may come in pieces, and after something else."""
    async with listening(echo) as port:
        check = TcpCheck("t", host="localhost", port=port, send=b"hello PING there", expect=b"PING")
        assert told(await check.run()) == (
            "healthy",
            {
                "address": f"127.0.0.1:{port}",
                "connect_seconds": "seconds",
                "answer_seconds": "seconds",
            },
            None,
        )


async def test_another_answer() -> None:
    """A server that hangs up without having said what is expected is unhealthy."""

    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"-ERR")

    async with listening(refuse) as port:
        check = TcpCheck("t", host="127.0.0.1", port=port, expect=b"+OK")
        assert told(await check.run()) == (
            "unhealthy",
            {"address": f"127.0.0.1:{port}", "connect_seconds": "seconds"},
            "the connection was closed after 4 bytes, without what was expected",
        )


async def test_an_endless_answer() -> None:
    """A server that says anything else without end is left alone after 64 KiB."""

    async def babble(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            while True:
                writer.write(b"x" * 1000)
                await writer.drain()

    async with listening(babble) as port:
        check = TcpCheck("t", host="127.0.0.1", port=port, expect=b"+OK")
        assert told(await check.run()) == (
            "unhealthy",
            {"address": f"127.0.0.1:{port}", "connect_seconds": "seconds"},
            "what was expected is not in the first 65536 bytes",
        )


async def test_silence() -> None:
    """A run that is cancelled while it waits leaves no connection behind."""
    connected, ended = asyncio.Event(), asyncio.Event()

    async def say_nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connected.set()
        with contextlib.suppress(ConnectionResetError):
            await reader.read()
        ended.set()

    async with listening(say_nothing) as port:
        run = asyncio.create_task(TcpCheck("t", host="127.0.0.1", port=port, expect=b"+OK").run())
        await connected.wait()
        run.cancel()
        await asyncio.wait_for(ended.wait(), 5.0)
        assert (await asyncio.gather(run, return_exceptions=True))[0].__class__ is asyncio.CancelledError


async def test_nobody_listens() -> None:
    """A refused connection is raised, and named with its address."""
    port = free_port()
    with pytest.raises(ConnectionRefusedError, match=f"'127.0.0.1', {port}"):
        await TcpCheck("t", host="127.0.0.1", port=port).run()


@pytest.mark.parametrize(
    ("given", "error", "text"),
    [
        ({"host": ""}, ValueError, "the host of check t must be a name or an address, not ''"),
        ({"host": None}, ValueError, "the host of check t must be a name or an address, not None"),
        (
            {"host": "tcp://db"},
            ValueError,
            "the host of check t must be a name or an address, not 'tcp://db'",
        ),
        ({"host": "[::1]"}, ValueError, "the host of check t must be a name or an address, not '[::1]'"),
        ({"port": 0}, ValueError, "the port of check t must be 1 to 65535, not 0"),
        ({"send": "PING"}, TypeError, "send of check t must be bytes, not a str"),
        ({"expect": "PONG"}, TypeError, "expect of check t must be bytes, not a str"),
        ({"expect": b"x" * 65537}, ValueError, "expect of check t must have at most 65536 bytes"),
    ],
)
def test_what_cannot_be_meant(given: dict[str, Any], error: type[Exception], text: str) -> None:
    """Bad arguments are refused when the check is made."""
    with pytest.raises(error) as refused:
        TcpCheck("t", **{"host": "db", "port": 1, **given})
    assert str(refused.value) == text
