"""docs/metrics.md."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from exporter.metrics.catalogue import catalogue_names
from exporter.metrics.reference import reference

ROOT = Path(__file__).parents[3]


def test_the_page_is_current() -> None:
    """What is documented is what the code says now; the page itself says how to make it anew."""
    printed = subprocess.run(
        [sys.executable, "-m", "exporter.metrics.reference"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
        timeout=30,
    )
    assert (ROOT / "docs/metrics.md").read_text() == printed.stdout


def test_every_metric_has_a_row() -> None:
    """Each name that a query may ask for is found, a histogram by the name its series begin with."""
    page = reference()
    for name in catalogue_names():
        if name.startswith("heartbeat_"):
            family = name.removesuffix("_bucket").removesuffix("_sum").removesuffix("_count")
            assert f"| `{family}` |" in page
