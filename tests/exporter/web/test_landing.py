"""The page at /."""

from __future__ import annotations

import re

from fastapi import FastAPI

from exporter import __version__
from exporter.web import landing
from tests.support.asgi import client

LINKS = ["metrics", "workers", "transitions", "sd", "health", "docs"]


async def test_a_plain_page_with_links() -> None:
    """One answer of HTML that loads nothing else; its links are relative, for proxies with a path."""
    app = FastAPI()
    app.include_router(landing.routes())
    async with client(app) as http:
        page = await http.get("/")
    assert (page.status_code, page.headers["Content-Type"]) == (200, "text/html; charset=utf-8")
    assert re.findall(r'href="([^"]*)"', page.text) == LINKS
    assert re.findall(r"src=|@import|url\(", page.text) == []
    assert f"Version {__version__}." in page.text
    assert "{" not in re.sub(r"<style>.*</style>", "", page.text, flags=re.DOTALL)
