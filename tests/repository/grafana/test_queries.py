"""What the dashboards ask of Prometheus: it parses, and names what exists."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest
import yaml

from tests.support.dashboards import GRAFANA, Panel, Query, expressions, load, panels, queries
from tests.support.names import exposed_series, known_series
from tests.support.processes import program
from tests.support.promql import problems, selectors

KNOWN = known_series()
EXPOSED = exposed_series()
JOBS = {
    job["job_name"]
    for job in yaml.safe_load((GRAFANA.parent / "prometheus/prometheus.yml").read_text("utf-8"))[
        "scrape_configs"
    ]
}
EVERY_EXPRESSION = [
    pytest.param(query, id=query.label) for board in load().values() for query in expressions(board)
]
EVERY_PANEL = [
    pytest.param(panel, id=f"{uid}: {panel['title']}")
    for uid, board in load().items()
    for panel in panels(board)
]
EVERY_QUERY = [pytest.param(query, id=query.label) for board in load().values() for query in queries(board)]


@pytest.mark.servers("promtool")
def test_every_expression_parses(tmp_path: Path) -> None:
    """promtool accepts each expression of panels, variables and annotations."""
    asked = [query for board in load().values() for query in expressions(board)]
    rules = [{"record": f"dashboard:{number}", "expr": query.expr} for number, query in enumerate(asked)]
    file = tmp_path / "rules.yml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "dashboards", "rules": rules}]}), "utf-8")
    checked = subprocess.run(
        [program("promtool"), "check", "rules", str(file)], capture_output=True, text=True, check=False
    )
    assert checked.returncode == 0, checked.stderr


@pytest.mark.parametrize("query", EVERY_EXPRESSION)
def test_every_metric_and_label_exists(query: Query) -> None:
    """A panel that asks for what nobody exports or records stays empty and says nothing."""
    found = problems(query.expr, KNOWN)
    # A panel may put series of different labels side by side with `or`; a rule would do so by mistake.
    assert [one for one in found if not ("never match" in one and re.search(r"\bor\b", one))] == []


@pytest.mark.parametrize("query", EVERY_QUERY)
def test_scraped_series_are_selected_by_job(query: Query) -> None:
    """By the chosen one, or one of prometheus.yml: other programs, too, show `process_*` and `up`."""
    allowed = {("=~", "$job"), *(("=", job) for job in JOBS)}
    for selector in selectors(re.sub(r"\[[^\]]*\]", "[5m]", query.expr)):
        if selector.metric in EXPOSED:
            by_job = {(operator, value) for label, operator, value in selector.matchers if label == "job"}
            assert by_job & allowed, selector


@pytest.mark.parametrize("query", EVERY_QUERY)
def test_ranges_follow_the_screen(query: Query) -> None:
    """A range is `$__rate_interval` or all that is shown; what looks further back is recorded."""
    assert set(re.findall(r"\[(.*?)(?::.*?)?\]", query.expr)) <= {"$__rate_interval", "$__range"}


@pytest.mark.parametrize("panel", EVERY_PANEL)
def test_what_is_counted_by_step_is_counted_once(panel: Panel) -> None:
    """A step is longer than the four scrapes that `$__rate_interval` always has, or counts overlap."""
    counts = any("increase(" in target["expr"] for target in panel.get("targets", ()))
    assert panel.get("interval") == ("30s" if counts else None)
