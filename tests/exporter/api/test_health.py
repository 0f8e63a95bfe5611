"""How the exporter says how it is."""

from __future__ import annotations

from exporter import __version__
from tests.support.application import Exporter


async def test_health_names_its_checks(exporter: Exporter) -> None:
    """The same shape as a worker's /health."""
    health = (await exporter.http.get("/health")).json()
    assert health.pop("timestamp").endswith("Z")
    assert health.pop("uptime") >= 0
    assert health == {
        "status": "healthy",
        "version": __version__,
        "checks": {
            "store": {
                "status": "healthy",
                "details": {"where": "memory", "pending_writes": 0},
                "error": None,
            },
            "registry": {
                "status": "healthy",
                "details": {"workers": 0, "limit": 20000, "warming_up": False},
                "error": None,
            },
        },
    }


async def test_without_its_store_it_is_degraded_and_ready(exporter: Exporter) -> None:
    """It goes on judging, so nobody should take it out of service."""
    exporter.store.away = True
    await exporter.register()
    await exporter.clock.jump(3)
    health = await exporter.http.get("/health")
    assert (health.status_code, health.json()["status"]) == (200, "degraded")
    assert "does not answer" in health.json()["checks"]["store"]["error"]
    ready = await exporter.http.get("/health/ready")
    assert (ready.status_code, ready.json()["status"]) == (200, "degraded")
    assert await exporter.metric("heartbeat_store_up") == ["heartbeat_store_up 0.0"]


async def test_all_the_doors(exporter: Exporter) -> None:
    """Kubernetes' paths and those of the Prometheus family."""
    expected = {
        "/health/live": "alive",
        "/health/ready": "ready",
        "/health/startup": "started",
    }
    for path, status in expected.items():
        answer = await exporter.http.get(path)
        assert (answer.status_code, answer.json()["status"]) == (200, status)
    for path in ("/-/healthy", "/-/ready"):
        assert (await exporter.http.get(path)).status_code == 200


async def test_head_is_answered_where_get_is(exporter: Exporter) -> None:
    """Load balancers like to ask that way."""
    for path in ("/", "/health", "/health/live", "/-/healthy", "/metrics", "/workers"):
        assert (await exporter.http.head(path)).status_code == 200


async def test_while_stopping_it_is_alive_and_not_ready(exporter: Exporter) -> None:
    """A load balancer stops sending, and nobody kills it for that."""
    exporter.stop_judging()
    assert (await exporter.http.get("/health/ready")).status_code == 503
    assert (await exporter.http.get("/-/ready")).status_code == 503
    assert (await exporter.http.get("/health/live")).status_code == 200


async def test_the_front_page_links_to_what_there_is(exporter: Exporter) -> None:
    """Every link leads somewhere; one leads out, to the documentation."""
    page = await exporter.http.get("/")
    assert page.headers["Content-Type"].startswith("text/html")
    assert __version__ in page.text
    links = [part.split('"')[0] for part in page.text.split('href="')[1:]]
    out = [link for link in links if "://" in link]
    assert out == ["https://github.com/heartbeat-exporter/heartbeat-exporter/tree/main/docs"]
    for link in set(links) - set(out):
        assert (await exporter.http.get("/" + link)).status_code == 200
