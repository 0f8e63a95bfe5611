"""`GET /metrics` of a worker: in the format and encoding that the scraper asks for.

One of several processes behind a port answers for all of them.
"""

from __future__ import annotations

import gzip

from fastapi import FastAPI, Request, Response
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import CollectorRegistry

from worker_agent.instrumentation import processes


def add_metrics_route(app: FastAPI, path: str, registry: CollectorRegistry) -> None:
    """Serve everything in `registry` under `path`."""
    shown = processes.shown(registry)

    # Not a coroutine: rendering thousands of series would hold up the application's event loop.
    def metrics(request: Request) -> Response:
        encode, content_type = choose_encoder(request.headers.get("Accept", ""))
        body = encode(shown)
        headers = {"Vary": "Accept, Accept-Encoding"}
        if accepts_gzip(request.headers.get("Accept-Encoding", "")):
            headers["Content-Encoding"] = "gzip"
            # Higher levels cost twenty times as much for a few per cent.
            body = gzip.compress(body, compresslevel=1)
        return Response(body, headers=headers, media_type=content_type)

    app.add_api_route(path, metrics, methods=["GET", "HEAD"], include_in_schema=False)


def accepts_gzip(accept_encoding: str) -> bool:
    """Whether an Accept-Encoding header allows gzip; `gzip;q=0` forbids it."""
    for offer in accept_encoding.lower().split(","):
        coding, _, parameters = offer.partition(";")
        if coding.strip() == "gzip":
            return parameters.replace(" ", "").rstrip("0.") != "q="
    return False
