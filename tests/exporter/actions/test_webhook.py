"""What a webhook sends, and what it makes of the answer."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import web
from pydantic import ValidationError

from exporter.actions.base import OUTPUT_KEPT, VARIABLES, Ran
from exporter.actions.webhook import WebhookOptions, run
from exporter.core.acting import RunFailure
from tests.support.processes import free_port

TOLD = {f"HEARTBEAT_{name.upper()}": f"a {name}" for name in VARIABLES} | {
    "HEARTBEAT_DETAIL": 'say "hi"\n{{kind}}'
}
VALUES = {name: TOLD[f"HEARTBEAT_{name.upper()}"] for name in VARIABLES}


class Receiver:
    """Answers as a test wants it to, and remembers what it was sent."""

    def __init__(self) -> None:
        self.url = ""
        self.received: list[tuple[str, str, str]] = []
        self.headers: dict[str, str] = {}
        self.answer = web.Response(text="thanks")
        self.hangs = False

    async def __call__(self, request: web.BaseRequest) -> web.StreamResponse:
        body = await request.text()
        self.received.append((request.method, request.headers.get("Content-Type", ""), body))
        self.headers = dict(request.headers)
        if self.hangs:
            await asyncio.sleep(60)
        return self.answer


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    receiver = Receiver()
    runner = web.ServerRunner(web.Server(receiver), shutdown_timeout=0.1)
    await runner.setup()
    port = free_port()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    receiver.url = f"http://127.0.0.1:{port}/hook?key=secret"
    yield receiver
    await runner.cleanup()


def options(**said: Any) -> WebhookOptions:
    return WebhookOptions.model_validate(said)


async def test_without_a_body_it_sends_all_there_is_to_know(receiver: Receiver) -> None:
    """As JSON, by POST; the answer is its output."""
    ran = await run(options(url=receiver.url), TOLD, 5.0)
    assert (ran.failure, ran.detail, ran.output) == (None, "", "thanks")
    [(method, content_type, body)] = receiver.received
    assert (method, content_type, json.loads(body)) == ("POST", "application/json", VALUES)


@pytest.mark.parametrize(
    ("said", "content_type", "sent"),
    [
        (
            {"body": '{"text": "{{ kind }}: {{detail}}"}'},
            "application/json",
            '{"text": "a kind: say \\"hi\\"\\n{{kind}}"}',
        ),
        ({"body": "{{cause}}: {{detail}}"}, "text/plain; charset=utf-8", 'a cause: say "hi"\n{{kind}}'),
        ({"body": "5"}, "text/plain; charset=utf-8", "5"),
        (
            {"body": "<{{detail}}>", "headers": {"content-type": "application/vnd.x+json"}},
            "application/vnd.x+json",
            '<say \\"hi\\"\\n{{kind}}>',
        ),
        ({"body": '{"a": "{{kind}}"}', "headers": {"Content-Type": "text/x"}}, "text/x", '{"a": "a kind"}'),
        ({"body": "", "method": "put"}, "text/plain; charset=utf-8", ""),
    ],
)
async def test_a_template_is_filled_in(
    receiver: Receiver, said: dict[str, Any], content_type: str, sent: str
) -> None:
    """Once, so that what is filled in is never a template itself, and so that JSON stays JSON."""
    await run(options(url=receiver.url, **said), TOLD, 5.0)
    [(method, told, body)] = receiver.received
    assert (method, told, body) == (said.get("method", "post").upper(), content_type, sent)


@pytest.mark.parametrize("method", ["GET", "DELETE"])
async def test_methods_without_a_body_have_none(receiver: Receiver, method: str) -> None:
    """Unless one is asked for."""
    await run(options(url=receiver.url, method=method), TOLD, 5.0)
    assert receiver.received[0][::2] == (method, "")


async def test_headers_are_sent(receiver: Receiver) -> None:
    """As they were written."""
    await run(options(url=receiver.url, headers={"Authorization": "Bearer x"}), TOLD, 5.0)
    assert receiver.headers["Authorization"] == "Bearer x"


@pytest.mark.parametrize(
    ("status", "detail"),
    [
        (199 + 1, None),
        (204, None),
        (302, "answered 302 Found"),
        (404, "answered 404 Not Found"),
        (500, "answered 500 Internal Server Error"),
    ],
)
async def test_only_2xx_is_a_success(receiver: Receiver, status: int, detail: str | None) -> None:
    """A redirect is not followed: what it leads to is not what was configured."""
    receiver.answer = web.Response(status=status, headers={"Location": "/hook"} if status == 302 else None)
    ran = await run(options(url=receiver.url), TOLD, 5.0)
    assert (ran.failure, ran.detail) == (None, "") if detail is None else (RunFailure.EXIT, detail)
    assert len(receiver.received) == 1


async def test_of_a_long_answer_the_end_is_kept(receiver: Receiver) -> None:
    """As far as one listens to it."""
    receiver.answer = web.Response(text="x" * 9000 + "end")
    ran = await run(options(url=receiver.url), TOLD, 5.0)
    assert ran.output == "x" * (OUTPUT_KEPT - 3) + "end"


async def test_an_answer_that_does_not_end_is_not_listened_to_for_ever() -> None:
    """Nor does it make the run a failure: the status was there first."""

    async def flood(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        try:
            while True:
                writer.write(b"y" * 65536)
                await writer.drain()
        except OSError:
            writer.close()

    async with await asyncio.start_server(flood, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        ran = await run(options(url=f"http://127.0.0.1:{port}/"), TOLD, 10.0)
    assert (ran.failure, ran.output) == (None, "y" * OUTPUT_KEPT)


async def test_no_answer_is_a_timeout(receiver: Receiver) -> None:
    """After the time that the action has."""
    receiver.hangs = True
    ran = await run(options(url=receiver.url), TOLD, 0.2)
    assert (ran.failure, ran.detail) == (RunFailure.TIMEOUT, "no answer within 0.2 s")


async def test_who_cannot_be_reached_is_not_started(receiver: Receiver) -> None:
    """Nobody there, no such name, or not who it should be."""
    port = free_port()
    ran = await run(options(url=f"http://127.0.0.1:{port}/secret"), TOLD, 5.0)
    assert (ran.failure, ran.detail.partition("/secret")[1]) == (RunFailure.START, "")
    assert ran.detail.startswith(f"cannot reach 127.0.0.1:{port}: ")
    ran = await run(options(url="http://nowhere.invalid/secret"), TOLD, 5.0)
    assert ran.failure is RunFailure.START
    assert ran.detail.startswith("cannot reach nowhere.invalid:80: ")
    ran = await run(options(url=receiver.url.replace("http:", "https:")), TOLD, 5.0)
    assert ran.failure is RunFailure.START
    assert ran.detail.startswith("TLS with 127.0.0.1:")
    assert "secret" not in ran.detail


async def test_what_is_no_http_is_a_failure() -> None:
    """Of the other side, after it was reached."""

    async def mumble(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"what?\r\n\r\n")
        writer.close()

    async with await asyncio.start_server(mumble, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        ran = await run(options(url=f"http://127.0.0.1:{port}/secret"), TOLD, 5.0)
    assert ran.failure is RunFailure.EXIT
    assert ran.detail.startswith("no proper answer: ")
    assert "secret" not in ran.detail


async def test_a_handshake_that_is_broken_off_has_a_reason_too() -> None:
    """The system has no words for it, so it is called by its name."""

    async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(4096)
        writer.close()

    async with await asyncio.start_server(hang_up, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        ran = await run(options(url=f"https://127.0.0.1:{port}/"), TOLD, 5.0)
    assert (ran.failure, ran.detail.partition(": ")[2] != "") == (RunFailure.START, True)


async def test_a_reason_that_is_no_text_can_be_logged() -> None:
    """A log file takes nothing but text."""

    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 500 caf\xe9\r\nContent-Length: 0\r\n\r\n")
        writer.close()

    async with await asyncio.start_server(refuse, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        ran = await run(options(url=f"http://127.0.0.1:{port}/"), TOLD, 5.0)
    assert ran == Ran(RunFailure.EXIT, "answered 500 caf?")


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ({}, "Field required"),
        ({"url": "ftp://host/"}, "begins with http"),
        ({"url": "http://"}, "names a host"),
        ({"url": "http://host:0/"}, "names a host"),
        ({"url": "http://host:99999/"}, "is no URL"),
        ({"url": "http://host/a b"}, "names a host"),
        ({"url": "http://host/", "method": "HEAD"}, "Input should be"),
        ({"url": "http://host/", "method": 5}, "Input should be"),
        ({"url": "http://host/", "headers": {"a b": "c"}}, "should match pattern"),
        ({"url": "http://host/", "headers": {"a": "b\r\nc: d"}}, "should match pattern"),
        ({"url": "http://host/", "body": "{{kind}} {{who}}"}, "there is no variable who; there are action,"),
        ({"url": "http://host/", "verb": "POST"}, "Extra inputs"),
    ],
)
def test_what_cannot_be_sent_is_refused_at_once(said: dict[str, Any], why: str) -> None:
    """When the configuration is read, and not when it is needed."""
    with pytest.raises(ValidationError, match=why):
        options(**said)


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        (
            "https://user:secret@hooks.example.org/services/secret?key=secret",
            "POST https://hooks.example.org",
        ),
        ("http://[::1]:8080/secret", "POST http://[::1]:8080"),
    ],
)
def test_it_is_shown_without_its_secrets(url: str, shown: str) -> None:
    """With many services the path is the password."""
    assert options(url=url).shown == shown
