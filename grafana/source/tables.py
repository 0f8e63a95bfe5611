"""Tables: of what one query says by its labels, or of several queries, a column each."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from grafana_foundation_sdk.builders import table
from grafana_foundation_sdk.models.dashboard import DataTransformerConfig, DynamicConfigValue

from grafana.source import style

COLORED = DynamicConfigValue(id_val="custom.cellOptions", value={"type": "color-text"})
"""Without it a cell shows its text only, whatever its colour is."""


class Column(NamedTuple):
    """What a query says of each row, and how that is shown."""

    name: str
    expr: str
    shown: tuple[DynamicConfigValue, ...]


def joined(panel: table.Panel, by: Mapping[str, str], columns: Iterable[Column]) -> table.Panel:
    """A row for each value of the labels `by`, which are given with their headings, and the columns."""
    names = dict(by)
    for ref, column in zip("ABCDEFGH", columns, strict=False):
        panel.with_target(style.instant(column.expr, ref=ref, rows=True))
        panel.override_by_name(column.name, list(column.shown))
        names[f"Value #{ref}"] = column.name
    panel.with_transformation(DataTransformerConfig(id_val="merge", options={}))
    return panel.with_transformation(_arranged(names, "Time"))


def labels(panel: table.Panel, expr: str, headings: Mapping[str, str]) -> table.Panel:
    """A row for each series, and of its labels and its `Value` what has a heading."""
    panel.with_target(style.instant(expr, rows=True))
    hidden = [name for name in ("Time", "Value") if name not in headings]
    return panel.with_transformation(_arranged(headings, *hidden))


def unit(name: str) -> DynamicConfigValue:
    return DynamicConfigValue(id_val="unit", value=name)


def decimals(number: int) -> DynamicConfigValue:
    return DynamicConfigValue(id_val="decimals", value=number)


def worded(states: Mapping[int, tuple[str, str]]) -> tuple[DynamicConfigValue, ...]:
    """Words in their colour in place of numbers."""
    return DynamicConfigValue(id_val="mappings", value=style.states(states)), COLORED


def _arranged(names: Mapping[str, str], *hidden: str) -> DataTransformerConfig:
    """Columns under their headings, in that order."""
    options = {
        "excludeByName": dict.fromkeys(hidden, True),
        "indexByName": {name: place for place, name in enumerate(names)},
        "renameByName": dict(names),
    }
    return DataTransformerConfig(id_val="organize", options=options)
