"""The least that could be called a heartbeat endpoint: receive, decode, observe a histogram.

    python -m tests.benchmarks.bare 127.0.0.1:8000

What the exporter's figures are compared with: the same server, with the same options, an application of
a few lines and no framework. It registers anybody and answers when it is asked, or the agents
would hang up; it keeps nothing, judges nobody, and stores nothing.
"""

from __future__ import annotations

import json
import sys
import time
from typing import Any, cast

from fastapi import FastAPI
from prometheus_client import CollectorRegistry, Histogram, generate_latest
from starlette.types import Receive, Scope, Send

from exporter.server import serve

REGISTRY = CollectorRegistry()
INTERVALS = Histogram(
    "bare_interval_seconds", "Time between two heartbeats of a connection.", registry=REGISTRY
)


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "lifespan":
        await _lifespan(receive, send)
    elif scope["type"] == "websocket":
        await _beats(receive, send)
    elif scope["path"] == "/register":
        facts = json.loads((await receive())["body"])
        await _answer(send, _registered(facts))
    else:
        await _answer(send, generate_latest(REGISTRY))


async def _beats(receive: Receive, send: Send) -> None:
    await receive()
    await send({"type": "websocket.accept"})
    before = time.monotonic()
    while True:
        message = await receive()
        if message["type"] == "websocket.disconnect":
            return
        beat = json.loads(message["text"])
        now = time.monotonic()
        INTERVALS.observe(now - before)
        before = now
        if beat.get("ack"):
            at = time.time()
            answer = {"type": "ack", "seq": beat["seq"], "received_at": at, "sent_at": at}
            await send({"type": "websocket.send", "text": json.dumps(answer)})


async def _lifespan(receive: Receive, send: Send) -> None:
    await receive()
    await send({"type": "lifespan.startup.complete"})
    await receive()
    await send({"type": "lifespan.shutdown.complete"})


async def _answer(send: Send, body: bytes) -> None:
    length = (b"content-length", str(len(body)).encode())
    await send({"type": "http.response.start", "status": 200, "headers": [length]})
    await send({"type": "http.response.body", "body": body})


def _registered(facts: dict[str, Any]) -> bytes:
    worker_id = facts["name"].replace(" ", "-")
    interval = facts["heartbeat_interval"]
    return json.dumps(
        {
            "worker_id": worker_id,
            "websocket_path": f"/ws/{worker_id}",
            "heartbeat_interval": interval,
            "heartbeat_timeout": 3 * interval,
        }
    ).encode()


if __name__ == "__main__":
    serve(cast(FastAPI, app), sys.argv[1])
