"""How HTML comes about."""

from __future__ import annotations

import pytest
from jinja2 import UndefinedError

from exporter.core.model import Wall
from exporter.web import assets, probe_view
from exporter.web.frame import DOCUMENTATION, Condition, Frame, Links, quoted, told_at
from exporter.web.page import Look
from exporter.web.view import ago, exactly, lasting
from tests.exporter.web.rows import T0, probe

NOW = Wall(T0 + 192)
CONDITION = Condition(loading=False, warming_up=False, store_problem="")


def frame(condition: Condition = CONDITION, links: Links = Links(), *, workers: bool = True) -> Frame:  # noqa: B008  # a tuple
    return Frame(lambda: condition, links, assets.read(), workers=workers, now=lambda: NOW)


def notice(frame: Frame, root: str = "", **regions: str) -> str:
    look = Look({"title": "T", "about": "", **regions}, {})
    return frame.document("notice.html", look, root, title="Title", text="Text")


def test_instants_are_told() -> None:
    """In words where somebody reads them, and still exactly; what is told exactly anyway stays."""
    region = frame()
    told = told_at(NOW, {"w1": T0 + 190})
    html = "".join(region.region("time", at(T0)) for at in (ago, lasting, exactly))
    assert told(html + region.region("beat", "w1", True) + region.region("beat", "w1", False)) == (
        '<time data-ago datetime="2023-11-14T22:13:20.000Z" title="2023-11-14 22:13:20 UTC">3 min ago</time>'
        '<time data-for datetime="2023-11-14T22:13:20.000Z" title="2023-11-14 22:13:20 UTC">3 min</time>'
        '<time datetime="2023-11-14T22:13:20.000Z">2023-11-14 22:13:20 UTC</time>'
        '<time data-beat="w1" datetime="2023-11-14T22:16:30.000Z" title="2023-11-14 22:16:30 UTC">'
        "2 s ago</time>"
        '<span class="quiet">never</span>'
    )


def test_the_beat_of_a_worker_with_a_strange_id() -> None:
    """It is found by what its id is once it is escaped."""
    strange = """a"b'c<d>&amp;"""
    told = told_at(NOW, {strange: T0, "other": T0 + 100})(frame().region("beat", strange, True))
    assert told.endswith(">3 min ago</time>")


def test_nobody_can_be_called_an_instant() -> None:
    """What looks like one in a name is text."""
    name = '<time data-beat="w1"></time><time data-ago datetime="2023-11-14T22:13:20.000Z">x</time>'
    html = frame().region("text", name)
    assert told_at(NOW, {"w1": T0})(html) == html
    assert "<" not in html


@pytest.mark.parametrize(
    ("condition", "said"),
    [
        (CONDITION, ["Exporter healthy", "Store healthy"]),
        (CONDITION._replace(store_problem="refused"), ["Exporter degraded", "Store away"]),
        (CONDITION._replace(loading=True), ["Registry loading"]),
        (CONDITION._replace(loading=True, store_problem="refused"), ["Registry loading", "Store away"]),
    ],
)
def test_the_exporter_itself(condition: Condition, said: list[str]) -> None:
    """How it and its store are; not why, for what a store says may name a host."""
    html = frame(condition).region("about", condition)
    assert [part.partition(">")[2].partition("<")[0] for part in html.split("<span ")[1:]] == said
    assert "refused" not in html


def test_links_are_relative() -> None:
    """A page below a path finds its way back, so that it works wherever a proxy puts it."""
    html = notice(frame(), "../../")
    hrefs = [part.partition('"')[0] for part in html.split('href="')[1:]]
    assert [href.partition("?")[0] for href in hrefs] == [
        *("../../static/icon.svg", "../../static/page.css", "#main", "../../", "../../"),
        *("../../status/probes", "../../status/actions", "../../metrics", "../../docs", DOCUMENTATION),
        *("../../workers", "../../transitions", "../../sd", "../../probes", "../../actions", "../../health"),
    ]


def test_the_front_page_does_not_keep_its_query() -> None:
    """An empty link would lead to where one is, filter and all."""
    assert 'href=""' not in notice(frame())
    assert '<a class="brand" href="./">' in notice(frame())


def test_links_elsewhere() -> None:
    """To what is configured, and to nothing else."""
    html = notice(frame(links=Links("https://grafana.example.org", "https://alerts.example.org")))
    assert '<a href="https://grafana.example.org">Grafana</a>' in html
    assert '<a href="https://alerts.example.org">Alertmanager</a>' in html
    assert "Grafana" not in notice(frame())
    assert "Alertmanager" not in notice(frame())


def test_without_workers() -> None:
    """Nothing leads to what is not there."""
    html = notice(frame(workers=False))
    assert ">Workers<" not in html
    assert ">Service discovery<" not in html


def test_equal_lines_are_written_once() -> None:
    """As often as they are looked at."""
    one = frame()
    first = one.line("probe_cells", probe_view.line(probe()), "")
    assert one.line("probe_cells", probe_view.line(probe()), "") is first
    assert one.line("probe_cells", probe_view.line(probe("other")), "") != first


def test_what_is_not_given_is_an_error() -> None:
    """A template that is given too little fails in a test rather than showing nothing."""
    with pytest.raises(UndefinedError):
        frame().document("worker.html", Look({}, {}), "")


def test_quoted() -> None:
    """One step of a path, whatever is in the name."""
    assert quoted("a/b c?d#e%ü\ud800") == "a/b%20c%3Fd%23e%25%C3%BC%3F"
