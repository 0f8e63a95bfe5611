"""The shipped Grafana files: built from their source, house rules, PromQL over made-up fleets."""

from __future__ import annotations

import itertools
import math
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.dashboards import DASHBOARDS, GRAFANA, expressions, load, panels
from tests.support.processes import program

ROOT = GRAFANA.parent
SOURCES = yaml.safe_load((GRAFANA / "provisioning/datasources/heartbeat.yaml").read_text("utf-8"))[
    "datasources"
]
PROMETHEUS = next(source for source in SOURCES if source["type"] == "prometheus")
ALERTMANAGER = next(source for source in SOURCES if source["type"] == "alertmanager")

EVERY_PANEL = [
    pytest.param(panel, id=f"{name}: {panel['title']}")
    for name, dashboard in load().items()
    for panel in panels(dashboard)
]
EVERY_DASHBOARD = [pytest.param(dashboard, id=name) for name, dashboard in load().items()]


def test_source_builds_the_committed_dashboards(tmp_path: Path) -> None:
    """Building the dashboards again gives the committed files, byte for byte, and no other."""
    subprocess.run([sys.executable, "-m", "grafana.source", str(tmp_path)], cwd=ROOT, check=True)

    built = {path.name: path.read_text("utf-8") for path in tmp_path.iterdir()}
    committed = {path.name: path.read_text("utf-8") for path in DASHBOARDS.glob("*.json")}
    assert built == committed


@pytest.mark.parametrize("dashboard", EVERY_DASHBOARD)
def test_dashboard_is_classic_and_provisioned_only(dashboard: dict[str, Any]) -> None:
    """File provisioning reads it, its address is its own, and nobody edits it in the browser."""
    assert dashboard["schemaVersion"] <= 42
    assert "id" not in dashboard
    assert re.fullmatch(r"heartbeat-[a-z-]{1,30}", dashboard["uid"])
    assert dashboard["editable"] is False
    assert "heartbeat" in dashboard["tags"]
    assert dashboard["description"]
    assert dashboard["links"]


def test_dashboards_do_not_collide() -> None:
    """No two dashboards share a uid or, within their one folder, a title."""
    for key in ("uid", "title"):
        values = [dashboard[key] for dashboard in load().values()]
        assert len(set(values)) == len(values)


@pytest.mark.parametrize("dashboard", EVERY_DASHBOARD)
def test_variables_follow_the_house_style(dashboard: dict[str, Any]) -> None:
    """One data source variable that starts at the provisioned one; choices that follow the time range."""
    source, *others = dashboard["templating"]["list"]
    assert (source["name"], source["type"], source["label"]) == ("datasource", "datasource", "Data Source")
    assert source["query"] == "prometheus"
    assert source["current"]["value"] == PROMETHEUS["uid"]
    assert source["current"]["text"] == PROMETHEUS["name"]
    for variable in others:
        assert variable["label"]
        assert variable["refresh"] == 2
        assert variable["allValue"] == ".+"
        assert variable["multi"]
        assert variable["datasource"] == {"type": "prometheus", "uid": "${datasource}"}


@pytest.mark.parametrize("dashboard", EVERY_DASHBOARD)
def test_panels_fit_the_grid(dashboard: dict[str, Any]) -> None:
    """Panels have ids of their own, stay within 24 columns, and none covers another."""
    ids = [panel["id"] for panel in panels(dashboard)]
    assert len(set(ids)) == len(ids)
    for place in (panel["gridPos"] for panel in dashboard["panels"]):
        assert 0 <= place["x"] < place["x"] + place["w"] <= 24
    for one, other in itertools.combinations([panel["gridPos"] for panel in dashboard["panels"]], 2):
        apart_x = one["x"] + one["w"] <= other["x"] or other["x"] + other["w"] <= one["x"]
        apart_y = one["y"] + one["h"] <= other["y"] or other["y"] + other["h"] <= one["y"]
        assert apart_x or apart_y, (one, other)


