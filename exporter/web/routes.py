"""The pages and what they load, over HTTP."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response

from exporter.monitor import Monitor

from . import live
from .frame import Frame
from .page import Page
from .pages import WorkersPage, wanted
from .roster import Roster

HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
        "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",
    "Vary": "Accept",
}
"""With every page: it loads only what comes from here, is shown in no frame, and tells nobody its address."""


def routes(frame: Frame, roster: Roster, monitor: Monitor, viewers: live.Live) -> APIRouter:
    router = APIRouter(include_in_schema=False)

    async def answer(request: Request, page: Page) -> Response:
        if live.wanted(request):
            return viewers.stream(request, page)
        look = await page.look()
        if look is None:
            return Response("not found", 404, headers=HEADERS)
        return Response(page.document(look).encode(errors="replace"), media_type="text/html", headers=HEADERS)

    @router.get("/")
    async def workers(request: Request) -> Response:
        return await answer(
            request, WorkersPage(frame, roster, monitor, wanted(request.query_params), root_of(request))
        )

    @router.get("/static/{name}")
    async def static(name: str, request: Request) -> Response:
        asset = frame.assets.get(name)
        if asset is None:
            return Response(status_code=404)
        tag = f'"{asset.tag}"'
        # Its address is another one as soon as its content is.
        lasting = request.query_params.get("v") == asset.tag
        headers = {
            "ETag": tag,
            "Cache-Control": "public, max-age=31536000, immutable" if lasting else "no-cache",
            "X-Content-Type-Options": "nosniff",
        }
        if tag in request.headers.get("if-none-match", ""):
            return Response(status_code=304, headers=headers)
        return Response(asset.content, media_type=asset.media_type, headers=headers)

    return router


def root_of(request: Request) -> str:
    """The way from a page back to `/`, relative, for proxies that put us under a path."""
    path: bytes = request.scope["raw_path"]
    return "../" * (path.count(b"/") - 1)
