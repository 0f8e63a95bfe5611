"""What arrives on a socket, byte for byte, and what becomes of it."""

from __future__ import annotations

import asyncio
import gc
import weakref
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager

import pytest
import uvicorn
from starlette.types import Message, Receive, Scope, Send
from uvicorn.server import ServerState

from exporter.direct import EXTENSION
from exporter.websocket import FRAMES_A_TURN, DirectWebSocket

HANDSHAKE = (
    b"GET /ws/w HTTP/1.1\r\nHost: exporter\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
)
TEXT, CONTINUED, BINARY, CLOSE, PING, PONG = 0x81, 0x80, 0x82, 0x88, 0x89, 0x8A
FIRST_FRAGMENT = 0x01


def frame(first: int, payload: bytes, *, mask: bytes = b"\x01\x02\x03\x04") -> bytes:
    """As a client sends it."""
    length = len(payload)
    size = bytes((0x80 | length,)) if length < 126 else bytes((0xFE,)) + length.to_bytes(2, "big")
    return bytes((first,)) + size + mask + bytes(byte ^ mask[i % 4] for i, byte in enumerate(payload))


class Application:
    """Notes what it is told, by call and by message, and answers a call with what it was told."""

    def __init__(self, *, subscribes: bool = True) -> None:
        self.called: list[str] = []
        self.messages: list[Message] = []
        self._subscribes = subscribes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        if self._subscribes:
            scope["extensions"][EXTENSION]["subscribe"](self.take)
        while not self.messages or self.messages[-1]["type"] != "websocket.disconnect":
            self.messages.append(await receive())

    def take(self, frame: str) -> str | None:
        self.called.append(frame)
        if frame == "fail":
            raise RuntimeError(frame)
        return None if frame == "quiet" else frame


class Transport(asyncio.Transport):
    def __init__(self) -> None:
        super().__init__()
        self.written = b""
        self.reading = True
        self.closing = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.written += bytes(data)

    def take_written(self) -> bytes:
        written, self.written = self.written, b""
        return written

    def pause_reading(self) -> None:
        self.reading = False

    def resume_reading(self) -> None:
        self.reading = True

    def close(self) -> None:
        self.closing = True

    def is_closing(self) -> bool:
        return self.closing


class Connection:
    """The server's end of a connection, without a network."""

    def __init__(self, app: Application) -> None:
        config = uvicorn.Config(
            app, ws=DirectWebSocket, ws_max_size=4096, ws_per_message_deflate=False, log_config=None
        )
        config.load()
        self.app = app
        self.transport = Transport()
        self.protocol = DirectWebSocket(config, ServerState(), {})
        self.protocol.connection_made(self.transport)

    async def open(self) -> Connection:
        self.protocol.data_received(HANDSHAKE)
        await turns()
        assert self.transport.take_written().startswith(b"HTTP/1.1 101 ")
        return self

    async def receive(self, *chunks: bytes) -> bytes:
        """Let these arrive; returns what was written in answer."""
        for chunk in chunks:
            self.protocol.data_received(chunk)
        await turns()
        return self.transport.take_written()

    async def lose(self) -> None:
        if self.protocol in self.protocol.connections:
            self.protocol.connection_lost(None)
        await turns()


async def turns(count: int = 5) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


@pytest.fixture
def app() -> Application:
    return Application()


@pytest.fixture
async def connection(app: Application) -> AsyncIterator[Connection]:
    """Open, with an application that has subscribed."""
    connection = await Connection(app).open()
    yield connection
    await connection.lose()


async def test_a_text_frame_is_handed_over_and_answered(connection: Connection, app: Application) -> None:
    """By a call: no message is made of it."""
    assert await connection.receive(frame(TEXT, b"hello")) == b"\x81\x05hello"
    assert await connection.receive(frame(TEXT, b"quiet")) == b""
    assert (app.called, app.messages) == (["hello", "quiet"], [])


