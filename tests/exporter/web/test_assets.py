"""The files that pages load."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from fastapi import FastAPI

from exporter.web import assets
from tests.support.asgi import client

STATIC = Path(assets.__file__).parent / "static"
FILES = sorted(path.name for path in STATIC.iterdir())


def application() -> FastAPI:
    app = FastAPI()
    app.include_router(assets.routes(assets.read()))
    return app


@pytest.mark.parametrize("name", FILES)
async def test_a_file_is_kept_for_as_long_as_it_is_the_same(name: str) -> None:
    """Asked for by its tag it never changes; otherwise a browser asks each time whether it did."""
    tag = assets.read()[name].tag
    async with client(application()) as http:
        lasting = await http.get(f"/static/{name}?v={tag}")
        asked = await http.get(f"/static/{name}")
        stale = await http.get(f"/static/{name}?v=0123456789abcdef")
        again = await http.get(f"/static/{name}", headers={"If-None-Match": asked.headers["ETag"]})
        weak = await http.get(f"/static/{name}", headers={"If-None-Match": f'"other", W/"{tag}"'})
    assert lasting.headers["Cache-Control"] == "public, max-age=31536000, immutable"
    assert asked.headers["Cache-Control"] == stale.headers["Cache-Control"] == "no-cache"
    assert (asked.content, asked.headers["ETag"]) == ((STATIC / name).read_bytes(), f'"{tag}"')
    assert asked.headers["X-Content-Type-Options"] == "nosniff"
    assert [(answer.status_code, answer.content) for answer in (again, weak)] == [(304, b"")] * 2


async def test_types() -> None:
    """Browsers are told not to guess, so they have to be told what it is."""
    async with client(application()) as http:
        types = {name: (await http.get(f"/static/{name}")).headers["Content-Type"] for name in assets.read()}
    assert types == {
        "api.js": "text/javascript; charset=utf-8",
        "icon.svg": "image/svg+xml",
        "page.css": "text/css; charset=utf-8",
        "page.js": "text/javascript; charset=utf-8",
        "swagger-ui-bundle.js": "text/javascript; charset=utf-8",
        "swagger-ui.css": "text/css; charset=utf-8",
    }


@pytest.mark.parametrize("name", ["nothing.css", "..%2fassets.py", "%2e%2e/assets.py", ""])
async def test_nothing_else_is_served(name: str) -> None:
    """Files are read once, at the start; a path is only ever compared with their names."""
    async with client(application()) as http:
        assert (await http.get(f"/static/{name}")).status_code == 404


@pytest.mark.parametrize("name", FILES)
def test_nothing_is_loaded_from_elsewhere(name: str) -> None:
    """Neither by a style, nor by a picture, nor by the script."""
    text = (STATIC / name).read_text()
    assert re.findall(r"@import|url\(|https?://(?!www\.w3\.org/2000/svg)", text) == []
