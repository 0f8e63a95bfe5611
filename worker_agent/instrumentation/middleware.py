"""starlette-prometheus with labels that are bounded and right on current FastAPI.

The library looks at `route.path`, which the routers that `include_router` adds no longer have, and puts
the URL of whatever it cannot match, and any method a client invents, into a label.

It is GPL-3.0-or-later and optional: only this file imports it.
"""

from __future__ import annotations

from collections.abc import Iterable, MutableMapping
from typing import Any

from fastapi.routing import iter_route_contexts
from starlette.middleware.base import RequestResponseEndpoint
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Match
from starlette_prometheus import PrometheusMiddleware

UNMATCHED = "unmatched"
OTHER_METHOD = "OTHER"
METHODS = frozenset(("GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH"))

Scope = MutableMapping[str, Any]


class RequestMetrics(PrometheusMiddleware):
    """Counts a request under its method and path template."""

    async def dispatch(self, request: Request, call_next: RequestResponseEndpoint) -> Response:
        if request.method in METHODS:
            labelled = request
        else:
            # `call_next` goes on with the request as it came.
            labelled = Request({**request.scope, "method": OTHER_METHOD})
        response: Response = await super().dispatch(labelled, call_next)
        return response

    @staticmethod
    def get_path_template(request: Request) -> tuple[str, bool]:
        return path_template(request.app.routes, request.scope) or UNMATCHED, True


def path_template(routes: Iterable[BaseRoute], scope: Scope) -> str | None:
    """The path of the route that takes this request, as it was written: `/orders/{order_id}`.

    A route that has the path but not the method answers 405 under its template. Inside a mounted
    application the templates are joined; where it has no routes, as for files, its prefix stands for all.
    """
    refusing: str | None = None
    for route in iter_route_contexts(list(routes)):
        match, child_scope = route.matches(scope)
        if match is Match.NONE or route.path is None:
            continue
        template: str = route.path
        if inner := getattr(route, "routes", None):
            template += path_template(inner, {**scope, **child_scope}) or "/" + UNMATCHED
        if match is Match.FULL:
            return template or "/"
        refusing = refusing or template
    return refusing