@pytest.mark.parametrize("length", [0, 1, 125, 126, 127, 4096])
async def test_every_length_that_is_allowed(connection: Connection, app: Application, length: int) -> None:
    """Whichever way the length is written, and in the answer too."""
    text = "ä" * (length // 2) + "x" * (length % 2)
    size = bytes((length,)) if length < 126 else b"\x7e" + length.to_bytes(2, "big")
    assert await connection.receive(frame(TEXT, text.encode())) == b"\x81" + size + text.encode()
    assert app.called == [text]


@pytest.mark.parametrize("text", ["short", "x" * 200])
async def test_a_frame_may_arrive_in_any_pieces(connection: Connection, app: Application, text: str) -> None:
    """Cut in two at each byte, and byte by byte."""
    whole = frame(TEXT, text.encode())
    for cut in range(1, len(whole)):
        await connection.receive(whole[:cut], whole[cut:])
    await connection.receive(*(whole[at : at + 1] for at in range(len(whole))))
    assert app.called == [text] * len(whole)


async def test_several_frames_may_arrive_in_one_piece(connection: Connection, app: Application) -> None:
    """Each is taken in, and the beginning of the next is kept."""
    frames = [frame(TEXT, text.encode()) for text in ("a", "b", "c")]
    await connection.receive(frames[0] + frames[1] + frames[2][:3], frames[2][3:])
    assert app.called == ["a", "b", "c"]


async def test_many_frames_leave_others_a_turn(connection: Connection, app: Application) -> None:
    """After so many the socket is not read until the next turn of the loop, and nothing is lost."""
    count = 2 * FRAMES_A_TURN + 1
    connection.protocol.data_received(frame(TEXT, b"quiet") * count + frame(TEXT, b"quiet")[:4])
    assert (len(app.called), connection.transport.reading) == (FRAMES_A_TURN, False)
    connection.protocol.data_received(frame(TEXT, b"quiet")[4:])
    assert len(app.called) == FRAMES_A_TURN
    await turns()
    assert (len(app.called), connection.transport.reading) == (count + 1, True)


async def test_frames_that_wait_for_a_turn_end_with_the_connection(
    connection: Connection, app: Application
) -> None:
    """Nobody is told of them afterwards."""
    connection.protocol.data_received(frame(TEXT, b"quiet") * (FRAMES_A_TURN + 1))
    await connection.lose()
    assert len(app.called) == FRAMES_A_TURN


async def test_an_application_that_fails_in_a_later_turn_loses_its_connection(
    connection: Connection, app: Application
) -> None:
    """As in the turn in which a frame arrives; otherwise nobody would ever read the socket again."""
    failures: list[dict[str, object]] = []
    asyncio.get_running_loop().set_exception_handler(lambda loop, context: failures.append(context))
    connection.protocol.data_received(frame(TEXT, b"quiet") * FRAMES_A_TURN + frame(TEXT, b"fail"))
    await turns()
    assert connection.transport.closing
    assert [str(failure["exception"]) for failure in failures] == ["fail"]


async def test_a_message_in_fragments_comes_as_a_message(connection: Connection, app: Application) -> None:
    """Put together by the library; a ping in between is answered, and later frames are handed over again."""
    fragments = frame(FIRST_FRAGMENT, b"hel"), frame(PING, b"?"), frame(CONTINUED, b"lo")
    assert await connection.receive(*fragments) == b"\x8a\x01?"
    await connection.receive(frame(TEXT, b"quiet"))
    assert app.messages == [{"type": "websocket.receive", "text": "hello"}]
    assert app.called == ["quiet"]


async def test_a_binary_frame_comes_as_a_message(connection: Connection, app: Application) -> None:
    """What it means is the application's business."""
    await connection.receive(frame(BINARY, b"\x00"))
    assert (app.called, app.messages) == ([], [{"type": "websocket.receive", "bytes": b"\x00"}])


async def test_a_closing_handshake(connection: Connection, app: Application) -> None:
    """Echoed; the application hears the code, and nothing of what comes after it."""
    closing = frame(CLOSE, b"\x03\xe8"), frame(TEXT, b"late")
    assert await connection.receive(*closing) == b"\x88\x02\x03\xe8"
    assert (app.called, connection.transport.closing) == ([], True)
    assert app.messages == [{"type": "websocket.disconnect", "code": 1000, "reason": ""}]


@pytest.mark.parametrize(
    ("arrived", "code"),
    [
        (b"\x81\x05hello", 1002),  # not masked
        (frame(0xC1, b"hello"), 1002),  # a reserved bit
        (frame(0x83, b"hello"), 1002),  # no such opcode
        (frame(FIRST_FRAGMENT, b"a") + frame(TEXT, b"b"), 1002),  # a message within another
        (frame(TEXT, b"\xff"), 1007),  # no UTF-8
        (frame(TEXT, b"x" * 4097)[:8], 1009),  # too long, and refused before it is there
        (b"\x81\xff" + (5000).to_bytes(8, "big"), 1009),
    ],
)
async def test_what_is_wrong_ends_the_connection(
    connection: Connection, app: Application, arrived: bytes, code: int
) -> None:
    """With the code that the library has for it, and without a word to the application but that."""
    written = await connection.receive(arrived)
    assert (written[0], int.from_bytes(written[2:4], "big")) == (0x88, code)
    assert (app.called, [message["type"] for message in app.messages]) == ([], ["websocket.disconnect"])
    assert connection.transport.closing


async def test_a_length_in_eight_bytes_that_would_fit_in_fewer(
    connection: Connection, app: Application
) -> None:
    """Odd and harmless: from then on everything comes as messages."""
    odd = b"\x81\xff" + (5).to_bytes(8, "big") + bytes(4) + b"hello"
    await connection.receive(odd, frame(TEXT, b"again"))
    assert app.called == []
    assert [message.get("text") for message in app.messages] == ["hello", "again"]


async def test_who_does_not_read_gets_no_more_answers(connection: Connection, app: Application) -> None:
    """Frames are taken in as ever; answers begin again when there is room."""
    connection.protocol.pause_writing()
    assert await connection.receive(frame(TEXT, b"a")) == b""
    connection.protocol.resume_writing()
    assert await connection.receive(frame(TEXT, b"b")) == b"\x81\x01b"
    assert app.called == ["a", "b"]


async def test_an_application_that_does_not_subscribe_gets_messages() -> None:
    """As from any ASGI server."""
    app = Application(subscribes=False)
    connection = await Connection(app).open()
    await connection.receive(frame(TEXT, b"hello"))
    assert (app.called, app.messages) == ([], [{"type": "websocket.receive", "text": "hello"}])
    await connection.lose()


async def test_who_speaks_before_the_handshake_is_over_is_heard_by_messages(app: Application) -> None:
    """The library has begun with what came, so it has to go on."""
    connection = Connection(app)
    early = frame(TEXT, b"early")
    connection.protocol.data_received(HANDSHAKE)
    await connection.receive(early[:3], early[3:])
    assert (app.called, app.messages) == ([], [{"type": "websocket.receive", "text": "early"}])
    await connection.lose()


@contextmanager
def without_garbage_collector() -> Iterator[None]:
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


@pytest.mark.parametrize(
    "said",
    [b"", frame(TEXT, b"hello")[:4], frame(CLOSE, b"\x03\xe8"), frame(TEXT, b"x" * 5000), b"\x81\x02hi"],
)
async def test_a_lost_connection_leaves_no_garbage(said: bytes) -> None:
    """It is gone with its last reference, whatever it was in the middle of: nobody collects it later."""
    with without_garbage_collector():
        connection = await Connection(Application()).open()
        await connection.receive(frame(TEXT, b"hello"), frame(PING, b""), said)
        await connection.lose()
        remains = [weakref.ref(connection.protocol), weakref.ref(connection.protocol.conn)]
        del connection
        assert [remain() for remain in remains] == [None, None]
