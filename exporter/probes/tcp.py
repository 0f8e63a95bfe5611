"""TCP: connect, and speak a line or two where that is asked for."""

from __future__ import annotations

import asyncio
import re
from functools import lru_cache
from typing import Annotated

from pydantic import AfterValidator, Field

from exporter.core.probing import Failure, Phase, Result
from exporter.probes import tls
from exporter.probes.base import Options, ProbeFailed
from exporter.probes.course import Course, conduct
from exporter.probes.dial import Line, dial
from exporter.probes.fields import Expectation, Host, IpFamily, Port, Verbatim, is_regex, joined
from exporter.probes.tls import TlsOptions

_ESCAPE = re.compile(rb"\\(x[0-9a-fA-F]{2}|.?)", re.DOTALL)
_MEANINGS = {b"r": b"\r", b"n": b"\n", b"t": b"\t", b"0": b"\0", b"\\": b"\\"}
_MOST = 65536
"""Bytes that are read in search of what is expected."""
_SHOWN = 80
"""Of them, those that are shown to people."""


def unescaped(text: str) -> bytes:
    r"""The bytes that a text stands for: \r \n \t \0 \\ \xHH, all else as UTF-8.

    Raises ValueError: there is an escape that is none of these.
    """
    return _ESCAPE.sub(_meant, text.encode())


def _meant(escape: re.Match[bytes]) -> bytes:
    code = escape[1]
    if len(code) == 3:
        return bytes.fromhex(code[1:].decode())
    if code not in _MEANINGS:
        raise ValueError("has an escape that is none of \\r \\n \\t \\0 \\\\ \\xHH")
    return _MEANINGS[code]


def _is_escaped_well(text: str) -> str:
    unescaped(text)
    return text


def _is_expected_well(text: str) -> str:
    return text if is_regex(text) else _is_escaped_well(text)


class TcpOptions(Options):
    """A connection, and optionally what is said over it."""

    host: Host = Field(description="Name or address.")
    port: Port
    send: Annotated[Verbatim, AfterValidator(_is_escaped_well)] | None = Field(
        None, description="Text to send, with escapes \\r \\n \\t \\0 \\\\ \\xHH."
    )
    expect: Annotated[Expectation, AfterValidator(_is_expected_well)] | None = Field(
        None, description="Text that has to come, with the same escapes, or a /regex/ that has to match."
    )
    tls: TlsOptions | None = Field(None, description="Speak TLS from the start; {} for the usual.")
    ip_family: IpFamily | None = Field(None, description="Use IPv4 or IPv6 only.")

    @property
    def target(self) -> str:
        return joined(self.host, self.port)


async def run(options: TcpOptions, timeout: float) -> Result:
    """Connect once, and look for what is expected."""

    async def steps(course: Course) -> None:
        await _talk(course, options)

    return await conduct(timeout, steps)


async def _talk(course: Course, options: TcpOptions) -> None:
    line = Line(options.host, options.port, options.ip_family, options.tls)
    if options.expect is None and options.send is None:
        await dial(course, line, asyncio.Protocol())
        return
    reader = asyncio.StreamReader()
    transport = await dial(course, line, asyncio.StreamReaderProtocol(reader))
    course.enter(Phase.PROCESSING)
    if options.send is not None:
        transport.write(unescaped(options.send))
    if options.expect is not None:
        await _find(course, reader, options.expect)


async def _find(course: Course, reader: asyncio.StreamReader, expected: str) -> None:
    wanted = wire_pattern(expected)
    received = bytearray()
    while not wanted.search(received):
        if len(received) >= _MOST:
            raise _missing(expected, received, f"in the first {_MOST} bytes")
        try:
            chunk = await reader.read(_MOST - len(received))
        except OSError as error:
            if reason := tls.refused_later(error):
                raise ProbeFailed(Failure.TLS, reason) from error
            chunk = b""
        if not chunk and not received:
            raise ProbeFailed(Failure.PROTOCOL, "the server closed the connection without a word")
        if not chunk:
            raise _missing(expected, received, "before the server closed the connection")
        received += chunk
        # Said on, should the timeout come next: the server did answer, only not with what is expected.
        course.verdict = _missing(expected, received, f"within {course.timeout:g} s")


def _missing(expected: str, received: bytearray, where: str) -> ProbeFailed:
    said = received[:_SHOWN].decode(errors="replace")
    return ProbeFailed(Failure.BODY, f"no {expected!r} {where}; the server said {said!r}")


@lru_cache(maxsize=4096)
def wire_pattern(expected: str) -> re.Pattern[bytes]:
    """What to look for in the bytes that come."""
    if is_regex(expected):
        return re.compile(expected[1:-1].encode(), re.MULTILINE)
    return re.compile(re.escape(unescaped(expected)))
