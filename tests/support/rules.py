"""The shipped Prometheus rules, read as data."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import yaml

ROOT = Path(__file__).parents[2]
RULES = ROOT / "prometheus" / "rules"


class Rule(NamedTuple):
    """A recording rule or an alert."""

    name: str
    is_alert: bool
    expr: str
    labels: Mapping[str, str]
    annotations: Mapping[str, str]


def shipped_rules() -> list[Rule]:
    """All rules of all files, in the order in which they are evaluated."""
    return [
        Rule(
            name=rule.get("alert") or rule["record"],
            is_alert="alert" in rule,
            expr=rule["expr"],
            labels=rule.get("labels", {}),
            annotations=rule.get("annotations", {}),
        )
        for path in sorted(RULES.glob("*.yml"))
        for group in yaml.safe_load(path.read_text("utf-8"))["groups"]
        for rule in group["rules"]
    ]


def shipped_alerts() -> dict[str, Rule]:
    """The alerts by name; of one with several severities the most severe, which comes first."""
    return {rule.name: rule for rule in reversed(shipped_rules()) if rule.is_alert}
