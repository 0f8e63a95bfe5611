"""What Prometheus accepts and a reader would not: checks over every shipped rule, and of the checks."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.names import known_series
from tests.support.rule_lint import (
    CHECKS,
    RUNBOOKS,
    Cases,
    Surroundings,
    Written,
    anchors,
    lint,
    shown_cases,
    written_rules,
)
from tests.support.rules import ROOT, RULES

SHIPPED = [rule for path in sorted(RULES.glob("*.yml")) for rule in written_rules(path.read_text("utf-8"))]
AROUND = Surroundings(
    known_series(),
    shown_cases(sorted((Path(__file__).parent / "alerts").glob("*.yml"))),
    anchors((ROOT / "docs" / "alerts.md").read_text("utf-8")),
)


@pytest.mark.parametrize("rule", SHIPPED, ids=lambda rule: rule.name)
def test_a_shipped_rule_has_no_lint(rule: Written) -> None:
    """No check has anything to say about it."""
    assert lint(rule, AROUND) == []


GOOD = f"""\
groups:
  - name: example
    rules:
      - record: group:late:sum
        expr: sum by (group) (late)

      # Longer than a restart.
      - alert: HeartbeatLate
        expr: max by (worker_id, worker, group) (late) > 3
        for: 1m
        labels:
          severity: warning
        annotations:
          summary: A worker is late.
          description: '{{{{ $labels.worker }}}} is late by {{{{ $value | humanizeDuration }}}}.'
          runbook_url: {RUNBOOKS}heartbeatlate
"""
AROUND_GOOD = Surroundings(
    {
        "late": frozenset({"worker_id", "worker", "group", "instance", "job"}),
        "group:late:sum": frozenset({"group"}),
        "up": frozenset({"instance", "job"}),
    },
    Cases(frozenset({("HeartbeatLate", "warning")}), frozenset({"HeartbeatLate"})),
    frozenset({"heartbeatlate"}),
)


def test_a_good_example_has_no_lint() -> None:
    """So that what is found below is what was changed there."""
    assert [lint(rule, AROUND_GOOD) for rule in written_rules(GOOD)] == [[], []]


OF_WORKERS = "max by (worker_id, worker, group) (late) > 3"
BAD = [
    ("tested", "severity: warning", "severity: critical", "no test sees it fire"),
    ("reasoned", "      # Longer than a restart.\n", "", "no comment says why for is 1m"),
    ("reasoned", "# Longer than a restart.\n", "# Of another.\n\n", "no comment says why for is 1m"),
    (
        "robust",
        OF_WORKERS,
        "max without (instance, job) (late) > 3",
        "aggregates without, so by labels that somebody may add: max without (instance, job) (late)",
    ),
    (
        "robust",
        OF_WORKERS,
        "max by (worker_id, worker, group) (late and on (instance) up)",
        "matches by target: late and on (instance) up",
    ),
    (
        "robust",
        OF_WORKERS,
        "max by (worker_id, worker, group, instance) (late) > 3",
        "keeps instance: another exporter makes another series",
    ),
    (
        "robust",
        OF_WORKERS,
        "max by (worker_id, worker, group, job) (late) > 3",
        "keeps job, and does not say which",
    ),
    ("robust", OF_WORKERS, "max by (worker_id, worker) (late) > 3", "drops group"),
    ("explained", "summary: A worker is late.", "title: A worker is late.", "no summary"),
    ("explained", "summary: A worker is late.", "title: A worker is late.", "no receiver shows title"),
    (
        "explained",
        "summary: A worker is late.",
        "summary: '{{ $value }} workers are late.'",
        "its summary is no sentence that is the same for all of its alerts",
    ),
    (
        "explained",
        f"{RUNBOOKS}heartbeatlate",
        f"{RUNBOOKS}heartbeattardy",
        f"no runbook of its own at {RUNBOOKS}heartbeattardy",
    ),
    ("labelled", "$labels.worker }}", "$labels.host }}", "its text uses host, which it has not"),
    ("named", "group:late:sum", "group_late_sum", "its name is not level:metric:operations"),
    ("named", "group:late:sum", "team:late:sum", "its name is not level:metric:operations"),
    ("named", "group:late:sum", "worker:late:sum", "has no worker, worker_id, as what is of a worker has"),
    ("severe", "severity: warning", "severity: page", "its severity is page"),
    (
        "severe",
        "severity: warning",
        "severity: warning\n          team: a",
        "sets the labels (severity, team)",
    ),
    ("old_enough", "rules:", "query_offset: 1m\n    rules:", "Prometheus 2.42 has no query_offset"),
    ("old_enough", "(late) > 3", "(mad_over_time(late[5m])) > 3", "Prometheus 2.42 has no mad_over_time()"),
    ("old_enough", "humanizeDuration", "toDuration", "templates of Prometheus 2.42 have no toDuration"),
]


@pytest.mark.parametrize(("check", "good", "bad", "problem"), BAD)
def test_a_bad_example_is_found(check: str, good: str, bad: str, problem: str) -> None:
    """With one thing changed, the check whose matter it is names it."""
    assert GOOD.count(good) == 1
    found = [lint(rule, AROUND_GOOD) for rule in written_rules(GOOD.replace(good, bad))]
    assert (check, problem) in [problem for problems in found for problem in problems]


def test_an_alert_without_tests_is_found() -> None:
    """It has to be seen firing and silent; only what has nothing to look at cannot be silent."""
    around = AROUND_GOOD._replace(cases=Cases(frozenset(), frozenset()))
    _, late = written_rules(GOOD)
    always = late._replace(keys={**late.keys, "expr": "vector(1)", "annotations": {}})
    unseen = ("tested", "no test sees it fire"), ("tested", "no test sees it silent")
    assert lint(late, around) == [*unseen]
    assert [problem for problem in lint(always, around) if problem[0] == "tested"] == [unseen[0]]


def test_every_check_is_shown_to_find_something() -> None:
    """A check that never finds anything would go unnoticed."""
    assert {check for check, *_ in BAD} == {check.__name__ for check in CHECKS}