@pytest.mark.parametrize("panel", EVERY_PANEL)
def test_panel_follows_the_house_style(panel: dict[str, Any]) -> None:
    """Title, description, unit, queries, and the chosen data source in the panel and each query."""
    assert panel["title"]
    assert panel["description"].endswith(".")
    assert panel["fieldConfig"]["defaults"]["unit"]
    assert panel["targets"]
    refs = [target["refId"] for target in panel["targets"]]
    assert len(set(refs)) == len(refs)
    for asked in (panel, *panel["targets"]):
        assert asked["datasource"] == {"type": "prometheus", "uid": "${datasource}"}


@pytest.mark.parametrize("panel", EVERY_PANEL)
def test_ranges_follow_the_step(panel: dict[str, Any]) -> None:
    """Each range is `$__rate_interval`: never shorter than four scrapes, never longer than a step needs."""
    for target in panel["targets"]:
        assert set(re.findall(r"\[(.*?)\]", target["expr"])) <= {"$__rate_interval"}


def test_data_sources_keep_their_uids() -> None:
    """Dashboards, links and users' own dashboards name these uids; Alertmanager is tied to Prometheus."""
    assert PROMETHEUS["uid"] == "heartbeat-prometheus"
    assert ALERTMANAGER["uid"] == "heartbeat-alertmanager"
    assert PROMETHEUS["isDefault"] is True
    assert PROMETHEUS["jsonData"]["alertmanagerUid"] == ALERTMANAGER["uid"]
    assert not any(source["editable"] for source in SOURCES)


def test_rate_interval_derives_from_the_scrape_interval() -> None:
    """The data source's interval is the one at which the shipped Prometheus scrapes."""
    config = yaml.safe_load((ROOT / "prometheus/prometheus.yml").read_text("utf-8"))
    assert PROMETHEUS["jsonData"]["timeInterval"] == config["global"]["scrape_interval"]


def test_lint_exclusions_have_reasons() -> None:
    """Only the rules on `job` and `instance` are left out, each with its reason."""
    exclusions = yaml.safe_load((DASHBOARDS / ".lint").read_text("utf-8"))["exclusions"]
    assert set(exclusions) == {
        "template-job-rule",
        "template-instance-rule",
        "target-job-rule",
        "target-instance-rule",
    }
    assert all(exclusion["reason"] for exclusion in exclusions.values())


@pytest.mark.servers("promtool")
def test_every_expression_parses(tmp_path: Path) -> None:
    """promtool accepts each expression of panels, variables and annotations."""
    rules = [{"record": f"dashboard:{n}", "expr": asked.expr} for n, asked in enumerate(expressions())]
    file = tmp_path / "rules.yml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "dashboards", "rules": rules}]}), "utf-8")
    checked = subprocess.run(
        [program("promtool"), "check", "rules", str(file)], capture_output=True, text=True, check=False
    )
    assert checked.returncode == 0, checked.stderr


GRAIN = 2.0**-20

