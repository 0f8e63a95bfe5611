"""What is refused before a route sees it."""

from __future__ import annotations

import pytest
from prometheus_client import CollectorRegistry
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

from exporter.api.refusals import LARGEST_BODY, BodyLimit
from exporter.telemetry import Telemetry
from tests.support.application import Exporter


async def length(scope: Scope, receive: Receive, send: Send) -> None:
    """An application that answers with how long the body was."""
    body = await Request(scope, receive).body()
    await Response(str(len(body)))(scope, receive, send)


async def answer(*messages: Message, method: str = "POST") -> tuple[int, bytes, int]:
    """Status and body of the answer, and how many of the messages were not asked for."""
    waiting, sent = list(messages), list[Message]()

    async def receive() -> Message:
        return waiting.pop(0)

    async def send(message: Message) -> None:
        sent.append(message)

    scope = {"type": "http", "method": method, "headers": []}
    await BodyLimit(length, Telemetry(CollectorRegistry()))(scope, receive, send)
    return sent[0]["status"], sent[1]["body"], len(waiting)


def part(size: int, *, more: bool = False) -> Message:
    return {"type": "http.request", "body": b" " * size, "more_body": more}


async def test_a_body_within_the_limit_reaches_the_application_whole() -> None:
    """Also in parts, as a chunked one comes."""
    assert await answer(part(LARGEST_BODY)) == (200, b"65536", 0)
    assert await answer(part(1000, more=True), part(0, more=True), part(2000)) == (200, b"3000", 0)


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
async def test_a_body_beyond_the_limit_is_read_no_further(method: str) -> None:
    """413, and the rest of it stays with the server."""
    half = LARGEST_BODY // 2 + 1
    status, body, left = await answer(
        *(part(half, more=True), part(half, more=True), part(half, more=True), part(1)), method=method
    )
    assert (status, body, left) == (413, b'{"detail":"the body must be at most 65536 bytes"}', 2)


async def test_what_has_no_body_is_not_waited_for() -> None:
    """A GET is handed on before anything was received."""
    assert await answer(part(3), method="GET") == (200, b"3", 0)


async def test_only_registrations_are_counted_as_registrations(exporter: Exporter) -> None:
    """A wrong parameter of another request is a 422 like any other, and no failed registration."""
    assert (await exporter.http.get("/workers?limit=-1")).status_code == 422
    assert (await exporter.register(port=0)).status_code == 422
    assert await exporter.metric("heartbeat_registration_failures_total{") == [
        'heartbeat_registration_failures_total{reason="invalid"} 1.0',
        'heartbeat_registration_failures_total{reason="full"} 0.0',
        'heartbeat_registration_failures_total{reason="groups"} 0.0',
        'heartbeat_registration_failures_total{reason="loading"} 0.0',
    ]


async def test_a_refusal_does_not_repeat_what_was_sent(exporter: Exporter) -> None:
    """It may be large, or hold numbers that JSON does not have."""
    refused = await exporter.register(name="x" * 10_000, started_at="y" * 10_000)
    assert refused.json() == {
        "detail": [
            {
                "loc": ["body", "name"],
                "msg": "String should have at most 100 characters",
                "type": "string_too_long",
            },
            {
                "loc": ["body", "started_at"],
                "msg": "Input should be a valid number, unable to parse string as a number",
                "type": "float_parsing",
            },
        ]
    }
