"""The dashboards keep the rules of Grafana's dashboard-linter, but for those waived with a reason."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest

from tests.support.dashboards import DASHBOARDS, Dashboard, load
from tests.support.house_rules import RULES, SOURCE, Waiver, waivers

BOARDS = load()
WAIVERS = waivers(DASHBOARDS / ".lint")


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("uid", BOARDS)
def test_dashboard_keeps_the_rule(uid: str, rule: str) -> None:
    """What it breaks is waived."""
    found = [
        finding
        for finding in RULES[rule](BOARDS[uid])
        if not any(waiver.covers(rule, BOARDS[uid], finding) for waiver in WAIVERS)
    ]
    assert found == []


@pytest.mark.parametrize("waiver", WAIVERS, ids=str)
def test_waiver_has_a_reason_and_something_to_waive(waiver: Waiver) -> None:
    """A waiver that nothing needs would hide what is broken later."""
    assert waiver.reason.endswith(".")
    assert any(
        waiver.covers(waiver.rule, dashboard, finding)
        for dashboard in BOARDS.values()
        for finding in RULES[waiver.rule](dashboard)
    )


def _good() -> Dashboard:
    def variable(name: str, values: str) -> dict[str, Any]:
        return {
            **{"name": name, "label": name.title(), "type": "query", "datasource": SOURCE},
            **{"query": {"query": values}, "refresh": 2, "multi": True, "includeAll": True, "allValue": ".+"},
        }

    source = {"name": "datasource", "label": "Data source", "type": "datasource", "query": "prometheus"}
    expr = 'sum(rate(beats_total{job=~"$job", instance=~"$instance"}[$__rate_interval]))'
    return {
        "uid": "good",
        "title": "Good",
        "editable": False,
        "templating": {
            "list": [
                source,
                variable("job", "label_values(up, job)"),
                variable("instance", 'label_values(up{job=~"$job"}, instance)'),
            ]
        },
        "panels": [
            {
                **{"type": "stat", "title": "Beats", "description": "All of them.", "datasource": SOURCE},
                "fieldConfig": {"defaults": {"unit": "cps"}, "overrides": []},
                "targets": [{"refId": "A", "datasource": SOURCE, "expr": expr}],
            }
        ],
    }


def _variable(which: str, /, **changes: Any) -> Callable[[Dashboard], None]:
    def change(dashboard: Dashboard) -> None:
        (variable,) = (one for one in dashboard["templating"]["list"] if one["name"] == which)
        variable.update(changes)

    return change


def _panel(**changes: Any) -> Callable[[Dashboard], None]:
    return lambda dashboard: dashboard["panels"][0].update(changes)


def _target(**changes: Any) -> Callable[[Dashboard], None]:
    return lambda dashboard: dashboard["panels"][0]["targets"][0].update(changes)


def _expr(expr: str) -> Callable[[Dashboard], None]:
    return _target(expr=expr.replace("{}", '{job=~"$job", instance=~"$instance"}'))


def _unit(defaults: dict[str, str], *overrides: str) -> Callable[[Dashboard], None]:
    changed = [{"properties": [{"id": "unit", "value": unit}]} for unit in overrides]
    return _panel(fieldConfig={"defaults": defaults, "overrides": changed})


BROKEN = [
    ("template-datasource-rule", _variable("datasource", name="source")),
    ("template-datasource-rule", _variable("datasource", label="Source")),
    ("template-datasource-rule", _variable("datasource", query="loki")),
    ("template-job-rule", _variable("job", type="custom")),
    ("template-job-rule", _variable("job", multi=False)),
    ("template-job-rule", _variable("job", allValue=".*")),
    ("template-instance-rule", _variable("instance", label="Exporter")),
    ("template-instance-rule", _variable("instance", datasource={"type": "prometheus", "uid": "mine"})),
    ("template-label-promql-rule", _variable("job", query={"query": "label_values(up{, job)"})),
    ("template-label-promql-rule", _variable("job", query={"query": "label_of(up, job)"})),
    ("template-on-time-change-reload-rule", _variable("instance", refresh=1)),
    ("panel-datasource-rule", _panel(datasource={"type": "prometheus", "uid": "mine"})),
    ("panel-datasource-rule", _target(datasource=None)),
    ("panel-title-description-rule", _panel(title="")),
    ("panel-title-description-rule", _panel(description="")),
    ("panel-units-rule", _unit({})),
    ("panel-units-rule", _unit({"unit": "beats"})),
    ("panel-units-rule", _unit({"unit": "cps"}, "beats")),
    ("panel-no-targets-rule", _panel(targets=[])),
    ("target-promql-rule", _expr("sum(up{}")),
    ("target-rate-interval-rule", _expr("sum(rate(beats_total{}[5m]))")),
    ("target-rate-interval-rule", _expr("sum(irate(beats_total{}[$__interval]))")),
    ("target-counter-agg-rule", _expr("sum(beats_total{})")),
    ("target-counter-agg-rule", _expr("max_over_time(beats_total{}[1h])")),
    ("target-counter-agg-rule", _expr("topk(scalar(beats_total{}), up{})")),
    ("target-job-rule", _target(expr='sum(up{instance=~"$instance"})')),
    ("target-job-rule", _target(expr='max(up{job="job", instance=~"$instance"})')),
    ("target-instance-rule", _target(expr='sum(up{job=~"$job"})')),
    ("uneditable-dashboard", lambda dashboard: dashboard.update(editable=True)),
]


def test_a_good_dashboard_breaks_no_rule() -> None:
    """Nor does one whose panels are in a row that is closed."""
    good = _good()
    folded = {**good, "panels": [{"type": "row", "title": "Row", "panels": good["panels"]}]}
    for dashboard in (good, folded):
        assert [finding for rule in RULES.values() for finding in rule(dashboard)] == []


@pytest.mark.parametrize(("rule", "breaking"), BROKEN)
def test_a_broken_rule_is_found(rule: str, breaking: Callable[[Dashboard], None]) -> None:
    """By that rule and no other."""
    dashboard = copy.deepcopy(_good())
    breaking(dashboard)
    assert {name for name, each in RULES.items() for _ in each(dashboard)} == {rule}


def test_every_rule_has_been_broken() -> None:
    """A rule that finds nothing wrong anywhere would be none."""
    assert {rule for rule, _ in BROKEN} == set(RULES)


@pytest.mark.parametrize(
    ("waiver", "covered"),
    [
        (Waiver("panel-units-rule", "So."), True),
        (Waiver("panel-units-rule", "So.", dashboard="Good", panel="Beats"), True),
        (Waiver("panel-units-rule", "So.", dashboard="Bad"), False),
        (Waiver("panel-units-rule", "So.", panel="Other"), False),
        (Waiver("target-promql-rule", "So."), False),
    ],
)
def test_a_waiver_covers_what_it_names(waiver: Waiver, covered: bool) -> None:
    """Everything, or a dashboard and panel by their titles."""
    dashboard = _good()
    _unit({"unit": "beats"})(dashboard)
    (finding,) = RULES["panel-units-rule"](dashboard)
    assert waiver.covers("panel-units-rule", dashboard, finding) is covered
