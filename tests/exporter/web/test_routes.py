"""The pages over HTTP, by a whole application."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from exporter.app import create_app
from exporter.core.events import Register
from exporter.core.model import WorkerId
from exporter.settings import Settings
from exporter.web.frame import DOCUMENTATION
from exporter.web.routes import HEADERS
from tests.exporter.web.markup import Markup
from tests.support.application import Exporter, running
from tests.support.asgi import client
from tests.support.clock import FakeClock
from tests.support.fleets import facts
from tests.support.stores import MemoryStore

CONFIGURATION = """
defaults: {interval: 1s, timeout: 1s, failure_threshold: 1}
probes:
  "a/b <i>": {type: tcp, host: 127.0.0.1, port: 1, action: "n/g <i>"}
actions:
  "n/g <i>": {demote: [sh, -c, "echo '<script>alert(1)</script>'; exit 3"], run_on_start: true}
brake: {share: 1}
"""
HOSTILE = {
    "script": "<script>alert(1)</script>",
    "quotes": '"\'` onmouseover=alert(1) x="',
    "entities": "&lt;b&gt;&amp;",
    "end of title": "</title></option></select><h1>",
    "instant": '<time data-beat="w"></time>',
    "template": "{{ 7 * 7 }}{% raw %}",
    "bidi": "safe\u202egnp.exe\u2066",
    "half a pair": "\ud800",
    "long": "x" * 5000,
    "control": "a\x00b\nc\td\x1b[31m",
}


@pytest.fixture
async def exporter() -> AsyncIterator[Exporter]:
    async with running() as started:
        yield started


@contextlib.asynccontextmanager
async def one_alive(exporter: Exporter, worker_id: str = "w", **fields: Any) -> AsyncIterator[None]:
    await exporter.register(worker_id=worker_id, **fields)
    socket = await exporter.connect(worker_id)
    await socket.send({"type": "heartbeat", "checks": {"db": "healthy"}})
    await exporter.clock.jump(3)
    yield
    await socket.drop()


async def test_the_front_page(exporter: Exporter) -> None:
    """Head, sentence, counts, filter and table, as they are read one after the other."""
    async with one_alive(exporter, name="Checkout", group="shop"):
        page = await exporter.http.get("/")
    assert page.status_code == 200
    read = Markup(page.text)
    assert read.problems == []
    text = " | ".join(read.text)
    assert text.startswith(
        "The only worker is alive. · heartbeat-exporter | Skip to content | heartbeat-exporter"
        " | Workers | Probes | Actions | Metrics | API | Docs | Exporter healthy | Store healthy | Workers"
        " | The only worker is alive."
    )
    assert (
        "| 1 | All | 1 | Alive | 0 | Registered | 0 | Connected | 0 | Disconnected | 0 | Not responding |"
        in text
    )
    assert (
        "| Worker | Group | Status | Last heartbeat | Last 60 intervals | Round trip | Checks | Checkout"
        " | shop | Alive | for | 2 s | 2 s ago"
        " | Of 60 intervals, the last 5 min: pending in 1 and unknown in 59 | – | 1 healthy | 1 of 1 worker |"
    ) in text


async def test_headers(exporter: Exporter) -> None:
    """A page loads only what comes from here, is framed by nobody, and tells nobody where it was."""
    for path in ("/", "/status/workers/nobody", "/status/probes", "/status/actions"):
        page = await exporter.http.get(path)
        assert {name: page.headers[name] for name in HEADERS} == HEADERS
        assert page.headers["Content-Type"] == "text/html; charset=utf-8"
    assert HEADERS["Content-Security-Policy"] == (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
        "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    )


async def test_everything_leads_somewhere(exporter: Exporter) -> None:
    """From each page every link can be followed, and every file loaded, by its relative address."""
    async with one_alive(exporter, "w 1:a+b@c"):
        seen: set[str] = set()
        await follow(exporter, "http://exporter/", seen)
    assert {"/status/workers/w%201%3Aa%2Bb%40c", "/status/probes", "/metrics", "/static/page.css"} <= {
        re.sub(r"^http://exporter|\?.*", "", url) for url in seen
    }


async def follow(exporter: Exporter, url: str, seen: set[str]) -> None:
    if url in seen:
        return
    seen.add(url)
    answer = await exporter.http.get(url)
    assert answer.status_code == 200, url
    # The API's own page, by FastAPI, is not ours.
    if answer.headers["Content-Type"].startswith("text/html") and not url.endswith("/docs"):
        read = Markup(answer.text)
        assert read.problems == [], url
        for link in (*read.links, *read.loads):
            if not link.startswith("#") and link != DOCUMENTATION:
                await follow(exporter, str(answer.url.join(link)), seen)


async def test_below_a_path(exporter: Exporter) -> None:
    """A proxy that puts us under a path finds no link that leaves it, however deep the page."""
    async with one_alive(exporter):
        for path in (
            "/",
            "/status/workers/w",
            "/status/probes",
            "/status/probes/a%2Fb",
            "/status/probes/a/b/c",
            "/docs",
        ):
            read = Markup((await exporter.http.get(path)).text)
            depth = path.count("/") - 1
            assert all(link.count("../") <= depth for link in (*read.links, *read.loads))
            leaving = [link for link in (*read.links, *read.loads) if link.startswith(("/", "http"))]
            assert leaving == [DOCUMENTATION]


@pytest.mark.parametrize("name", HOSTILE.values(), ids=HOSTILE)
async def test_hostile_names(exporter: Exporter, name: str, caplog: pytest.LogCaptureFixture) -> None:
    """Whatever a store or somebody says that a worker is called, it is text, and the page is whole."""
    # pytest hands the log from process to process, which half a pair is not fit for.
    caplog.set_level(logging.CRITICAL)
    monitor = exporter.app.state.exporter.monitor
    labels = (("label", name),)
    monitor.receive(
        Register(facts(name, name=name, group=name, host=name, version=name, labels=labels, boot_id=name))
    )
    await exporter.clock.jump(20)
    front = await exporter.http.get("/", params={"q": name.encode(errors="replace").decode(), "group": "g"})
    page = await exporter.http.get("/")
    (link,) = [link for link in Markup(page.text).links if link.startswith("status/workers/")]
    worker = await exporter.http.get(f"/{link}")
    shown = " ".join(name.encode(errors="replace").decode().split())
    for answer in (front, page):
        assert (answer.status_code, Markup(answer.text).problems) == (200, [])
    assert shown in [" ".join(text.split()) for text in Markup(page.text).text]
    if worker.status_code == 200:  # half a pair is in no address
        assert Markup(worker.text).problems == []
        assert shown in Markup(worker.text).text
    assert "alert(1)<" not in (page.text + worker.text).replace("&lt;", "")


async def test_filters_and_pages(exporter: Exporter) -> None:
    """By an address alone, as a form without a script makes it; what is asked for stands in the form."""
    monitor = exporter.app.state.exporter.monitor
    for number in range(120):
        monitor.receive(Register(facts(f"w{number:03d}", group="even" if number % 2 == 0 else "odd")))
    await exporter.clock.jump(1)

    async def shown(query: str) -> tuple[list[str], Markup, str]:
        page = await exporter.http.get(f"/?{query}")
        read = Markup(page.text)
        names = [link.rpartition("/")[2] for link in read.links if link.startswith("status/workers/")]
        return names, read, page.text

    names, read, html = await shown("q=&status=registered&group=even&page=2")
    assert names == [f"w{number:03d}" for number in range(100, 120, 2)]
    assert "51 to 60 of 60 that match, of 120 workers in all" in read.text
    assert '<option value="registered" selected>' in html
    assert "<option selected>even</option>" in html
    assert "?status=registered&group=even&page=1" in read.links
    assert "?group=even&status=alive" in read.links
    names, read, html = await shown("q=w01%22%3E")
    assert (names, 'value="w01&#34;&gt;"' in html) == ([], True)
    assert "No worker matches." in read.text
    names, read, _ = await shown("page=99")
    assert (len(names), "Page 3 of 3" in read.text) == (20, True)
    assert (await shown("status=sideways&page=x"))[0] == [f"w{number:03d}" for number in range(50)]


async def test_a_worker(exporter: Exporter) -> None:
    """Its facts, figures, checks and transitions."""
    async with one_alive(exporter, name="Checkout", version="2.1", labels={"zone": "eu"}):
        page = await exporter.http.get("/status/workers/w")
    read = Markup(page.text)
    assert read.problems == []
    text = " | ".join(read.text)
    for part in (
        "| Workers | Checkout | Checkout is alive. | Alive | for | 2 s | last heartbeat | 2 s ago |",
        "| Address | 10.0.0.1:8001 | Version | 2.1 | Started | not told | Interval and timeout |",
        "| Heartbeats | 1 | Missed | 0 | Restarts | 0 |",
        "| Checks | Healthy | db | Elsewhere | As JSON |",
        "| When | From | To | Reason | For | 2023-11-14 22:13:20 UTC | Connected | Alive | heartbeat | 2 s |",
    ):
        assert part in text
    assert "../../workers/w" in read.links


async def test_links_to_dashboards_and_alerts() -> None:
    """Of this worker, where it is known where they are."""
    async with (
        running(grafana_url="https://g.example.org", alertmanager_url="https://a.example.org") as exporter,
        one_alive(exporter, "w 1", group="a&b".replace("&", "+")),
    ):
        page = await exporter.http.get("/status/workers/w%201")
    assert [link for link in Markup(page.text).links if link.startswith("https")] == [
        "https://g.example.org",
        "https://a.example.org",
        DOCUMENTATION,
        "https://g.example.org/d/heartbeat-worker?var-worker_id=w%201&var-group=a%2Bb",
        "https://a.example.org/#/alerts?filter=%7Bworker_id%3D%22w%201%22%7D",
    ]


async def test_who_is_not_there(exporter: Exporter) -> None:
    """A page of its own that says so, without events; the name in the address is text."""
    for path, said in (
        ("/status/workers/no<b>body", "No worker has the id no<b>body, or it has been forgotten."),
        ("/status/probes/a/b", "No probe is called a/b."),
        ("/status/actions/x", "No action is called x."),
    ):
        page = await exporter.http.get(path)
        read = Markup(page.text)
        assert (page.status_code, read.problems) == (404, [])
        assert said in read.text
        assert "page.js" not in page.text


async def test_while_the_registry_is_loading() -> None:
    """503 and try again: half a registry would look like a fleet that is half gone. The rest is there."""
    store = MemoryStore()
    store.away = True
    async with running(store, wait=False) as exporter:
        for path in ("/", "/status/workers/w"):
            page = await exporter.http.get(path)
            read = Markup(page.text)
            assert (page.status_code, page.headers["Retry-After"], page.headers["Refresh"]) == (503, "1", "2")
            assert read.problems == []
            assert "The registry is loading" in read.text
            assert "Registry loading" in read.text
            events = await exporter.http.get(path, headers={"Accept": "text/event-stream"})
            assert events.status_code == 503
        assert (await exporter.http.get("/status/probes")).status_code == 200
        assert (await exporter.http.get("/status/actions")).status_code == 200


async def test_while_the_store_is_away(exporter: Exporter) -> None:
    """It says so, and not where the store is: the page is for everybody."""
    exporter.store.away = True
    await exporter.register(worker_id="w")
    await exporter.clock.jump(5)
    page = await exporter.http.get("/")
    text = Markup(page.text).text
    assert text[text.index("Exporter degraded") + 1] == "Store away"
    assert "nobody answers" not in page.text


async def test_no_secrets() -> None:
    """Neither a page nor a notice shows what the settings keep to themselves."""
    async with running(redis_url="redis://me:geheim@redis.example.org/1") as exporter:
        for path in ("/", "/status/probes", "/status/actions", "/status/workers/w"):
            assert not re.search("geheim|redis", (await exporter.http.get(path)).text)


async def test_probes_and_actions(tmp_path: Path) -> None:
    """An overview and a page each, whatever is in their names and in what a command said."""
    (tmp_path / "config.yml").write_text(CONFIGURATION)
    settings = Settings(_env_file=None, config_file=tmp_path / "config.yml")
    app = create_app(settings, store=MemoryStore())
    async with app.router.lifespan_context(app), client(app) as http:
        exporter = Exporter(app, http, FakeClock(), MemoryStore())
        for _ in range(200):
            if "Failed" in (await http.get("/status/actions")).text:
                break
            await asyncio.sleep(0.05)
        seen: set[str] = set()
        await follow(exporter, "http://exporter/status/probes", seen)
        probe = " | ".join(Markup((await http.get("/status/probes/a/b%20%3Ci%3E")).text).text)
        action = " | ".join(Markup((await http.get("/status/actions/n/g%20%3Ci%3E")).text).text)
    assert "http://exporter/status/probes/a/b%20%3Ci%3E" in seen
    assert "http://exporter/status/actions/n/g%20%3Ci%3E" in seen
    assert "| a/b <i> | The target of a/b <i> is down (refused). | Down | refused |" in probe
    assert "| n/g <i> | n/g <i> is demoted and the last demote failed (exit). | Demoted |" in action
    assert "| exit code 3 |" in action
    assert "<script>alert(1)</script> |" in action


async def test_without_workers() -> None:
    """The front page is that of the probes, and there are no pages of workers."""
    app = create_app(Settings(_env_file=None), clock=FakeClock(), store=MemoryStore(), workers=False)
    async with client(app) as http:
        front = await http.get("/")
        assert (await http.get("/status/workers/w")).status_code == 404
    read = Markup(front.text)
    assert read.problems == []
    assert "No probe is configured." in read.text
    assert "status/workers" not in front.text
    assert "sd" not in read.links


async def test_events(exporter: Exporter) -> None:
    """The address of a page is that of its events as well; caches are told to keep them apart."""
    page = await exporter.http.get("/")
    assert page.headers["Vary"] == "Accept"
    exporter.app.state.exporter.live.close()
    events = await exporter.http.get("/", headers={"Accept": "text/event-stream"})
    assert events.status_code == 503


async def test_a_worker_that_is_forgotten_is_gone_from_its_page(exporter: Exporter) -> None:
    """Who views it is told so."""
    await exporter.register(worker_id="w")
    assert (await exporter.http.get("/status/workers/w")).status_code == 200
    await exporter.during(exporter.http.delete("/workers/w"))
    assert exporter.app.state.exporter.monitor.row(WorkerId("w")) is None
    assert (await exporter.http.get("/status/workers/w")).status_code == 404