# Three groups, five workers. web: one up, one down since 40 by timeout, one stopped at 50. db: one up, one
# pending. old: scaled to nothing, so it has no share.
W = '{{job="heartbeat", instance="exporter:8000", worker_id="{0}", worker="{0}", group="{1}"{2}}}'
G = '{{job="heartbeat", instance="exporter:8000", group="{0}"{1}}}'
SMALL_FLEET = {
    'heartbeat_build_info{job="heartbeat", instance="exporter:8000", version="1.0"}': 1,
    "heartbeat_worker_up" + W.format("a", "web", ""): 1,
    "heartbeat_worker_up" + W.format("b", "web", ""): 0,
    "heartbeat_worker_up" + W.format("c", "web", ""): 0,
    "heartbeat_worker_up" + W.format("d", "db", ""): 1,
    "heartbeat_worker_up" + W.format("e", "db", ""): 0,
    "heartbeat_worker_down_reason" + W.format("b", "web", ', reason="timeout"'): 1,
    "heartbeat_worker_down_reason" + W.format("c", "web", ', reason="shutdown"'): 1,
    "heartbeat_worker_status_since_timestamp_seconds" + W.format("a", "web", ""): 10,
    "heartbeat_worker_status_since_timestamp_seconds" + W.format("b", "web", ""): 40,
    "heartbeat_worker_status_since_timestamp_seconds" + W.format("c", "web", ""): 50,
    "heartbeat_worker_status_since_timestamp_seconds" + W.format("d", "db", ""): 20,
    "heartbeat_worker_status_since_timestamp_seconds" + W.format("e", "db", ""): 60,
    "heartbeat_workers" + G.format("web", ', status="alive"'): 1,
    "heartbeat_workers" + G.format("web", ', status="not_responding"'): 1,
    "heartbeat_workers" + G.format("web", ', status="disconnected"'): 1,
    "heartbeat_workers" + G.format("db", ', status="alive"'): 1,
    "heartbeat_workers" + G.format("db", ', status="connected"'): 1,
    "heartbeat_workers" + G.format("old", ', status="alive"'): 0,
    "heartbeat_status_changes_total" + G.format("web", ', from="alive", reason="timeout"'): "0+1x40",
    "heartbeat_status_changes_total" + G.format("db", ', from="alive", reason="timeout"'): "0+1x40",
    "heartbeat_status_changes_total" + G.format("web", ', from="alive", reason="shutdown"'): 7,
    "heartbeat_latency_seconds_bucket" + G.format("web", ', le="0.1"'): "0+90x40",
    "heartbeat_latency_seconds_bucket" + G.format("web", ', le="0.2"'): "0+100x40",
    "heartbeat_latency_seconds_bucket" + G.format("web", ', le="+Inf"'): "0+100x40",
    "heartbeat_arrival_interval_seconds_bucket" + G.format("web", ', le="5"'): "0+10x40",
    "heartbeat_arrival_interval_seconds_bucket" + G.format("web", ', le="+Inf"'): "0+10x40",
    "heartbeat_heartbeats_total" + G.format("web", ""): "0+10x40",
    "heartbeat_late_heartbeats_total" + G.format("web", ""): "0+1x40",
    "heartbeat_detection_delay_seconds_bucket" + G.format("web", ', le="0.1"'): "0+10x40",
    "heartbeat_detection_delay_seconds_bucket" + G.format("web", ', le="+Inf"'): "0+10x40",
    "heartbeat_registrations_total" + G.format("web", ', kind="new"'): "0+2x40",
    "heartbeat_identity_conflicts_total" + G.format("web", ""): 0,
    "heartbeat_worker_restarts_total" + W.format("a", "web", ""): "0+1x40",
    'group:heartbeat_availability:ratio_rate30d{group="web"}': 0.98,
    'group:heartbeat_availability:ratio_rate30d{group="db"}': 0.995,
    "fleet:heartbeat_availability_objective:ratio": 0.99,
    'ALERTS{alertname="HeartbeatWorkerDown", alertstate="firing", severity="warning", '
    'group="web", worker="b", worker_id="b", reason="timeout"}': 1,
    'ALERTS_FOR_STATE{alertname="HeartbeatWorkerDown", severity="warning", '
    'group="web", worker="b", worker_id="b", reason="timeout"}': 45,
    'ALERTS{alertname="HeartbeatStoreDown", alertstate="pending", severity="critical"}': 1,
    'ALERTS_FOR_STATE{alertname="HeartbeatStoreDown", severity="critical"}': 99,
    'ALERTS{alertname="HeartbeatExporterRestarting", alertstate="firing", severity="critical"}': 1,
    'ALERTS_FOR_STATE{alertname="HeartbeatExporterRestarting", severity="critical"}': 30,
    'ALERTS{alertname="Watchdog", alertstate="firing", severity="none"}': 1,
}

