"""WebSocket: the handshake, and optionally how the server ends it."""

from __future__ import annotations

import asyncio
from typing import ClassVar

from pydantic import BaseModel, ConfigDict, Field, field_validator
from websockets import CloseCode, InvalidStatus, State, Subprotocol
from websockets.client import ClientProtocol
from websockets.http11 import Response
from websockets.uri import parse_uri

from exporter.core.probing import Failure, Phase, Result
from exporter.probes import tls
from exporter.probes.base import ProbeFailed
from exporter.probes.course import Course, conduct
from exporter.probes.dial import dial
from exporter.probes.web import WebOptions, is_token

_MOST = 65536
"""Bytes of a frame, and of one read."""


class WebSocketExpectations(BaseModel):
    """What the server has to do once the handshake is over."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    close: int | None = Field(
        None,
        ge=1000,
        le=4999,
        description="Code with which the server closes by itself.",
    )


class WebSocketOptions(WebOptions):
    """A handshake, at ws:// or wss://; `host`, `port` and `path` mean ws://."""

    schemes: ClassVar[tuple[str, ...]] = ("ws", "wss")

    subprotocol: str | None = Field(None, description="Offered to the server, which has to choose it.")
    expect: WebSocketExpectations = Field(
        default_factory=WebSocketExpectations, description="What has to come after the handshake."
    )

    @field_validator("subprotocol")
    @classmethod
    def _is_a_token(cls, name: str | None) -> str | None:
        if name is not None and not is_token(name):
            raise ValueError("must be one name without blanks")
        return name


async def run(options: WebSocketOptions, timeout: float) -> Result:
    """Shake hands once."""

    async def steps(course: Course) -> None:
        await _shake_hands(course, options)

    return await conduct(timeout, steps)


async def _shake_hands(course: Course, options: WebSocketOptions) -> None:
    wire = ClientProtocol(
        parse_uri(options.address),
        subprotocols=None if options.subprotocol is None else [Subprotocol(options.subprotocol)],
        max_size=_MOST,
    )
    request = wire.connect()
    for name, value in options.request_headers().items():
        if name in request.headers:  # setting a header adds one, and nobody answers to two hosts
            del request.headers[name]
        request.headers[name] = value
    reader = asyncio.StreamReader()
    transport = await dial(course, options.line(options.address), asyncio.StreamReaderProtocol(reader))
    course.enter(Phase.PROCESSING)
    wire.send_request(request)
    while wire.state is State.CONNECTING and wire.handshake_exc is None:
        await _turn(wire, reader, transport)
    for event in wire.events_received():
        if isinstance(event, Response):
            course.http_status = event.status_code
    if wire.handshake_exc is not None:
        raise _refused(wire.handshake_exc) from wire.handshake_exc
    if options.subprotocol is not None and wire.subprotocol is None:
        raise ProbeFailed(Failure.PROTOCOL, f"the server did not choose subprotocol {options.subprotocol}")
    course.enter(Phase.TRANSFER)
    if options.expect.close is None:
        if wire.state is State.OPEN:  # the server may have been first
            wire.send_close(CloseCode.NORMAL_CLOSURE)
        transport.write(b"".join(wire.data_to_send()))
        return
    while wire.close_rcvd is None and not reader.at_eof():
        await _turn(wire, reader, transport)
        wire.events_received()  # what it says before it closes is nobody's business here
    code = None if wire.close_rcvd is None else wire.close_rcvd.code
    if code != options.expect.close:
        closed = "went away without a close frame" if code is None else f"closed with {code}"
        raise ProbeFailed(Failure.PROTOCOL, f"the server {closed}; expected {options.expect.close}")


async def _turn(wire: ClientProtocol, reader: asyncio.StreamReader, transport: asyncio.Transport) -> None:
    """Send what is to be sent, and take in what comes next."""
    transport.write(b"".join(wire.data_to_send()))
    try:
        data = await reader.read(_MOST)
    except OSError as error:
        if reason := tls.refused_later(error):
            raise ProbeFailed(Failure.TLS, reason) from error
        data = b""
    if data:
        wire.receive_data(data)
    else:
        wire.receive_eof()


def _refused(error: Exception) -> ProbeFailed:
    if isinstance(error, InvalidStatus):
        response = error.response
        answer = f"{response.status_code} {response.reason_phrase}".rstrip()
        return ProbeFailed(Failure.STATUS, f"answered {answer}; expected 101, a WebSocket")
    cause = error.__cause__
    if isinstance(cause, EOFError):
        return ProbeFailed(Failure.PROTOCOL, "the server closed the connection before it had answered")
    return ProbeFailed(Failure.PROTOCOL, f"the answer is no WebSocket handshake: {cause or error}")
