"""The pages over HTTP: `/` and what is below `/status/`."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus

from fastapi import APIRouter, Request, Response

from exporter.actions.acting import Acting
from exporter.monitor import Monitor
from exporter.probes.probing import Probing

from . import live, query
from .frame import Frame
from .page import Look, Page
from .pages import ActionPage, ActionsPage, ProbePage, ProbesPage, WorkerPage, WorkersPage
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

_AGAIN = {"Retry-After": "1", "Refresh": "2"}
"""Seconds, for programs and for browsers: a registry is loaded soon."""


class Deliverer:
    """Answers with a page, with its events, or with why there is none."""

    def __init__(self, frame: Frame, viewers: live.Live) -> None:
        self._frame = frame
        self._viewers = viewers

    async def answer(self, request: Request, page: Page, *, missing: str = "") -> Response:
        """`missing` is what is said when the page is about something that is not there."""
        if live.wanted(request):
            return self._viewers.stream(request, page)
        look = await page.look()
        if look is None:
            return self._notice(request, HTTPStatus.NOT_FOUND, "Not here", missing)
        return _html(page.document(look))

    def loading(self, request: Request) -> Response | None:
        """Half a registry would look like a fleet that is half gone."""
        if not self._frame.condition().loading:
            return None
        text = "Workers are shown as soon as the exporter has read them from its store."
        return self._notice(
            request, HTTPStatus.SERVICE_UNAVAILABLE, "The registry is loading", text, headers=_AGAIN
        )

    def _notice(
        self,
        request: Request,
        status: HTTPStatus,
        title: str,
        text: str,
        *,
        headers: Mapping[str, str] | None = None,
    ) -> Response:
        about = self._frame.region("about", self._frame.condition())
        look = Look({"title": self._frame.region("title", title), "about": about}, {})
        html = self._frame.document("notice.html", look, root_of(request), title=title, text=text)
        return _html(html, status, headers or {})


def routes(deliverer: Deliverer, frame: Frame, probing: Probing, acting: Acting) -> APIRouter:
    """What there is with and without workers."""
    router = APIRouter(include_in_schema=False)

    @router.get("/docs")
    async def api(request: Request) -> Response:
        policy = HEADERS["Content-Security-Policy"].replace("img-src 'self'", "img-src 'self' data:")
        html = frame.document("api.html", Look({}, {}), root_of(request))
        return _html(html, headers={"Content-Security-Policy": policy})  # Swagger UI has icons in its style

    @router.get("/status/probes")
    async def probes(request: Request) -> Response:
        wanted = query.probes(request.query_params)
        return await deliverer.answer(request, ProbesPage(frame, probing, wanted, root_of(request)))

    # A name is whatever the configuration says, slashes included.
    @router.get("/status/probes/{name:path}")
    async def probe(name: str, request: Request) -> Response:
        return await deliverer.answer(
            request,
            ProbePage(frame, probing, name, root_of(request)),
            missing=f"No probe is called {name}.",
        )

    @router.get("/status/actions")
    async def actions(request: Request) -> Response:
        page = query.page(request.query_params)
        return await deliverer.answer(request, ActionsPage(frame, acting, page, root_of(request)))

    @router.get("/status/actions/{name:path}")
    async def action(name: str, request: Request) -> Response:
        return await deliverer.answer(
            request,
            ActionPage(frame, acting, name, root_of(request)),
            missing=f"No action is called {name}.",
        )

    return router


def worker_routes(deliverer: Deliverer, frame: Frame, monitor: Monitor) -> APIRouter:
    router = APIRouter(include_in_schema=False)
    roster = Roster(monitor)

    @router.get("/")
    async def workers(request: Request) -> Response:
        wanted = query.workers(request.query_params)
        return deliverer.loading(request) or await deliverer.answer(
            request, WorkersPage(frame, roster, monitor, wanted, root_of(request))
        )

    @router.get("/status/workers/{worker_id}")
    async def worker(worker_id: str, request: Request) -> Response:
        return deliverer.loading(request) or await deliverer.answer(
            request,
            WorkerPage(frame, monitor, worker_id, root_of(request)),
            missing=f"No worker has the id {worker_id}, or it has been forgotten.",
        )

    return router


def front_routes(deliverer: Deliverer, frame: Frame, probing: Probing) -> APIRouter:
    """The front page where there are no workers."""
    router = APIRouter(include_in_schema=False)

    @router.get("/")
    async def front(request: Request) -> Response:
        wanted = query.probes(request.query_params)
        return await deliverer.answer(request, ProbesPage(frame, probing, wanted, root_of(request)))

    return router


def root_of(request: Request) -> str:
    """The way from a page back to `/`, relative, for proxies that put us under a path."""
    path: bytes = request.scope["raw_path"]
    return "../" * (path.count(b"/") - 1)


def _html(
    html: str, status: HTTPStatus = HTTPStatus.OK, headers: Mapping[str, str] | None = None
) -> Response:
    # Half a surrogate pair in a name has no UTF-8; one such name must not cost the whole page.
    content = html.encode(errors="replace")
    return Response(content, status, {**HEADERS, **(headers or {})}, media_type="text/html")
