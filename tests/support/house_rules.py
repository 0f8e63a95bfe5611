"""The rules of Grafana's dashboard-linter, by the names that it has for them.

They are held here for every kind of panel; the linter looks at some kinds only. Left out are its two
rules about LogQL. Which are waived, and why, is in grafana/dashboards/.lint, which the linter reads too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any, NamedTuple

import promql_parser as promql
import yaml
from grafana_foundation_sdk.models import units

from .dashboards import TIMES, Dashboard, Panel, fill, panels, values, variables
from .promql import OPERATORS, nodes

SOURCE = {"type": "prometheus", "uid": "${datasource}"}
UNITS = frozenset(unit for name, unit in vars(units).items() if not name.startswith("_"))

RATE_INTERVAL = timedelta(seconds=7919)
"""What stands for `$__rate_interval`: nobody writes it by hand."""

RATES = ("rate", "irate")
COUNTER_FUNCTIONS = (*RATES, "increase")
WITHOUT_DATA = ("text",)


class Finding(NamedTuple):
    """One place where a rule is broken."""

    text: str
    panel: str = ""
    target: int | None = None


Rule = Callable[[Dashboard], Iterator[Finding]]


class Waiver(NamedTuple):
    """Where a rule does not hold; what is empty stands for all."""

    rule: str
    reason: str
    dashboard: str = ""
    panel: str = ""
    target: str = ""

    def covers(self, rule: str, dashboard: Dashboard, finding: Finding) -> bool:
        return (
            self.rule == rule
            and self.dashboard in ("", dashboard["title"])
            and self.panel in ("", finding.panel)
            and self.target in ("", str(finding.target))
        )


def waivers(file: Path) -> list[Waiver]:
    """Those in a file of the linter. An entry without a reason has that of its rule."""
    found = []
    for rule, exclusion in yaml.safe_load(file.read_text("utf-8"))["exclusions"].items():
        for entry in exclusion.get("entries") or [{}]:
            reason = entry.get("reason") or exclusion.get("reason", "")
            places = (entry.get("dashboard", ""), entry.get("panel", ""), str(entry.get("targetIdx", "")))
            found.append(Waiver(rule, reason, *places))
    return found


# Variables


def template_datasource(dashboard: Dashboard) -> Iterator[Finding]:
    sources = [one for one in variables(dashboard).values() if one["type"] == "datasource"]
    named = [(one["name"], one["label"], one["query"]) for one in sources]
    if named != [("datasource", "Data source", "prometheus")]:
        yield Finding(f"not one Prometheus 'datasource' labelled 'Data source': {named}")


def template_label_promql(dashboard: Dashboard) -> Iterator[Finding]:
    for name, variable in _query_variables(dashboard).items():
        try:
            promql.parse(fill(values(variable).promql, {**dict.fromkeys(_names(dashboard), "x"), **TIMES}))
        except (AssertionError, ValueError) as error:
            yield Finding(f"{name}: {error}")


def template_on_time_change_reload(dashboard: Dashboard) -> Iterator[Finding]:
    for name, variable in _query_variables(dashboard).items():
        if variable["refresh"] != 2:
            yield Finding(f"{name} is not asked anew when the time range changes")


def template_for(name: str) -> Rule:
    def rule(dashboard: Dashboard) -> Iterator[Finding]:
        variable = variables(dashboard).get(name)
        if variable is None:
            yield Finding(f"no variable {name}")
            return
        wanted = {
            "type": "query",
            "datasource": SOURCE,
            "label": name.title(),
            "multi": True,
            "allValue": ".+",
        }
        if wrong := {key: variable.get(key) for key, value in wanted.items() if variable.get(key) != value}:
            yield Finding(f"{name} has {wrong}")

    return rule


# Panels


def panel_datasource(dashboard: Dashboard) -> Iterator[Finding]:
    for panel in _showing(dashboard):
        if panel.get("datasource") != SOURCE:
            yield Finding(f"asks {panel.get('datasource')}", panel["title"])
        for index, target in enumerate(panel.get("targets", ())):
            if target.get("datasource") != SOURCE:
                yield Finding(f"asks {target.get('datasource')}", panel["title"], index)


def panel_title_description(dashboard: Dashboard) -> Iterator[Finding]:
    for panel in panels(dashboard):
        if not panel.get("title") or not panel.get("description", "").endswith("."):
            yield Finding("no title, or no sentence that describes it", panel.get("title", ""))


def panel_units(dashboard: Dashboard) -> Iterator[Finding]:
    for panel in _showing(dashboard):
        config = panel["fieldConfig"]
        named = [
            config["defaults"].get("unit"),
            *(
                each["value"]
                for override in config["overrides"]
                for each in override["properties"]
                if each["id"] == "unit"
            ),
        ]
        if wrong := [unit for unit in named if unit not in UNITS]:
            yield Finding(f"no units of Grafana's: {wrong}", panel["title"])


def panel_no_targets(dashboard: Dashboard) -> Iterator[Finding]:
    for panel in _showing(dashboard):
        if not panel.get("targets"):
            yield Finding("asks for nothing", panel["title"])


# Targets


def target_promql(dashboard: Dashboard) -> Iterator[Finding]:
    for panel, index, expr in _targets(dashboard):
        try:
            promql.parse(expr)
        except ValueError as error:
            yield Finding(f"{error}: {expr}", panel["title"], index)


def target_rate_interval(dashboard: Dashboard) -> Iterator[Finding]:
    for panel, index, expr in _parsed(dashboard):
        for node, parents in nodes(expr):
            called = parents and isinstance(parents[-1], promql.Call) and parents[-1].func.name in RATES
            if isinstance(node, promql.MatrixSelector) and called and node.range != RATE_INTERVAL:
                yield Finding(f"not over $__rate_interval: {parents[-1].prettify()}", panel["title"], index)


def target_counter_agg(dashboard: Dashboard) -> Iterator[Finding]:
    for panel, index, expr in _parsed(dashboard):
        for node, parents in nodes(expr):
            if not isinstance(node, promql.VectorSelector) or not (node.name or "").endswith("_total"):
                continue
            match parents[-2:]:
                case [promql.Call() as call, promql.MatrixSelector()] if call.func.name in COUNTER_FUNCTIONS:
                    pass
                case _:
                    yield Finding(f"a counter as it stands: {node.prettify()}", panel["title"], index)


def target_matches(label: str) -> Rule:
    def rule(dashboard: Dashboard) -> Iterator[Finding]:
        for panel, index, expr in _parsed(dashboard):
            for node, _ in nodes(expr):
                if isinstance(node, promql.VectorSelector) and not _matched(node, label):
                    yield Finding(f"not by {label}: {node.prettify()}", panel["title"], index)

    return rule


def uneditable(dashboard: Dashboard) -> Iterator[Finding]:
    if dashboard["editable"] is not False:
        yield Finding("can be edited in the browser")


RULES: Mapping[str, Rule] = {
    "template-datasource-rule": template_datasource,
    "template-job-rule": template_for("job"),
    "template-instance-rule": template_for("instance"),
    "template-label-promql-rule": template_label_promql,
    "template-on-time-change-reload-rule": template_on_time_change_reload,
    "panel-datasource-rule": panel_datasource,
    "panel-title-description-rule": panel_title_description,
    "panel-units-rule": panel_units,
    "panel-no-targets-rule": panel_no_targets,
    "target-promql-rule": target_promql,
    "target-rate-interval-rule": target_rate_interval,
    "target-job-rule": target_matches("job"),
    "target-instance-rule": target_matches("instance"),
    "target-counter-agg-rule": target_counter_agg,
    "uneditable-dashboard": uneditable,
}


def _matched(selector: promql.VectorSelector, label: str) -> bool:
    return any(
        (one.name, OPERATORS[str(one.op)]) == (label, "=~") and one.value in (f"${label}", f"${{{label}}}")
        for one in selector.matchers.matchers
    )


def _query_variables(dashboard: Dashboard) -> dict[str, dict[str, Any]]:
    return {name: one for name, one in variables(dashboard).items() if one["type"] == "query"}


def _names(dashboard: Dashboard) -> list[str]:
    return list(variables(dashboard))


def _showing(dashboard: Dashboard) -> Iterator[Panel]:
    return (panel for panel in panels(dashboard) if panel["type"] not in WITHOUT_DATA)


def _targets(dashboard: Dashboard) -> Iterator[tuple[Panel, int, str]]:
    """Each with times filled in, so that it parses, and the other variables as they are, in strings."""
    kept = {name: f"${name}" for name in _names(dashboard)}
    times = {**TIMES, "__rate_interval": f"{RATE_INTERVAL.seconds}s"}
    for panel in _showing(dashboard):
        for index, target in enumerate(panel.get("targets", ())):
            yield panel, index, fill(target["expr"], {**kept, **times})


def _parsed(dashboard: Dashboard) -> Iterator[tuple[Panel, int, promql.Expr]]:
    for panel, index, expr in _targets(dashboard):
        try:
            yield panel, index, promql.parse(expr)
        except ValueError:
            continue  # of another rule
