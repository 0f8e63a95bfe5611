"""What a measurement prints: the machine it was made on, and a table."""

from __future__ import annotations

import os
import platform
import subprocess
from collections.abc import Sequence
from pathlib import Path

_ROOT = Path(__file__).parents[2]


def show(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]], *notes: str) -> None:
    """Print a table of text; the first column to the left, the others to the right."""
    lines = [columns, *rows]
    widths = [max(len(line[column]) for line in lines) for column in range(len(columns))]
    print(f"\n\n{title}\n{machine()}\n")
    for number, line in enumerate(lines):
        first, *others = (
            text.ljust(widths[0]) if not at else text.rjust(widths[at]) for at, text in enumerate(line)
        )
        print("  ".join((first, *others)).rstrip())
        if number == 0:
            print("  ".join("-" * width for width in widths))
    for note in notes:
        print(note)


def machine() -> str:
    """CPU, cores, kernel, Python, commit, and how busy the machine is with other things."""
    load = os.getloadavg()[0]
    return (
        f"{_cpu()}, {len(os.sched_getaffinity(0))} cores, Linux {platform.release()}, "
        f"Python {platform.python_version()}, commit {_commit()}, load average {load:.1f}"
    )


def _cpu() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        key, _, value = line.partition(":")
        if key.strip() == "model name":
            return value.strip()
    return platform.machine()


def _commit() -> str:
    described = subprocess.run(
        ["git", "describe", "--always", "--dirty"], capture_output=True, text=True, cwd=_ROOT, check=False
    )
    return described.stdout.strip() or "unknown"
