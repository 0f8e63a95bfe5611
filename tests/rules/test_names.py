"""What rules name exists: metrics, labels, values of labels."""

from __future__ import annotations

import pytest

from exporter.core.acting import RunFailure
from exporter.core.model import DOWN_REASONS, Status
from tests.support.names import known_series
from tests.support.promql import matched_values, problems, queries
from tests.support.rules import Rule, shipped_alerts, shipped_rules

KNOWN = known_series()
ALERTS = [rule for rule in shipped_rules() if rule.is_alert]


@pytest.mark.parametrize("rule", shipped_rules(), ids=lambda rule: rule.name)
def test_every_metric_and_label_in_an_expression_exists(rule: Rule) -> None:
    """What a rule selects is exported or recorded, with the labels it is matched and grouped by."""
    assert problems(rule.expr, KNOWN) == []


@pytest.mark.parametrize("rule", ALERTS, ids=lambda rule: rule.name)
def test_every_metric_and_label_in_an_annotation_exists(rule: Rule) -> None:
    """Queries in annotations name what exists."""
    asked = [query for annotation in rule.annotations.values() for query in queries(annotation)]
    assert [problem for query in asked for problem in problems(query, KNOWN)] == []


def test_every_status_and_reason_exists() -> None:
    """A rule that waits for a status or reason that nobody has would be silent for ever."""
    rules = shipped_rules()
    values = matched_values(rule.expr for rule in rules)
    assert values["status"] <= set(Status)
    assert values["alertname"] <= set(shipped_alerts())
    about_actions = [rule.expr for rule in rules if "heartbeat_action" in rule.expr]
    others = [rule.expr for rule in rules if rule.expr not in about_actions]
    assert matched_values(others)["reason"] <= set(DOWN_REASONS)
    assert matched_values(about_actions)["reason"] <= set(RunFailure)
