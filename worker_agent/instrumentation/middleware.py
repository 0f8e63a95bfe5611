"""The families of starlette-prometheus, with labels that are bounded and right on current FastAPI.

The library's own middleware looks at `route.path`, which the routers that `include_router` adds no longer
have, and puts the URL of whatever it cannot match, and any method a client invents, into a label. Being a
`BaseHTTPMiddleware` it also stops counting where a response begins, and ends a stream that broke in the
middle as if it were complete. So only its families are used, and this fills them.

It is GPL-3.0-or-later and optional: only this file imports it.
"""

from __future__ import annotations

import time
from collections.abc import Iterable

from fastapi.routing import iter_route_contexts
from starlette.routing import BaseRoute, Match
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from starlette_prometheus import middleware as families

UNMATCHED = "unmatched"
OTHER_METHOD = "OTHER"
METHODS = frozenset(("GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH"))


class RequestMetrics:
    """ASGI middleware: counts a request under its method and path template, and passes everything on."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        # Before it is routed: routing changes the scope.
        method = scope["method"] if scope["method"] in METHODS else OTHER_METHOD
        request = _Request(method, path_template(scope["app"].routes, scope) or UNMATCHED)

        async def observed(message: Message) -> None:
            request.answered(message)
            await send(message)

        try:
            await self._app(scope, receive, observed)
        except BaseException as error:
            request.failed(error)
            raise
        finally:
            request.end()


class _Request:
    """One request. It is in progress until its response is complete, not until background tasks are done."""

    def __init__(self, method: str, path_template: str) -> None:
        self._labels = {"method": method, "path_template": path_template}
        # What the server answers for an application that never does.
        self._status = 500
        self._failed = False
        self._ended = False
        families.REQUESTS_IN_PROGRESS.labels(**self._labels).inc()
        families.REQUESTS.labels(**self._labels).inc()
        self._began = time.perf_counter()

    def answered(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._status = message["status"]
        elif message["type"] == "http.response.body" and not message.get("more_body", False):
            self.end()

    def failed(self, error: BaseException) -> None:
        """Also after its end, as a background task does."""
        self._failed = True
        families.EXCEPTIONS.labels(**self._labels, exception_type=type(error).__name__).inc()

    def end(self) -> None:
        if self._ended:
            return
        self._ended = True
        if not self._failed:
            families.REQUESTS_PROCESSING_TIME.labels(**self._labels).observe(
                time.perf_counter() - self._began
            )
        families.RESPONSES.labels(**self._labels, status_code=self._status).inc()
        families.REQUESTS_IN_PROGRESS.labels(**self._labels).dec()


def path_template(routes: Iterable[BaseRoute], scope: Scope) -> str | None:
    """The path of the route that takes this request, as it was written: `/orders/{order_id}`.

    A route that has the path but not the method answers 405 under its template. Inside a mounted
    application, or that of a host, the templates are joined; where it has no routes, as for files, its prefix
    stands for all.
    """
    refusing: str | None = None
    for route in iter_route_contexts(list(routes)):
        match, child_scope = route.matches(scope)
        if match is Match.NONE:
            continue
        # The route of a host has no path, and that of something mounted at the root an empty one.
        prefix = route.path or ""
        if inner := getattr(route, "routes", None):
            below = path_template(inner, {**scope, **child_scope})
            template = prefix + (below or "/" + UNMATCHED) if prefix else below
        else:
            template = None if route.path is None else prefix or "/"
        if match is Match.FULL:
            return template
        refusing = refusing or template
    return refusing
