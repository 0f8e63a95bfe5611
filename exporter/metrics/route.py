"""GET /metrics: negotiation, compression, and how long it took."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from exporter.clock import Clock
from exporter.core.model import SECOND
from exporter.telemetry import Telemetry

from .render import Renderer
from .source import Source

_NEVER = re.compile(r"q=0(\.0*)?", re.IGNORECASE)


def metrics_endpoint(
    renderer: Renderer, source: Source, telemetry: Telemetry, clock: Clock
) -> Callable[[Request], Awaitable[Response]]:
    """A Starlette endpoint that answers with the source as it stands."""

    async def metrics(request: Request) -> Response:
        started = clock.now().mono
        exposition = await renderer.render(source, ",".join(request.headers.getlist("accept")))
        headers = {"Content-Type": exposition.content_type, "Vary": "Accept, Accept-Encoding"}
        pieces = exposition.pieces
        if accepts_gzip(",".join(request.headers.getlist("accept-encoding"))):
            pieces = (await exposition.gzipped(),)
            headers["Content-Encoding"] = "gzip"
        headers["Content-Length"] = str(sum(map(len, pieces)))
        telemetry.scrape_duration.observe((clock.now().mono - started) / SECOND)
        return StreamingResponse(_one_by_one(pieces), headers=headers)

    return metrics


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
