"""The committed Grafana dashboards, read as data: panels, queries, variables, links."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

GRAFANA = Path(__file__).parents[2] / "grafana"
DASHBOARDS = GRAFANA / "dashboards"

Dashboard: TypeAlias = dict[str, Any]
"""As the JSON has it."""

Panel: TypeAlias = dict[str, Any]

TIMES: Mapping[str, str] = {
    "__rate_interval": "20s",
    "__interval": "15s",
    "__interval_ms": "15000",
    "__range": "1h",
    "__range_s": "3600",
    "__range_ms": "3600000",
}
"""What Grafana puts in for the shipped data source and a screen's width of an hour."""

ONE: Mapping[str, str] = {"worker_id": "w1", "address": ".+", "probe": "p1", "action": "a1"}
"""What is chosen of a variable that has one value at a time."""

_REFERENCE = re.compile(r"\$(?:(\w+)|\{(\w+)(?::\w+)?\})")
_LABEL_VALUES = re.compile(r"label_values\((?:(?P<selector>.+), *)?(?P<label>\w+)\)", re.DOTALL)
_QUERY_RESULT = re.compile(r"query_result\((?P<expr>.+)\)", re.DOTALL)


class Query(NamedTuple):
    """One PromQL expression of a dashboard."""

    dashboard: str
    """The uid."""

    place: str
    """The panel's title, `variable NAME` or `annotation NAME`."""

    ref: str
    """Which of the panel's queries; a panel that has one calls it A."""

    expr: str
    """As it is written, or with variables filled in."""

    instant: bool = False
    """Whether it is asked at the end of the time range only."""

    @property
    def label(self) -> str:
        return f"{self.dashboard}: {self.place} {self.ref}".rstrip()


class Values(NamedTuple):
    """What a variable asks for: `label_values(selector, label)`, or `query_result(expr)` with no label."""

    expr: str
    label: str = ""

    @property
    def promql(self) -> str:
        """An expression with one series for each value."""
        return f"count by ({self.label}) ({self.expr})" if self.label else self.expr


def load() -> dict[str, Dashboard]:
    """Every committed dashboard by uid."""
    read = (json.loads(path.read_text("utf-8")) for path in sorted(DASHBOARDS.glob("*.json")))
    return {dashboard["uid"]: dashboard for dashboard in read}


def panels(dashboard: Dashboard) -> Iterator[Panel]:
    """All but rows; those inside collapsed rows among them."""
    for panel in dashboard["panels"]:
        if panel["type"] == "row":
            yield from panel.get("panels", ())
        else:
            yield panel


def variables(dashboard: Dashboard) -> dict[str, dict[str, Any]]:
    """By name, in the order in which they are filled."""
    return {variable["name"]: variable for variable in dashboard["templating"]["list"]}


def panel_queries(dashboard: Dashboard, panel: Panel) -> Iterator[Query]:
    for target in panel.get("targets", ()):
        instant = target.get("instant", False)
        yield Query(dashboard["uid"], panel["title"], target["refId"], target["expr"], instant)


def annotation_queries(dashboard: Dashboard) -> Iterator[Query]:
    for annotation in dashboard["annotations"]["list"]:
        yield Query(dashboard["uid"], f"annotation {annotation['name']}", "", annotation["expr"])


def queries(dashboard: Dashboard) -> Iterator[Query]:
    """Those of panels and annotations."""
    for panel in panels(dashboard):
        yield from panel_queries(dashboard, panel)
    yield from annotation_queries(dashboard)


def values(variable: Mapping[str, Any]) -> Values:
    """What a query variable asks for. AssertionError: nothing that is understood here."""
    asked: str = variable["query"]["query"]
    if found := _LABEL_VALUES.fullmatch(asked):
        return Values(found["selector"] or f'{{{found["label"]}!=""}}', found["label"])
    found = _QUERY_RESULT.fullmatch(asked)
    assert found, f"not understood: {asked}"
    return Values(found["expr"])


def references(text: str) -> set[str]:
    """The names of the variables in it."""
    return {name or braced for name, braced in _REFERENCE.findall(text)}


def fill(text: str, given: Mapping[str, str]) -> str:
    """`text` with its variables replaced; AssertionError when one is unknown."""

    def value(found: re.Match[str]) -> str:
        name = found[1] or found[2]
        assert name in given, f"a variable without a value, {name}, in {text}"
        return given[name]

    return _REFERENCE.sub(value, text)


def usual_choice(dashboard: Dashboard) -> dict[str, str]:
    """Everything of variables that have an All, one of the others; and the times."""
    chosen = {
        name: variable["allValue"] if variable.get("includeAll") else ONE[name]
        for name, variable in variables(dashboard).items()
        if variable["type"] == "query"
    }
    typed = {
        name: variable["query"]
        for name, variable in variables(dashboard).items()
        if variable["type"] == "textbox"
    }
    return {**TIMES, **typed, **chosen}


def expressions(dashboard: Dashboard) -> list[Query]:
    """All its PromQL with variables filled in: panels, annotations, and query variables as expressions."""
    chosen = usual_choice(dashboard)
    asked = [
        Query(dashboard["uid"], f"variable {name}", "", values(variable).promql)
        for name, variable in variables(dashboard).items()
        if variable["type"] == "query"
    ]
    return [query._replace(expr=fill(query.expr, chosen)) for query in (*queries(dashboard), *asked)]


def strings(part: object, key: str = "") -> Iterator[tuple[str, str]]:
    """Every text anywhere in a part of a dashboard, with the key it stands under."""
    match part:
        case str():
            yield key, part
        case dict():
            for name, inner in part.items():
                yield from strings(inner, name)
        case list():
            for inner in part:
                yield from strings(inner, key)
