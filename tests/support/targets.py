"""Servers to be probed: real sockets, and behind them whatever a test wants to go wrong."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path

from .authority import Issued
from .processes import free_port, program, running

Script = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\nConnection: close\r\n\r\nhealth"


class Target:
    """One server; `open` counts the connections that are, `accepted` all that were."""

    def __init__(self, script: Script) -> None:
        self.port = 0
        self.open = 0
        self.accepted = 0
        self._script = script
        self._tasks: set[asyncio.Task[None]] = set()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self.open += 1
        self.accepted += 1
        try:
            with contextlib.suppress(OSError, asyncio.IncompleteReadError):
                await self._script(reader, writer)
            writer.close()
            with contextlib.suppress(OSError):
                await reader.read()
        except asyncio.CancelledError:
            writer.transport.abort()
        finally:
            self.open -= 1
            self._tasks.discard(task)

    async def stop(self) -> None:
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def left(self) -> None:
        """Wait until nobody is connected any more; TimeoutError: somebody stays."""
        async with asyncio.timeout(2.0):
            while self.open:
                await asyncio.sleep(0.01)


@contextlib.asynccontextmanager
async def target(
    script: Script, *, tls: ssl.SSLContext | None = None, host: str = "127.0.0.1"
) -> AsyncIterator[Target]:
    """A server on a free port for the length of a `with` block."""
    started = Target(script)
    server = await asyncio.start_server(started.serve, host, 0, ssl=tls)
    started.port = server.sockets[0].getsockname()[1]
    try:
        yield started
    finally:
        server.close()
        await started.stop()


async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Accepts, listens, and never says a word."""
    await reader.read()


def answering(answer: bytes, *, then: Script | None = None) -> Script:
    """Says `answer` to whatever HTTP request, and closes, unless it does something else then."""

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        await writer.drain()
        if then is not None:
            await then(reader, writer)

    return script


def saying(words: bytes, *, then: Script | None = None) -> Script:
    """Speaks first, as many servers do that are not about HTTP."""

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(words)
        await writer.drain()
        if then is not None:
            await then(reader, writer)

    return script


def routing(paths: dict[str, bytes], heard: list[str]) -> Script:
    """Answers by path, and keeps the heads of the requests."""

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        heard.append(head)
        writer.write(paths[head.split()[1]])
        await writer.drain()

    return script


def http(status: str, *headers: str, body: str = "") -> bytes:
    """An HTTP answer, after which the server closes."""
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", "Connection: close", *headers, "", body]
    return "\r\n".join(lines).encode()


@contextlib.contextmanager
def openssl_server(directory: Path, issued: Issued, *options: str) -> Iterator[int]:
    """A server that says goodbye as TLS wants it, which asyncio's does not; yields its port."""
    port = free_port()
    command = [
        *(program("openssl"), "s_server", "-accept", f"127.0.0.1:{port}", "-www"),
        *("-cert", str(issued.cert_file), "-key", str(issued.key_file), *options),
    ]
    log = directory / "s_server.log"
    with running(command, log=log, ready=lambda: "ACCEPT" in log.read_text()):
        yield port
