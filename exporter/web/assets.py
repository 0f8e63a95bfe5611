"""The files that pages load: GET /static/..."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import NamedTuple

from fastapi import APIRouter, Request, Response

_STATIC = Path(__file__).parent / "static"

_SWAGGER = ("swagger-ui.css", "swagger-ui-bundle.js")
"""What shows the API. It comes with fastapi-offline, so that browsers need not load it from elsewhere."""

_MEDIA_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}

_FOR_EVER = "public, max-age=31536000, immutable"


class Asset(NamedTuple):
    """One file. `tag` is another one as soon as the content is, and pages ask for it by `?v=`."""

    content: bytes
    media_type: str
    tag: str


def read() -> Mapping[str, Asset]:
    """All of them, by name."""
    found = {}
    swagger = resources.files("fastapi_offline") / "static"
    for path in (*sorted(_STATIC.iterdir()), *(Path(str(swagger / name)) for name in _SWAGGER)):
        content = path.read_bytes()
        found[path.name] = Asset(content, _MEDIA_TYPES[path.suffix], hashlib.sha256(content).hexdigest()[:16])
    return found


def routes(assets: Mapping[str, Asset]) -> APIRouter:
    router = APIRouter(include_in_schema=False)

    @router.get("/static/{name}")
    async def static(name: str, request: Request) -> Response:
        asset = assets.get(name)
        if asset is None:
            return Response(status_code=404)
        headers = {
            "ETag": f'"{asset.tag}"',
            "Cache-Control": _FOR_EVER if request.query_params.get("v") == asset.tag else "no-cache",
            "X-Content-Type-Options": "nosniff",
        }
        if asset.tag in request.headers.get("if-none-match", ""):
            return Response(status_code=304, headers=headers)
        return Response(asset.content, media_type=asset.media_type, headers=headers)

    return router
