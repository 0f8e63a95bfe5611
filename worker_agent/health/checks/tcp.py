"""Whether something listens, and says what it should."""

from __future__ import annotations

import asyncio
import time

from worker_agent.health.check import BREAKER, CACHE, TIMEOUT, Breaker, Check
from worker_agent.health.checks.address import checked_port
from worker_agent.health.result import Outcome, Result

_MOST = 65536
"""Bytes that are read in search of what is expected."""


class TcpCheck(Check):
    """Opens a connection; sends some bytes, and waits for others, where these are given.

    Details: `address` that was connected to, `connect_seconds`, and `answer_seconds` until what was
    expected had come.

    Args:
        host, port: a name or address without brackets, and a number.
        send: what is sent first.
        expect: what has to be in the first 64 KiB that come.

    Raises:
        TypeError, ValueError: an argument that cannot be meant.
    """

    def __init__(
        self,
        name: str,
        *,
        host: str,
        port: int,
        send: bytes = b"",
        expect: bytes = b"",
        timeout: float = TIMEOUT,
        cache: float = CACHE,
        critical: bool = True,
        breaker: Breaker | None = BREAKER,
    ) -> None:
        super().__init__(name, timeout=timeout, cache=cache, critical=critical, breaker=breaker)
        if not isinstance(host, str) or not host.strip() or "/" in host or "[" in host:
            raise ValueError(f"the host of check {name} must be a name or an address, not {host!r}")
        for what, given in (("send", send), ("expect", expect)):
            if not isinstance(given, bytes):
                raise TypeError(f"{what} of check {name} must be bytes, not a {type(given).__name__}")
        if len(expect) > _MOST:
            raise ValueError(f"expect of check {name} must have at most {_MOST} bytes")
        self._host = host
        self._port = checked_port(f"the port of check {name}", port)
        self._send = send
        self._expect = expect

    async def run(self) -> Outcome:
        began = time.perf_counter()
        reader, writer = await asyncio.open_connection(self._host, self._port)
        connected = time.perf_counter()
        try:
            address, port = writer.get_extra_info("peername")[:2]
            details = {
                "address": f"[{address}]:{port}" if ":" in address else f"{address}:{port}",
                "connect_seconds": round(connected - began, 6),
            }
            writer.write(self._send)
            await writer.drain()
            if not self._expect:
                return details
            error = await _miss(reader, self._expect)
            if error is not None:
                return Result.unhealthy(error, **details)
            return {**details, "answer_seconds": round(time.perf_counter() - connected, 6)}
        except BaseException:
            # Closing it would wait until a peer that does not read has read.
            writer.transport.abort()
            raise
        finally:
            writer.close()


async def _miss(reader: asyncio.StreamReader, expected: bytes) -> str | None:
    """Why what was expected did not come; None once it has."""
    received = bytearray()
    while expected not in received:
        if len(received) >= _MOST:
            return f"what was expected is not in the first {_MOST} bytes"
        chunk = await reader.read(_MOST - len(received))
        if not chunk:
            return f"the connection was closed after {len(received)} bytes, without what was expected"
        received += chunk
    return None
