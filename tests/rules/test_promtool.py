"""Prometheus' own tool over its configuration, the rules, and the rules' tests."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest
import yaml

from tests.support.processes import program
from tests.support.promql import matched_values
from tests.support.rules import ROOT, RULES, shipped_alerts

CASES = sorted((Path(__file__).parent / "alerts").glob("*.yml"))

pytestmark = pytest.mark.servers("promtool")


def promtool(*arguments: str | Path) -> None:
    result = subprocess.run([program("promtool"), *arguments], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr


def test_the_configuration_is_valid() -> None:
    """promtool accepts prometheus.yml and the rule files it names."""
    promtool("check", "config", ROOT / "prometheus" / "prometheus.yml")


def test_the_rules_have_no_lint() -> None:
    """promtool finds nothing to say about the rules."""
    promtool("check", "rules", "--lint-fatal", *sorted(RULES.glob("*.yml")))


@pytest.mark.parametrize("case", CASES, ids=lambda path: path.stem)
def test_alerts_fire_and_are_silent_as_written(case: Path) -> None:
    """Every timeline in the file gives the alerts that it says."""
    promtool("test", "rules", case)


@pytest.mark.parametrize("case", CASES, ids=lambda path: path.stem)
def test_cases_ask_about_alerts_that_exist(case: Path) -> None:
    """A misspelt name in a test would be silent for ever."""
    known = shipped_alerts()
    for test in yaml.safe_load(case.read_text("utf-8"))["tests"]:
        for expectation in test.get("alert_rule_test", []):
            assert expectation["alertname"] in known
        for expectation in test.get("promql_expr_test", []):
            for pattern in matched_values([expectation["expr"]]).get("alertname", ()):
                assert any(re.fullmatch(pattern, name) for name in known), pattern
