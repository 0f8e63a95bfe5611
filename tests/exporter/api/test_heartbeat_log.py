"""What the log tells of connections and heartbeats."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from tests.support.application import Exporter
from tests.support.asgi import Refused

FIELDS = ("worker_id", "connection", "client", "reason", "seq", "dropped")


@pytest.fixture(autouse=True, params=[False, True], ids=["by messages", "by calls"])
def way_of_frames(request: pytest.FixtureRequest, exporter: Exporter) -> None:
    """The same whichever way the server hands frames over."""
    exporter.direct = request.param


def told(caplog: pytest.LogCaptureFixture) -> list[tuple[str, str, dict[str, Any]]]:
    """Level, text and fields of the endpoint's lines."""
    return [
        (
            record.levelname,
            record.getMessage(),
            {name: vars(record)[name] for name in FIELDS if name in vars(record)},
        )
        for record in caplog.records
        if record.name == "exporter.api.heartbeat"
    ]


async def test_one_line_a_connection(exporter: Exporter, caplog: pytest.LogCaptureFixture) -> None:
    """At INFO, with its number and the address it came from; heartbeats and the end have none."""
    caplog.set_level(logging.INFO)
    await exporter.register(worker_id="w")
    socket = await exporter.connect("w")
    await socket.send({"type": "heartbeat", "seq": 1})
    await socket.drop()
    assert told(caplog) == [
        (
            "INFO",
            "w connected from 127.0.0.1:1",
            {"worker_id": "w", "connection": 1, "client": "127.0.0.1:1"},
        )
    ]


async def test_each_heartbeat_for_debugging(exporter: Exporter, caplog: pytest.LogCaptureFixture) -> None:
    """At DEBUG, with its number and what of it could not be used; and why a connection ended."""
    caplog.set_level(logging.DEBUG)
    await exporter.register(worker_id="w")
    socket = await exporter.connect("w")
    await socket.send({"type": "heartbeat"})
    await socket.send({"type": "heartbeat", "seq": 2, "rtt": -1, "sent_at": "x"})
    await socket.drop()
    ours = {"worker_id": "w", "connection": 1}
    assert told(caplog)[1:] == [
        ("DEBUG", "heartbeat of w", ours),
        ("DEBUG", "heartbeat of w", {**ours, "seq": 2, "dropped": "sent_at,rtt"}),
        ("DEBUG", "connection of w ended: lost", {**ours, "reason": "lost"}),
    ]


async def test_a_refusal_for_debugging(exporter: Exporter, caplog: pytest.LogCaptureFixture) -> None:
    """Refusals are counted; who is refused over and over is found at DEBUG."""
    caplog.set_level(logging.DEBUG)
    with pytest.raises(Refused):
        await exporter.connect("nobody")
    assert told(caplog) == [
        (
            "DEBUG",
            "connection from 127.0.0.1:1 refused: unknown",
            {"client": "127.0.0.1:1", "reason": "unknown"},
        )
    ]


@pytest.mark.parametrize(
    ("client", "said"), [(("::1", 80), "[::1]:80"), (("10.0.0.1", 80), "10.0.0.1:80"), (None, "unknown")]
)
async def test_where_a_connection_comes_from(
    exporter: Exporter, caplog: pytest.LogCaptureFixture, client: tuple[str, int] | None, said: str
) -> None:
    """A server on a Unix socket does not know."""
    caplog.set_level(logging.DEBUG)
    with pytest.raises(Refused):
        await exporter.connect("nobody", client=client)
    ((_, text, _),) = told(caplog)
    assert text == f"connection from {said} refused: unknown"
