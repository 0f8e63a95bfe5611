"""A new connection: resolve, connect, and TLS where it is spoken, each timed."""

from __future__ import annotations

import asyncio
import os
import ssl
from typing import NamedTuple

from exporter.core.probing import Failure, Phase
from exporter.probes import tls
from exporter.probes.base import ProbeFailed
from exporter.probes.course import Course
from exporter.probes.fields import IpFamily, joined
from exporter.probes.resolve import resolve
from exporter.probes.tls import TlsOptions

_ENDLESS = 86400.0
"""Of the handshake: the timeout of the run is what bounds it."""


class Line(NamedTuple):
    """Where to connect, and how. No `tls` is a plain connection; `alpn` is what is to be spoken over TLS."""

    host: str
    port: int
    ip_family: IpFamily | None = None
    tls: TlsOptions | None = None
    alpn: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """Whom the server's certificate has to name."""
        return self.host if self.tls is None else self.tls.server_name or self.host


async def dial(course: Course, line: Line, protocol: asyncio.Protocol) -> asyncio.Transport:
    """Connect a protocol; the course closes what comes of it. Raises ProbeFailed."""
    course.enter(Phase.RESOLVE)
    addresses = await resolve(line.host, line.ip_family)
    course.enter(Phase.CONNECT)
    if line.tls is None:
        return await _connect(course, addresses, line.port, protocol)
    plain = await _connect(course, addresses, line.port, asyncio.Protocol())
    course.enter(Phase.TLS)
    try:
        transport = await _secure(course, line, plain, protocol, verify=line.tls.verify)
    except ssl.SSLCertVerificationError as error:
        address, port = plain.get_extra_info("peername")[:2]
        course.verdict = tls.unverified(error, line.name, ())
        seen = await _presented(course, line, address, port)
        course.found_expiry(tls.expiry(seen))
        raise tls.unverified(error, line.name, seen) from error
    except (ssl.SSLError, OSError) as error:
        raise ProbeFailed(Failure.TLS, tls.explained(error)) from error
    course.found_expiry(tls.expiry(tls.chain(transport)))
    protocol.connection_made(transport)
    return transport


async def _connect(
    course: Course, addresses: list[str], port: int, protocol: asyncio.Protocol
) -> asyncio.Transport:
    """Try one address after the other, each for its share of the time that is left."""
    loop = asyncio.get_running_loop()
    refused = False
    failures: list[str] = []  # words and no exceptions: those would keep this frame, and it them
    for number, address in enumerate(addresses):
        remaining = len(addresses) - number
        share = None if remaining == 1 else course.left() / remaining
        try:
            if share is None:
                transport, _ = await loop.create_connection(lambda: protocol, address, port)
            else:
                async with asyncio.timeout(share):
                    transport, _ = await loop.create_connection(lambda: protocol, address, port)
        except OSError as error:
            refused = refused or isinstance(error, ConnectionRefusedError)
            failures.append(f"{joined(address, port)}: {_in_words(error)}")
        else:
            course.opened(transport)
            return transport
    raise ProbeFailed(Failure.REFUSED if refused else Failure.CONNECT, "; ".join(failures))


def _in_words(error: OSError) -> str:
    # Event loops put the address, and their own words, into the text of an error.
    return os.strerror(error.errno) if error.errno else str(error) or "no answer"


async def _secure(
    course: Course, line: Line, plain: asyncio.Transport, protocol: asyncio.Protocol, *, verify: bool
) -> asyncio.Transport:
    assert line.tls is not None
    loop = asyncio.get_running_loop()
    transport = await loop.start_tls(
        plain,
        protocol,
        tls.context(line.tls, line.alpn, verify=verify),
        server_hostname=line.name,
        ssl_handshake_timeout=_ENDLESS,
    )
    assert transport is not None
    course.opened(transport)
    return transport


async def _presented(course: Course, line: Line, address: str, port: int) -> tuple[tls.Certificate, ...]:
    """The certificates that a server shows, on a second connection: a handshake that fails keeps none."""
    loop = asyncio.get_running_loop()
    try:
        plain, _ = await loop.create_connection(asyncio.Protocol, address, port)
        course.opened(plain)
        return tls.chain(await _secure(course, line, plain, asyncio.Protocol(), verify=False))
    except OSError:
        return ()
