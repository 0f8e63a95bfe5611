"""The page at /."""

from __future__ import annotations

import re

import pytest
from fastapi import FastAPI

from exporter import __version__
from exporter.web import landing
from tests.support.asgi import client

OF_WORKERS = ["workers", "transitions", "sd"]
OTHERS = ["probes", "actions", "health", "docs"]


@pytest.mark.parametrize(
    ("workers", "links"),
    [(True, ["metrics", *OF_WORKERS, *OTHERS]), (False, ["metrics", *OTHERS])],
    ids=["workers", "no workers"],
)
async def test_a_plain_page_with_links(workers: bool, links: list[str]) -> None:
    """One answer of HTML that loads nothing else; its links are relative, for proxies with a path."""
    app = FastAPI()
    app.include_router(landing.routes(workers=workers))
    async with client(app) as http:
        page = await http.get("/")
    assert (page.status_code, page.headers["Content-Type"]) == (200, "text/html; charset=utf-8")
    assert re.findall(r'href="([^"]*)"', page.text) == links
    assert re.findall(r"src=|@import|url\(", page.text) == []
    assert f"Version {__version__}." in page.text
    assert "{" not in re.sub(r"<style>.*</style>", "", page.text, flags=re.DOTALL)
