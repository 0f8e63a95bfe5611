"""The committed dashboards as Grafana's file provisioning takes them: built, addressed, laid out, linked."""

from __future__ import annotations

import itertools
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.dashboards import (
    DASHBOARDS,
    GRAFANA,
    TIMES,
    Dashboard,
    Panel,
    fill,
    load,
    panel_queries,
    panels,
    references,
    strings,
    values,
    variables,
)
from tests.support.names import known_series
from tests.support.promql import labels_of

BOARDS = load()
KNOWN = known_series()
EVERY_DASHBOARD = [pytest.param(dashboard, id=uid) for uid, dashboard in BOARDS.items()]
EVERY_PANEL = [
    pytest.param(dashboard, panel, id=f"{uid}: {panel['title']}")
    for uid, dashboard in BOARDS.items()
    for panel in panels(dashboard)
]
GRAFANAS_OWN = {*TIMES, "__url_time_range", "__from", "__to", "__all"}
LABEL_IN_LINK = re.compile(r"\$\{__(?:field\.labels|data\.fields)\.(\w+):percentencode\}")


def test_source_builds_the_committed_dashboards(tmp_path: Path) -> None:
    """Building the dashboards again gives the committed files, byte for byte, and no other."""
    subprocess.run([sys.executable, "-m", "grafana.source", str(tmp_path)], cwd=GRAFANA.parent, check=True)

    built = {path.name: path.read_text("utf-8") for path in tmp_path.iterdir()}
    committed = {path.name: path.read_text("utf-8") for path in DASHBOARDS.glob("*.json")}
    assert built == committed


def test_dashboards_have_addresses_for_good() -> None:
    """Bookmarks, alerts and links name these uids; each is also the name of its file."""
    assert set(BOARDS) == {
        "heartbeat-fleet",
        "heartbeat-worker",
        "heartbeat-service",
        "heartbeat-probes",
        "heartbeat-exporter",
    }
    assert {path.stem for path in DASHBOARDS.glob("*.json")} == set(BOARDS)
    titles = [dashboard["title"] for dashboard in BOARDS.values()]
    assert len(set(titles)) == len(titles)


@pytest.mark.parametrize("dashboard", EVERY_DASHBOARD)
def test_dashboard_is_classic(dashboard: Dashboard) -> None:
    """File provisioning reads this schema and no newer, and gives out numbers itself."""
    assert dashboard["schemaVersion"] <= 42
    assert "id" not in dashboard
    assert dashboard["description"].endswith(".")
    assert dashboard["graphTooltip"] == 1


@pytest.mark.parametrize("dashboard", EVERY_DASHBOARD)
def test_alerts_are_marked(dashboard: Dashboard) -> None:
    """Every graph shows when alerts of this project fired, from the series that Prometheus keeps of them."""
    marks = [mark for mark in dashboard["annotations"]["list"] if "ALERTS{" in mark["expr"]]
    assert [(mark["enable"], mark["datasource"]) for mark in marks] == [
        (True, {"type": "prometheus", "uid": "${datasource}"})
    ]
    assert 'alertname=~"Heartbeat.+"' in marks[0]["expr"]
    assert 'alertstate="firing"' in marks[0]["expr"]


@pytest.mark.parametrize("dashboard", EVERY_DASHBOARD)
def test_panels_fit_the_grid(dashboard: Dashboard) -> None:
    """Panels have ids of their own, stay within 24 columns, and none covers another."""
    ids = [panel["id"] for panel in dashboard["panels"]]
    assert len(set(ids)) == len(ids)
    for place in (panel["gridPos"] for panel in dashboard["panels"]):
        assert 0 <= place["x"] < place["x"] + place["w"] <= 24
    for one, other in itertools.combinations([panel["gridPos"] for panel in dashboard["panels"]], 2):
        apart_x = one["x"] + one["w"] <= other["x"] or other["x"] + other["w"] <= one["x"]
        apart_y = one["y"] + one["h"] <= other["y"] or other["y"] + other["h"] <= one["y"]
        assert apart_x or apart_y, (one, other)


@pytest.mark.parametrize(("dashboard", "panel"), EVERY_PANEL)
def test_queries_of_a_panel_are_told_apart(dashboard: Dashboard, panel: Panel) -> None:
    """By their letters, which overrides and transformations name."""
    refs = [target["refId"] for target in panel.get("targets", ())]
    assert len(set(refs)) == len(refs)


@pytest.mark.parametrize(("dashboard", "panel"), EVERY_PANEL)
def test_colours_of_cells_are_seen(dashboard: Dashboard, panel: Panel) -> None:
    """A table shows the colour of a column only where it is told how."""
    for override in panel["fieldConfig"]["overrides"]:
        properties = {each["id"] for each in override["properties"]}
        if panel["type"] == "table" and properties & {"color", "mappings"}:
            assert "custom.cellOptions" in properties, override


