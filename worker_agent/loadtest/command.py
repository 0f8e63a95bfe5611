"""The load test as a command: progress while it runs, the table and the verdict at its end."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import resource
import signal
import sys
from collections.abc import Callable, Iterator

import uvloop
from rich.console import Console

from worker_agent.loadtest import report
from worker_agent.loadtest.crowd import Crowd, Plan, Standing
from worker_agent.loadtest.report import Limits, Result

EVERY = 10
"""Seconds between two lines of progress where there is no terminal."""

PIPE = 1_000_000
"""Columns of what is no terminal: nothing is broken into lines there."""

SPARE_FILES = 256
"""Beside the sockets of workers."""


class TooManyFiles(Exception):
    """This process may not open a socket for each worker; the text says what would be needed."""


def run(plan: Plan, limits: Limits, forget: Callable[[str], bool]) -> bool:
    """Returns whether all limits were kept. Ctrl-C ends it early, with a table of what there is.

    `forget` is that of `Crowd`.

    Raises TooManyFiles.
    """
    _open_files(plan.workers + SPARE_FILES)
    # What goes wrong is counted. A line for each of thousands of workers would be all that is seen.
    logging.getLogger("worker_agent").setLevel(logging.CRITICAL)
    width = None if sys.stdout.isatty() else PIPE
    console = Console(highlight=False, markup=False, emoji=False, width=width)
    with _progress(plan) as watch:
        crowd, standing = uvloop.run(_measure(Crowd(plan, forget), watch))
    result = Result(plan, standing, sorted(crowd.round_trips), crowd.connected_within, crowd.left_behind)
    console.print(report.table(result))
    found = report.failures(result, limits)
    for failure in found:
        console.print(f"FAIL: {failure}", style="bold red")
    if not found:
        console.print("PASS", style="bold green")
    return not found


async def _measure(crowd: Crowd, watch: Callable[[Standing], None]) -> tuple[Crowd, Standing]:
    running = asyncio.create_task(crowd.run(watch))
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if number == signal.SIGHUP and signal.getsignal(number) is signal.SIG_IGN:  # as nohup has it
            continue
        loop.add_signal_handler(number, crowd.end_early)
    return crowd, await running


@contextlib.contextmanager
def _progress(plan: Plan) -> Iterator[Callable[[Standing], None]]:
    """On a terminal a line that changes, elsewhere one from time to time; beside the result, not in it."""
    console = Console(stderr=True, highlight=False, markup=False, emoji=False)
    if console.is_terminal:
        with console.status("starting ...") as status:
            yield lambda standing: status.update(report.line(standing, plan))
        return
    seen = 0

    def tell(standing: Standing) -> None:
        nonlocal seen
        seen += 1
        if seen % EVERY == 0:
            print(report.line(standing, plan), file=sys.stderr, flush=True)

    yield tell


def _open_files(needed: int) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft >= needed:
        return
    if hard != resource.RLIM_INFINITY and hard < needed:
        raise TooManyFiles(f"{needed:,} open files are needed, and {hard:,} allowed: ulimit -n")
    resource.setrlimit(resource.RLIMIT_NOFILE, (needed, hard))