SMALL_ANSWERS: dict[str, list[dict[str, float]]] = {
    "Workers by status": [
        {
            '{status="alive"}': 2,
            '{status="connected"}': 1,
            '{status="disconnected"}': 1,
            '{status="not_responding"}': 1,
        }
    ],
    "Share of workers up": [{"{}": 0.4}],
    "Lowest availability": [{'{group="web"}': 0.98}],
    "Firing alerts": [{'{severity="critical"}': 1, '{severity="warning"}': 1}],
    "Workers by status over time": [
        {
            '{status="alive"}': 2,
            '{status="connected"}': 1,
            '{status="disconnected"}': 1,
            '{status="not_responding"}': 1,
        }
    ],
    # Two groups count one change each in 5 s, hence eight in the 20 s of the range.
    "Status changes by reason": [{'{reason="timeout"}': 8}],
    "Workers, the worst first": [
        {
            '{worker_id="b", worker="b", group="web", at_end="1"}': 1,
            '{worker_id="c", worker="c", group="web", at_end="4"}': 4,
            '{worker_id="e", worker="e", group="db", at_end="5"}': 5,
            '{worker_id="d", worker="d", group="db", at_end="6"}': 6,
            '{worker_id="a", worker="a", group="web", at_end="6"}': 6,
        }
    ],
    "Firing alerts and since when": [
        {
            '{severity="critical", alertname="HeartbeatExporterRestarting"}': 30_000,
            '{severity="warning", alertname="HeartbeatWorkerDown", '
            'group="web", worker="b", worker_id="b", reason="timeout"}': 45_000,
        }
    ],
    "Share of workers up, by group": [{'{group="web"}': 1 / 3, '{group="db"}': 0.5}],
    "Availability over 30 days, by group": [
        {
            '{group="web"}': 0.98,
            '{group="db"}': 0.995,
        }
    ],
    "Error budget left, by group": [{'{group="web"}': -1, '{group="db"}': 0.5}],
    "Latencies of heartbeats": [{'{le="0.1"}': 360, '{le="0.2"}': 400, '{le="+Inf"}': 400}],
    "Intervals between heartbeats": [{'{le="5"}': 40, '{le="+Inf"}': 40}],
    "Latency of most heartbeats": [{"{}": 0.1 * 50 / 90}, {"{}": 0.15}, {"{}": 0.19}],
    "Share of heartbeats on time": [{"{}": 0.9}],
    "Detection delay": [{"{}": 0.05}, {"{}": 0.095}, {"{}": 0.099}],
    "Registrations": [{'{kind="new"}': 8}, {"{}": 0}],
    "Restarts": [{"{}": 4}],
    "variable job": [{'{job="heartbeat"}': 1}],
    "variable instance": [{'{instance="exporter:8000"}': 1}],
    "variable group": [{'{group="web"}': 3, '{group="db"}': 2, '{group="old"}': 1}],
    "annotation Firing alerts": [
        {
            '{alertname="HeartbeatWorkerDown", group="web"}': 1,
            '{alertname="HeartbeatExporterRestarting"}': 1,
        }
    ],
}


@pytest.mark.servers("promtool")
def test_expressions_answer_for_a_small_fleet(tmp_path: Path) -> None:
    """Each panel, variable and annotation shows a fleet of five workers as it is, without `instance`."""
    answers = [(place, answer) for place, answers in SMALL_ANSWERS.items() for answer in answers]
    asked = expressions()
    assert [expression.place for expression in asked] == [place for place, _ in answers]

    evaluate(
        tmp_path,
        SMALL_FLEET,
        {expression.expr: answer for expression, (_, answer) in zip(asked, answers, strict=True)},
    )