@pytest.mark.parametrize("dashboard", EVERY_DASHBOARD)
def test_titles_of_panels_are_its_own(dashboard: Dashboard) -> None:
    """A panel is found, and spoken of, by its title."""
    titles = [panel["title"] for panel in panels(dashboard)]
    assert sorted(titles) == sorted(set(titles))


# Variables


@pytest.mark.parametrize("dashboard", EVERY_DASHBOARD)
def test_every_variable_that_is_named_is_there(dashboard: Dashboard) -> None:
    """Queries, titles, links and other variables name those of their dashboard, or Grafana's own."""
    named = {name for _, text in strings(dashboard) for name in references(LABEL_IN_LINK.sub("", text))}
    assert named - GRAFANAS_OWN <= set(variables(dashboard))


@pytest.mark.parametrize("dashboard", EVERY_DASHBOARD)
def test_variables_are_filled_in_order(dashboard: Dashboard) -> None:
    """Those for the exporter first; each asks only about those before it, and says what it is for."""
    assert [*variables(dashboard)][:3] == ["datasource", "job", "instance"]
    before = set(GRAFANAS_OWN)
    for name, variable in variables(dashboard).items():
        assert variable["label"]
        assert variable["description"].endswith(".")
        if variable["type"] == "query":
            assert references(variable["query"]["query"]) <= before
            assert variable["definition"] == variable["query"]["query"]
            # What is computed is text, of which a pattern takes the value.
            assert values(variable).label or variable["regex"]
        before.add(name)


# Links


def links(dashboard: Dashboard) -> Iterator[str]:
    """Those of panels."""
    for key, text in strings(dashboard["panels"]):
        if key == "url" and text:
            yield text


@pytest.mark.parametrize("dashboard", EVERY_DASHBOARD)
def test_every_link_leads_somewhere(dashboard: Dashboard) -> None:
    """To a dashboard that exists, naming variables that it has, or to a document of this project."""
    for url in links(dashboard):
        found = re.match(r"/d/([\w-]+)(?:/[\w-]+)?\?", url)
        if found is None:
            document = re.match(
                r"https://github\.com/heartbeat-exporter/heartbeat-exporter/blob/main/(.+)", url
            )
            assert document, url
            assert (GRAFANA.parent / document[1].partition("#")[0]).is_file(), url
            continue
        assert found[1] in BOARDS, url
        there = variables(BOARDS[found[1]])
        set_there = {*re.findall(r"[?&]var-(\w+)=", url), *re.findall(r"\$\{(\w+):queryparam\}", url)}
        assert set_there <= set(there), url
        assert "datasource" in set_there, url
        assert "${__url_time_range}" in url
        # A name with a `#` would end the address, and one with a `+` be another.
        assert "${__" not in LABEL_IN_LINK.sub("", url).replace("${__url_time_range}", ""), url


@pytest.mark.parametrize("dashboard", EVERY_DASHBOARD)
def test_every_link_at_the_top_leads_somewhere(dashboard: Dashboard) -> None:
    """To a dashboard that exists, and takes all that is chosen along."""
    for link in dashboard["links"]:
        if link["type"] == "link":
            assert link["url"].removeprefix("/d/") in BOARDS
            assert (link["includeVars"], link["keepTime"]) == (True, True)


@pytest.mark.parametrize(("dashboard", "panel"), EVERY_PANEL)
def test_links_and_legends_name_labels_that_are_there(dashboard: Dashboard, panel: Panel) -> None:
    """A label that no series of the panel has would be an empty name, or a link to nothing."""
    times = {**dict.fromkeys(variables(dashboard), "x"), **TIMES}
    shown: set[str] = set()
    for target, query in zip(panel.get("targets", ()), panel_queries(dashboard, panel), strict=True):
        labels = labels_of(fill(query.expr, times), KNOWN) or frozenset()
        assert set(re.findall(r"\{\{ *(\w+) *\}\}", target.get("legendFormat", ""))) <= labels, query
        shown |= labels
    shown |= {renamed for label, renamed in _renamed(panel) if label in shown}
    named = {label for _, text in strings(panel) for label in LABEL_IN_LINK.findall(text)}
    assert named <= shown


def _renamed(panel: Panel) -> Iterator[tuple[str, str]]:
    """The columns of a table that have another name than their label."""
    for transformation in panel.get("transformations", ()):
        yield from transformation["options"].get("renameByName", {}).items()


@pytest.mark.parametrize("dashboard", EVERY_DASHBOARD)
def test_dashboards_are_reached_from_each_other(dashboard: Dashboard) -> None:
    """A menu of all that have the tag, which keeps the time and what is chosen."""
    assert "heartbeat" in dashboard["tags"]
    (menu,) = (link for link in dashboard["links"] if link["type"] == "dashboards")
    assert (menu["tags"], menu["includeVars"], menu["keepTime"]) == (["heartbeat"], True, True)
