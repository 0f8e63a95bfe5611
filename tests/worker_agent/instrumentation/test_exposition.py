"""`GET /metrics` of a worker."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from prometheus_client import CollectorRegistry, Counter, Gauge, Info
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from tests.support.siblings import Sibling
from worker_agent.instrumentation import processes
from worker_agent.instrumentation.exposition import accepts_gzip, add_metrics_route

TEXT = """\
# HELP orders_open Orders being worked on.
# TYPE orders_open gauge
orders_open 3.0
"""


@pytest.fixture
def client() -> TestClient:
    """An application with one business metric."""
    registry = CollectorRegistry()
    Gauge("orders_open", "Orders being worked on.", registry=registry).set(3)
    app = FastAPI()
    add_metrics_route(app, "/metrics", registry)
    return TestClient(app)


@pytest.mark.parametrize(
    ("accept", "content_type", "end"),
    [
        ("*/*", "text/plain; version=0.0.4; charset=utf-8", ""),
        ("text/plain;version=0.0.4", "text/plain; version=0.0.4; charset=utf-8", ""),
        (
            "text/plain;version=1.0.0;escaping=allow-utf-8",
            "text/plain; version=1.0.0; charset=utf-8; escaping=allow-utf-8",
            "",
        ),
        (
            "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5",
            "application/openmetrics-text; version=1.0.0; charset=utf-8; escaping=underscores",
            "# EOF\n",
        ),
    ],
)
def test_formats(client: TestClient, accept: str, content_type: str, end: str) -> None:
    """The format is the one that the scraper asks for."""
    response = client.get("/metrics", headers={"Accept": accept, "Accept-Encoding": "identity"})
    assert response.status_code == 200
    assert response.headers["Content-Type"] == content_type
    assert "Content-Encoding" not in response.headers
    assert response.text == TEXT + end


def test_gzip(client: TestClient) -> None:
    """Compressed for those who say they can read it."""
    with client.stream("GET", "/metrics", headers={"Accept-Encoding": "gzip"}) as response:
        body = b"".join(response.iter_raw())
    assert response.headers["Content-Encoding"] == "gzip"
    assert response.headers["Vary"] == "Accept, Accept-Encoding"
    assert gzip.decompress(body).decode() == TEXT


@pytest.mark.parametrize("accept", ["text/plain", "application/openmetrics-text;version=1.0.0"])
def test_several_processes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, accept: str) -> None:
    """One of several processes answers for all of them, in every format, each family once."""
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", str(tmp_path))
    first, second = Sibling(tmp_path), Sibling(tmp_path)
    for sibling in (first, second):
        sibling.metric(Counter, "orders_taken").inc(3)
        sibling.metric(Info, "build").info({"version": "7"})
        sibling.merged.publish()
    monkeypatch.setattr(processes, "_processes", first.processes)
    app = FastAPI()
    add_metrics_route(app, "/metrics", first.registry)
    text = TestClient(app).get("/metrics", headers={"Accept": accept}).text
    parse = parse_openmetrics if "# EOF" in text else parse_text
    samples = [sample for family in parse(text) for sample in family.samples]
    assert [(sample.name, sample.labels, sample.value) for sample in samples] == [
        ("build_info", {"slot": "0", "version": "7"}, 1.0),
        ("build_info", {"slot": "1", "version": "7"}, 1.0),
        ("orders_taken_total", {}, 6.0),
    ]


@pytest.mark.parametrize(
    ("header", "accepted"),
    [
        ("", False),
        ("gzip", True),
        ("GZIP", True),
        ("deflate, gzip;q=1.0", True),
        ("gzip; q=0.5", True),
        ("gzip;q=0", False),
        ("gzip;q=0.000", False),
        ("identity;q=1, gzip; q=0.0", False),
        ("x-gzip", False),
        ("deflate", False),
    ],
)
def test_accept_encoding(header: str, accepted: bool) -> None:
    """gzip is used only where it is offered and not forbidden."""
    assert accepts_gzip(header) is accepted
