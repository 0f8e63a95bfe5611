"""What expressions answer for made-up series, by `promtool test rules`."""

from __future__ import annotations

import json
import math
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from .processes import program

STEP = 5
"""Seconds between samples, as Prometheus scrapes."""

AT = 40
"""Seconds from the first sample to the question."""

GRAIN = 2.0**-20

Answer = Mapping[str, float]
"""Values by labels, `{status="alive"}`."""


def evaluate(
    directory: Path,
    series: Mapping[str, float | str],
    questions: Mapping[str, Answer],
    *,
    rules: Sequence[Path] = (),
    step: int = STEP,
    at: int = AT,
    grain: float = GRAIN,
) -> None:
    """AssertionError unless each expression has its answer, `at` seconds after the first sample.

    The value of a series is a number that stays, or in promtool's notation what it is every `step` seconds;
    as often all `rules` are evaluated. promtool compares exactly, and divisions seldom are: both sides are
    rounded to `grain`.
    """
    samples = at // step
    test = {
        "interval": f"{step}s",
        "input_series": [
            {"series": name, "values": value if isinstance(value, str) else f"{value}x{samples}"}
            for name, value in series.items()
        ],
        "promql_expr_test": [
            {
                "expr": f"round({expr}, {grain!r})",
                "eval_time": f"{at}s",
                "exp_samples": [
                    {"labels": labels, "value": math.floor(value / grain + 0.5) * grain}
                    for labels, value in answer.items()
                ],
            }
            for expr, answer in questions.items()
        ],
    }
    # promtool loads samples up to the last evaluation only, which is every minute unless it is told.
    files = [str(path) for path in rules]
    whole = {"rule_files": files, "evaluation_interval": f"{step}s", "tests": [test]}
    file = directory / "series.yml"
    # JSON is YAML, and written a hundred times as fast.
    file.write_text(json.dumps(whole), "utf-8")
    tested = subprocess.run(
        [program("promtool"), "test", "rules", str(file)], capture_output=True, text=True, check=False
    )
    assert tested.returncode == 0, tested.stdout + tested.stderr
