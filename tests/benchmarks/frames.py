"""The bytes of a load generator's requests and frames, made by hand to cost little.

Client frames are masked with zeros: the server has to unmask them all the same, and we need not mask.
"""

from __future__ import annotations

import asyncio
from typing import Protocol, cast

_MASK = bytes(4)
_TEXT, _CLOSE = 0x81, 0x88


def text_frame(payload: bytes) -> bytes:
    return _frame(_TEXT, payload)


def heartbeat_frame(seq: int, sent_at: float) -> bytes:
    return text_frame(b'{"type":"heartbeat","seq":%d,"sent_at":%.6f}' % (seq, sent_at))


def _frame(first: int, payload: bytes) -> bytes:
    length = len(payload)
    if length < 126:
        return bytes((first, 0x80 | length)) + _MASK + payload
    return bytes((first, 0x80 | 126)) + length.to_bytes(2, "big") + _MASK + payload


class Peer(Protocol):
    """Who wants to know what comes of a request or a connection. A status of None: nobody answered."""

    def posted(self, status: int | None, body: bytes) -> None: ...
    def opened(self) -> None: ...
    def refused(self, status: int | None) -> None: ...
    def frame(self, text: bytes) -> None: ...
    def closed(self, code: int | None) -> None: ...


class Posted(asyncio.Protocol):
    """One POST on a connection of its own."""

    def __init__(self, peer: Peer, path: str, body: bytes) -> None:
        self._peer = peer
        self._request = (
            b"POST %b HTTP/1.1\r\nHost: exporter\r\nConnection: close\r\n"
            b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n%b"
        ) % (path.encode(), len(body), body)
        self._answer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        cast(asyncio.Transport, transport).write(self._request)

    def data_received(self, data: bytes) -> None:
        self._answer += data

    def connection_lost(self, error: Exception | None) -> None:
        head, _, body = self._answer.partition(b"\r\n\r\n")
        self._peer.posted(_status(head), body)


class Connection(asyncio.Protocol):
    """One WebSocket, from its handshake to its end. Expects whole messages, as the exporter sends them."""

    def __init__(self, peer: Peer, path: str) -> None:
        self._peer: Peer | None = peer
        self._handshake = (
            b"GET %b HTTP/1.1\r\nHost: exporter\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
        ) % path.encode()
        self._transport: asyncio.Transport | None = None
        self._received = b""
        self._open = False

    def write(self, data: bytes) -> None:
        if self._transport is not None:
            self._transport.write(data)

    def abandon(self) -> None:
        """Close, and report nothing more."""
        self._peer = None
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._transport.write(self._handshake)

    def data_received(self, data: bytes) -> None:
        self._received += data
        if not self._open and not self._shake_hands():
            return
        while (peer := self._peer) is not None and (taken := self._take()) is not None:
            first, payload = taken
            if first == _TEXT:
                peer.frame(payload)
            elif first == _CLOSE:
                self._end(int.from_bytes(payload[:2], "big") if payload else None)

    def connection_lost(self, error: Exception | None) -> None:
        if self._open:
            self._end(None)
        elif self._peer is not None:
            peer, self._peer = self._peer, None
            peer.refused(_status(self._received))

    def _shake_hands(self) -> bool:
        head, end, rest = self._received.partition(b"\r\n\r\n")
        if not end or _status(head) != 101:
            return False
        self._received, self._open = rest, True
        if self._peer is not None:
            self._peer.opened()
        return True

    def _take(self) -> tuple[int, bytes] | None:
        """The first frame that has arrived whole: its first byte and its payload."""
        received = self._received
        if len(received) < 2:
            return None
        length, start = received[1], 2
        if length == 126:
            length, start = int.from_bytes(received[2:4], "big"), 4
        if len(received) < start + length:
            return None
        self._received = received[start + length :]
        return received[0], received[start : start + length]

    def _end(self, code: int | None) -> None:
        peer, self._peer = self._peer, None
        if peer is None:
            return
        if self._transport is not None:
            self.write(_frame(_CLOSE, b"" if code is None else code.to_bytes(2, "big")))
            self._transport.close()
        peer.closed(code)


def _status(head: bytes) -> int | None:
    words = head.split(b" ", 2)
    return int(words[1]) if len(words) > 1 else None
