"""Whether thousands of probes keep their schedule, and what each costs."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.benchmarks.blackbox import Asked, asked, blackbox
from tests.benchmarks.prober import Report
from tests.benchmarks.report import show
from tests.benchmarks.scale import SECONDS
from tests.support.processes import find_program, free_port, running

pytestmark = pytest.mark.benchmark

PROBES = int(os.environ.get("BENCH_PROBES", "2000"))
PROBE_INTERVAL = 10.0
"""Seconds between two runs of a probe."""


@contextlib.contextmanager
def answering(directory: Path) -> Iterator[int]:
    """The port of a server that answers whoever asks."""
    port = free_port()
    command = [sys.executable, "-m", "tests.benchmarks.answering", str(port)]
    with running(command, log=directory / "answering.log", ready=f"http://127.0.0.1:{port}/"):
        yield port


def probed(kind: str, port: int) -> Report:
    command = [
        *(sys.executable, "-m", "tests.benchmarks.prober"),
        *(f"--kind={kind}", f"--port={port}", f"--probes={PROBES}"),
        *(f"--interval={PROBE_INTERVAL}", f"--seconds={SECONDS}"),
    ]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return Report(**json.loads(done.stdout))


def row(kind: str, report: Report) -> tuple[str, ...]:
    late = report.lateness
    shown = late[len(late) // 2], late[len(late) * 99 // 100], late[-1]
    return (
        kind,
        f"{report.runs:,}",
        *(f"{1000 * each:.1f} ms" for each in shown),
        f"{1000 * report.largest_hold:.1f} ms",
        f"{1e6 * report.cpu / report.runs:.0f} µs",
        f"{report.cpu / report.seconds:.1%}",
        f"{1000 * report.cpu_of_a_scrape:.0f} ms",
    )


def compared(kind: str, done: Asked) -> tuple[str, ...]:
    cost = f"{1e6 * done.cpu / done.runs:.0f} µs", f"{done.cpu / done.seconds:.1%}"
    return f"blackbox_exporter, {kind}", f"{done.runs:,}", "", "", "", "", *cost, ""


def test_probes_keep_their_schedule(tmp_path: Path) -> None:
    """HTTP and TCP, one after the other, of a server on the same machine that answers at once.

    Where it is installed, blackbox_exporter is asked to do the same.
    """
    others: dict[str, Asked] = {}
    with answering(tmp_path) as port:
        reports = {kind: probed(kind, port) for kind in ("http", "tcp")}
        if find_program("blackbox_exporter"):
            rate = PROBES / PROBE_INTERVAL
            with blackbox(tmp_path) as (process, address):
                for kind in reports:
                    others[kind] = asyncio.run(asked(process, address, kind, port, rate, SECONDS))
    show(
        f"{PROBES:,} probes each {PROBE_INTERVAL:g} s (target: 99 % begin within 250 ms)",
        (
            "probes",
            "runs",
            "median late",
            "p99",
            "largest",
            "loop held",
            "CPU a run",
            "of a core",
            "a scrape",
        ),
        [
            *(row(kind, report) for kind, report in reports.items()),
            *(compared(kind, done) for kind, done in others.items()),
        ],
        "CPU is without that of scrapes, one each 5 s; the server took the same cores.",
    )
    assert [done.failures for done in others.values()] == [0] * len(others)
    for report in reports.values():
        assert (report.failures, report.skipped) == (0, 0)
        assert report.runs == pytest.approx(PROBES * report.seconds / PROBE_INTERVAL, rel=0.05)