def large_fleet() -> dict[str, float | str]:
    """800 workers in 100 groups, all down, each with an alert of its own and one for its group."""
    fleet: dict[str, float | str] = {
        'heartbeat_build_info{job="h", instance="e"}': 1,
        "fleet:heartbeat_availability_objective:ratio": 0.99,
    }
    for number in range(800):
        group = f"g{number % 100}"
        fleet["heartbeat_worker_up" + W.format(f"w{number}", group, "")] = 0
        fleet["heartbeat_worker_down_reason" + W.format(f"w{number}", group, ', reason="timeout"')] = 1
        since = "heartbeat_worker_status_since_timestamp_seconds" + W.format(f"w{number}", group, "")
        fleet[since] = number
        fleet["heartbeat_worker_restarts_total" + W.format(f"w{number}", group, "")] = "0+1x40"
        alert = f'alertname="HeartbeatWorkerDown", severity="warning", group="{group}", worker="w{number}"'
        fleet[f'ALERTS{{{alert}, alertstate="firing"}}'] = 1
        fleet[f"ALERTS_FOR_STATE{{{alert}}}"] = number
    for group in (f"g{number}" for number in range(100)):
        shown = f'job="h", instance="e", group="{group}"'
        for status in ("registered", "connected", "alive", "disconnected", "not_responding"):
            fleet[f'heartbeat_workers{{{shown}, status="{status}"}}'] = 4
        for reason in ("timeout", "shutdown", "connection_lost", "never_connected"):
            change = f'{shown}, from="alive", to="not_responding", reason="{reason}"'
            fleet[f"heartbeat_status_changes_total{{{change}}}"] = "0+1x40"
        names = ("latency", "arrival_interval", "detection_delay")
        for name, bucket in itertools.product(names, ("0.1", "+Inf")):
            fleet[f'heartbeat_{name}_seconds_bucket{{{shown}, le="{bucket}"}}'] = "0+1x40"
        for name in ("heartbeats", "late_heartbeats", "identity_conflicts"):
            fleet[f"heartbeat_{name}_total{{{shown}}}"] = "0+1x40"
        fleet[f'heartbeat_registrations_total{{{shown}, kind="new"}}'] = "0+1x40"
        fleet[f'group:heartbeat_availability:ratio_rate30d{{group="{group}"}}'] = 0.5
        alert = f'alertname="HeartbeatGroupDegraded", severity="critical", group="{group}"'
        fleet[f'ALERTS{{{alert}, alertstate="firing"}}'] = 1
        fleet[f"ALERTS_FOR_STATE{{{alert}}}"] = 1
    return fleet


@pytest.mark.servers("promtool")
def test_no_expression_returns_the_whole_fleet(tmp_path: Path) -> None:
    """With every worker down, each query still answers with at most 200 series."""
    questions = {f"count({expression.expr}) <= bool 200": {"{}": 1.0} for expression in expressions()}
    evaluate(tmp_path, large_fleet(), questions)


def evaluate(directory: Path, series: dict[str, float | str], questions: dict[str, dict[str, float]]) -> None:
    """Put `series` (every 5 s) into promtool; AssertionError unless each question has its answer at 100 s.

    promtool compares exactly, and divisions seldom are: both sides are rounded to `GRAIN`.
    """
    test = {
        "interval": "5s",
        "input_series": [
            {"series": name, "values": values if isinstance(values, str) else f"{values}x40"}
            for name, values in series.items()
        ],
        "promql_expr_test": [
            {
                "expr": f"round({expr}, {GRAIN!r})",
                "eval_time": "100s",
                "exp_samples": [
                    {"labels": labels, "value": math.floor(value / GRAIN + 0.5) * GRAIN}
                    for labels, value in answer.items()
                ],
            }
            for expr, answer in questions.items()
        ],
    }
    file = directory / "fleet.yml"
    # promtool loads samples up to the last evaluation only, which is every minute unless it is told.
    whole = {"rule_files": [], "evaluation_interval": "5s", "tests": [test]}
    file.write_text(yaml.safe_dump(whole, width=1000), "utf-8")
    tested = subprocess.run(
        [program("promtool"), "test", "rules", str(file)], capture_output=True, text=True, check=False
    )
    assert tested.returncode == 0, tested.stdout + tested.stderr
