"""GET /metrics: negotiation, compression, and how long it took."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Sequence

from fastapi import APIRouter
from fastapi.requests import Request
from fastapi.responses import Response, StreamingResponse

from exporter.core.model import SECOND
from exporter.telemetry import Telemetry

from .render import Renderer
from .source import Source

_NEVER = re.compile(r"q=0(\.0*)?", re.IGNORECASE)


def routes(source: Source, renderer: Renderer, telemetry: Telemetry) -> APIRouter:
    router = APIRouter()

    @router.get("/metrics", response_class=Response)
    async def metrics(request: Request) -> Response:
        """What Prometheus scrapes: text or OpenMetrics by `Accept`, compressed by `Accept-Encoding`."""
        started = source.now().mono
        exposition = await renderer.render(source, ",".join(request.headers.getlist("accept")))
        headers = {"Content-Type": exposition.content_type, "Vary": "Accept, Accept-Encoding"}
        pieces = exposition.pieces
        if accepts_gzip(",".join(request.headers.getlist("accept-encoding"))):
            pieces = (await exposition.gzipped(),)
            headers["Content-Encoding"] = "gzip"
        headers["Content-Length"] = str(sum(map(len, pieces)))
        telemetry.scrape_duration.observe((source.now().mono - started) / SECOND)
        return StreamingResponse(_one_by_one(pieces), headers=headers)

    return router


def accepts_gzip(accept_encoding: str) -> bool:
    """Whether an Accept-Encoding header names gzip, and not in order to exclude it."""
    for accepted in accept_encoding.split(","):
        coding, _, quality = accepted.partition(";")
        if coding.strip().lower() == "gzip":
            return not _NEVER.fullmatch(quality.strip())
    return False


async def _one_by_one(pieces: Sequence[bytes]) -> AsyncIterator[bytes]:
    for piece in pieces:
        yield piece
