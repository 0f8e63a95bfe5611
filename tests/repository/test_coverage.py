"""What is pure is tested to its last branch."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("tests", "covered"),
    [
        (["tests/exporter/core"], ["exporter.core"]),
        (
            [f"tests/worker_agent/test_{name}.py" for name in ("protocol", "session", "backoff")],
            ["worker_agent.protocol", "worker_agent.session", "worker_agent.backoff"],
        ),
    ],
    ids=["core", "agent"],
)
def test_pure_files_are_covered_by_their_own_tests(
    tmp_path: Path, tests: list[str], covered: list[str]
) -> None:
    """All lines and branches, by plain tests: what random traces reach may not be reached tomorrow."""
    result = subprocess.run(
        [
            *(sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *tests),
            *(f"--ignore=tests/exporter/core/test_{name}_machine.py" for name in ("acting", "model")),
            *(f"--cov={name}" for name in covered),
            *("--cov-branch", "--cov-report=term-missing", "--cov-fail-under=100"),
        ],
        cwd=ROOT,
        env={**os.environ, "COVERAGE_FILE": str(tmp_path / "coverage")},
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0, result.stdout[-3000:]
