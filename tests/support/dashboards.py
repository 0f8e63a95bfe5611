"""What the committed Grafana dashboards ask of Prometheus."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

GRAFANA = Path(__file__).parents[2] / "grafana"
DASHBOARDS = GRAFANA / "dashboards"

# What Grafana would put in when all exporters and groups are chosen.
VARIABLES = {
    "$__rate_interval": "20s",
    "$__interval": "15s",
    "$__range": "1h",
    "$job": ".+",
    "$instance": ".+",
    "$group": ".+",
}

_LABEL_VALUES = re.compile(r"label_values\((?P<selector>.+), *(?P<label>\w+)\)")


class Expression(NamedTuple):
    """One PromQL expression, its variables filled in."""

    dashboard: str
    place: str
    """The panel's title, `variable NAME` or `annotation NAME`."""

    expr: str


def load() -> dict[str, dict[str, Any]]:
    """Every committed dashboard by file name."""
    return {path.name: json.loads(path.read_text("utf-8")) for path in sorted(DASHBOARDS.glob("*.json"))}


def expressions() -> list[Expression]:
    """All PromQL of all committed dashboards: panels, query variables, annotations."""
    return [
        Expression(name, place, fill(expr))
        for name, dashboard in load().items()
        for place, expr in _raw(dashboard)
    ]


def fill(expr: str) -> str:
    """`expr` with its dashboard variables replaced; AssertionError when one is unknown."""
    for variable in sorted(VARIABLES, key=len, reverse=True):
        expr = expr.replace(variable, VARIABLES[variable])
    assert "$" not in expr, f"a variable without a value in {expr}"
    return expr


def panels(dashboard: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The panels that show data, those inside collapsed rows among them."""
    for panel in dashboard["panels"]:
        if panel["type"] == "row":
            yield from panel["panels"]
        else:
            yield panel


def _raw(dashboard: dict[str, Any]) -> Iterator[tuple[str, str]]:
    for panel in panels(dashboard):
        for target in panel["targets"]:
            yield panel["title"], target["expr"]
    for variable in dashboard["templating"]["list"]:
        if variable["type"] == "query":
            found = _LABEL_VALUES.fullmatch(variable["definition"])
            assert found, f"not understood: {variable['definition']}"
            yield f"variable {variable['name']}", f"count by ({found['label']}) ({found['selector']})"
    for annotation in dashboard["annotations"]["list"]:
        yield f"annotation {annotation['name']}", annotation["expr"]
