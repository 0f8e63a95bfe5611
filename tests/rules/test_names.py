"""What rules and dashboards name exists: metrics, labels, values of labels."""

from __future__ import annotations

import re

import pytest

from exporter.core.acting import RunFailure
from exporter.core.model import DOWN_REASONS, Status
from exporter.metrics.catalogue import catalogue_names
from tests.support.dashboards import Expression, expressions
from tests.support.promql import Labels, labels_of, matched_values, problems, queries
from tests.support.rules import Rule, shipped_alerts, shipped_rules

TARGET_LABELS = frozenset({"instance", "job"})
"""What Prometheus adds to everything it scrapes."""


def known_names() -> dict[str, Labels]:
    """The labels of all that rules can ask for: scraped, made by Prometheus, or recorded."""
    names = {name: frozenset(labels) | TARGET_LABELS for name, labels in catalogue_names().items()}
    names["up"] = TARGET_LABELS
    recorded = [rule for rule in shipped_rules() if not rule.is_alert]
    # A rule that looks back at itself says by its other operand, the first, what labels it has.
    names |= dict.fromkeys(["ALERTS", *(rule.name for rule in recorded)], frozenset())
    for rule in recorded:
        names[rule.name] = labels_of(rule.expr, names) or frozenset()
    for rule in shipped_alerts().values():
        names["ALERTS"] |= {"alertname", "alertstate", *rule.labels, *(labels_of(rule.expr, names) or ())}
    names["ALERTS_FOR_STATE"] = names["ALERTS"] - {"alertstate"}
    return names


KNOWN = known_names()


@pytest.mark.parametrize("rule", shipped_rules(), ids=lambda rule: rule.name)
def test_every_metric_and_label_in_an_expression_exists(rule: Rule) -> None:
    """What a rule selects is exported or recorded, with the labels it is matched and grouped by."""
    assert problems(rule.expr, KNOWN) == []


@pytest.mark.parametrize("rule", shipped_alerts().values(), ids=lambda rule: rule.name)
def test_every_metric_and_label_in_an_annotation_exists(rule: Rule) -> None:
    """Queries in annotations name what exists, and so do the labels that are printed."""
    labels = labels_of(rule.expr, KNOWN) or frozenset()
    for annotation in rule.annotations.values():
        assert set(re.findall(r"\$labels\.(\w+)", annotation)) <= labels
        for query in queries(annotation):
            assert problems(query, KNOWN) == []


@pytest.mark.parametrize("shown", expressions(), ids=lambda shown: f"{shown.dashboard}: {shown.place}")
def test_every_metric_and_label_in_a_dashboard_exists(shown: Expression) -> None:
    """A panel that asks for what nobody exports stays empty and says nothing."""
    found = problems(shown.expr, KNOWN)
    # A panel may put series of different labels side by side with `or`; a rule would do so by mistake.
    assert [problem for problem in found if not ("never match" in problem and " or " in problem)] == []


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


def test_rules_about_workers_are_free_of_the_exporters_target() -> None:
    """No rule keeps the exporter's instance or pod, so another one changes no alert."""
    kept = {rule.name for rule in shipped_rules() if "instance" in (labels_of(rule.expr, KNOWN) or ())}
    assert kept == set()
