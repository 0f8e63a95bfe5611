"""GET /metrics over HTTP."""

from __future__ import annotations

import gzip
from collections.abc import AsyncIterator

import httpx2
import pytest
from fastapi import FastAPI
from prometheus_client import CollectorRegistry

from exporter.metrics.render import Renderer
from exporter.metrics.route import accepts_gzip, routes
from exporter.telemetry import Telemetry
from tests.exporter.metrics.sources import Watched, rendered
from tests.exporter.metrics.test_render import small_fleet
from tests.support.asgi import client


@pytest.fixture
def telemetry() -> Telemetry:
    return Telemetry(CollectorRegistry())


@pytest.fixture
def fleet() -> Watched:
    return small_fleet()


@pytest.fixture
async def scraper(fleet: Watched, telemetry: Telemetry) -> AsyncIterator[httpx2.AsyncClient]:
    app = FastAPI()
    # An empty registry: what the process counts about itself is never twice the same.
    app.include_router(routes(fleet, Renderer(CollectorRegistry()), telemetry))
    async with client(app) as requests:
        requests.headers.clear()
        yield requests


async def test_answers_in_plain_text(scraper: httpx2.AsyncClient, fleet: Watched) -> None:
    """Without any header: text 0.0.4, as it is."""
    answer = await scraper.get("/metrics")
    assert answer.status_code == 200
    assert dict(answer.headers) == {
        "content-type": "text/plain; version=0.0.4; charset=utf-8",
        "content-length": str(len(answer.content)),
        "vary": "Accept, Accept-Encoding",
    }
    assert answer.text == await rendered(fleet)


async def test_answers_as_prometheus_asks(scraper: httpx2.AsyncClient, fleet: Watched) -> None:
    """OpenMetrics, compressed."""
    asked = {"Accept": "application/openmetrics-text;version=1.0.0,*/*;q=0.1", "Accept-Encoding": "gzip"}
    async with scraper.stream("GET", "/metrics", headers=asked) as answer:
        raw = b"".join([piece async for piece in answer.aiter_raw()])
    assert dict(answer.headers) == {
        "content-type": ("application/openmetrics-text; version=1.0.0; charset=utf-8; escaping=underscores"),
        "content-encoding": "gzip",
        "content-length": str(len(raw)),
        "vary": "Accept, Accept-Encoding",
    }
    assert gzip.decompress(raw).decode() == await rendered(fleet, asked["Accept"])


async def test_headers_may_come_in_several_lines(scraper: httpx2.AsyncClient) -> None:
    """As RFC 9110 5.3 allows."""
    answer = await scraper.get(
        "/metrics",
        headers=[
            ("Accept", "text/html"),
            ("Accept", "text/plain; version=1.0.0"),
            ("Accept-Encoding", "br"),
            ("Accept-Encoding", "gzip"),
        ],
    )
    assert answer.headers["content-type"].startswith("text/plain; version=1.0.0;")
    assert answer.headers["content-encoding"] == "gzip"


async def test_measures_itself(
    scraper: httpx2.AsyncClient, fleet: Watched, telemetry: Telemetry, monkeypatch: pytest.MonkeyPatch
) -> None:
    """How long a scrape took is seen in the next one."""
    walk = fleet.walk
    monkeypatch.setattr(fleet, "walk", lambda: (fleet.clock.move(0.75), walk())[1])
    await scraper.get("/metrics")
    sample = telemetry.registry.get_sample_value
    assert sample("heartbeat_scrape_duration_seconds_count") == 1
    assert sample("heartbeat_scrape_duration_seconds_sum") == 0.75


@pytest.mark.parametrize(
    ("accept_encoding", "accepted"),
    [
        ("", False),
        ("gzip", True),
        ("GZip", True),
        ("deflate, gzip;q=1.0, *;q=0.5", True),
        ("br;q=1.0, gzip;q=0.8", True),
        ("gzip;q=0", False),
        ("gzip; q=0.000", False),
        ("gzip;q=0.001", True),
        ("x-gzip-ish, identity", False),
        ("identity", False),
        ("*", False),
    ],
)
def test_compresses_only_for_those_who_name_gzip(accept_encoding: str, accepted: bool) -> None:
    """A weight of zero excludes it; nobody is obliged to compress for a wildcard."""
    assert accepts_gzip(accept_encoding) is accepted
