"""Uvicorn's WebSocket, made for thousands of connections that each say something short now and then.

What is ordinary takes a short way: a whole, masked text frame is unmasked and handed to the application
(exporter/direct.py), and its answer is written, all within one call. Handshakes, control frames,
fragments and whatever is wrong go to the library, a frame at a time.

Uvicorn's own way costs a heartbeat twice as much: generators that parse, then a queue, a future, the
waking of a task, and pausing and resuming the socket. It also leaves objects behind that live until the
next heartbeat, which is long enough to be looked through by the garbage collector.
"""

from __future__ import annotations

from typing import Any

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.http11 import Request
from websockets.protocol import State

from exporter.direct import EXTENSION, Take
from worker_agent.protocol import Close

try:
    from websockets.speedups import apply_mask
except ImportError:
    from websockets.utils import apply_mask

FRAMES_A_TURN = 50
"""So many frames of one connection are taken in before others have a turn: about a millisecond."""

# RFC 6455, 5.2
_TEXT = 0x81  # the last fragment, no reserved bits, opcode 1
_MASKED = 0x80
_LENGTH = 0x7F
_IN_TWO_BYTES = 126
_IN_EIGHT_BYTES = 127


class DirectWebSocket(WebSocketsSansIOProtocol):
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._take: Take | None = None
        self._received = b""  # from the beginning of a frame on
        self._paused = False  # until the next turn
        self._early = False  # data came before anybody could subscribe, and the library has begun with it

    def handle_connect(self, event: Request) -> None:
        super().handle_connect(event)
        if self.response.status_code == 101:
            # The application does not run before the next turn of the loop.
            self.scope["extensions"][EXTENSION] = {"subscribe": self._subscribe}

    def data_received(self, data: bytes) -> None:
        if self._take is None:
            self._early = self.handshake_initiated
            super().data_received(data)
        else:
            self._received += data
            if not self._paused:
                self._go_on()

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._take = None
        # Without these the connection would refer to itself, and somebody would have to find it.
        self.conn.parser.close()
        self.conn.parser_exc = None  # its traceback leads back here
        if hasattr(self, "scope"):
            self.scope["extensions"].pop(EXTENSION, None)

    def _subscribe(self, take: Take) -> None:
        if not self._early:
            self._take = take

    def _go_on(self) -> None:
        """Take in what has arrived, frame by frame, and for one turn at most."""
        if self._take is None:
            return
        data, at, frames = self._received, 0, 0
        while at < len(data):
            end = self._take_in(self._take, data, at)
            if end is None:
                break
            at = end
            frames += 1
            if frames == FRAMES_A_TURN:
                self._received = data[at:]
                self._pause()
                return
        self._received = data[at:]
        self._resume()

    def _take_in(self, take: Take, data: bytes, start: int) -> int | None:
        """Take in the frame that begins here and return where it ends; None if it is not all there."""
        size = len(data)
        if size < start + 2:
            return None
        second = data[start + 1]
        length, payload = second & _LENGTH, start + 6
        endless = length == _IN_EIGHT_BYTES
        if length == _IN_TWO_BYTES:
            length, payload = int.from_bytes(data[start + 2 : start + 4], "big"), start + 8
            endless = length > self.config.ws_max_size and size >= payload
        if endless or second < _MASKED:
            # Ends the connection, and the library knows how; it need not wait for the rest.
            self._take = None
            super().data_received(data[start:])
            return size
        end = payload + length
        if size < end:
            return None
        if data[start] == _TEXT and self.conn.state is State.OPEN and self.conn.current_size is None:
            try:
                text = apply_mask(data[payload:end], data[payload - 4 : payload]).decode()
            except UnicodeDecodeError:
                # As uvicorn does, but without a traceback for what a stranger sends.
                self._take = None
                self.conn.send_close(Close.NOT_UTF8)
                self.handle_parser_exception()
                return size
            self._answer(take(text))
        else:
            super().data_received(data[start:end])
        return end

    def _answer(self, text: str | None) -> None:
        # Who does not read what is sent gets no more of it before memory is full of it.
        if text is not None and self.writable.is_set():
            self.transport.write(_text_frame(text.encode()))

    def _pause(self) -> None:
        self._paused = True
        self.transport.pause_reading()
        self.loop.call_soon(self._next_turn)

    def _next_turn(self) -> None:
        try:
            self._go_on()
        except Exception:
            self.transport.close()  # as the loop does itself where data_received raises
            raise

    def _resume(self) -> None:
        if self._paused:
            self._paused = False
            self.transport.resume_reading()


def _text_frame(payload: bytes) -> bytes:
    length = len(payload)
    if length < _IN_TWO_BYTES:
        return bytes((_TEXT, length)) + payload
    return bytes((_TEXT, _IN_TWO_BYTES)) + length.to_bytes(2, "big") + payload
