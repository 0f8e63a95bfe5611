"""Workers as a table for a terminal, the worst first."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from exporter.asking import AskedExporter, NoAnswer, Refused, Workers
from exporter.core.model import Status
from exporter.web import words

EVERY = 2.0
"""Seconds between two looks."""

_PIPE = 1_000_000
"""Columns of what is no terminal."""

_WORST_FIRST = (
    Status.NOT_RESPONDING,
    Status.DISCONNECTED,
    Status.REGISTERED,
    Status.CONNECTED,
    Status.ALIVE,
)
_STYLES = {
    Status.NOT_RESPONDING: "bold red",
    Status.DISCONNECTED: "yellow",
    Status.REGISTERED: "cyan",
    Status.CONNECTED: "cyan",
    Status.ALIVE: "green",
}
_COLUMNS = ("NAME", "GROUP", "STATUS", "REASON", "SINCE", "HEARTBEAT", "ID")

Filters = Mapping[str, str | list[str]]


def show(exporter: AskedExporter, filters: Filters, *, as_json: bool = False) -> None:
    """Print them once; as JSON a list in the exporter's own words. Raises NoAnswer, Refused."""
    workers = exporter.workers(filters)
    if as_json:
        print(json.dumps(workers.rows, indent=2))
    else:
        console = _console()
        console.print(table(workers))
        console.print(_counts(workers))


def watch(
    exporter: AskedExporter,
    filters: Filters,
    *,
    sleep: Callable[[float], None] = time.sleep,
    console: Console | None = None,
) -> None:
    """Show them on a terminal until Ctrl-C. An exporter that is away for a while is waited for.

    Raises NoAnswer, Refused: the first time.
    """
    first = exporter.workers(filters)
    with Live(_whole(first), console=console or _console(), auto_refresh=False, screen=True) as screen:
        last = first
        while True:
            sleep(EVERY)
            try:
                last = exporter.workers(filters)
                screen.update(_whole(last), refresh=True)
            except (NoAnswer, Refused) as error:
                screen.update(Group(Text(str(error), style="bold red"), _whole(last)), refresh=True)


def table(workers: Workers) -> Table:
    made = Table(box=None, pad_edge=False, header_style="bold")
    for name in _COLUMNS:
        made.add_column(name, no_wrap=True)
    for row in sorted(workers.rows, key=_order):
        status = Status(row["status"])
        made.add_row(
            *(Text(text) for text in (_plain(row["name"]), _plain(row["group"]))),
            Text(status, style=_STYLES[status]),
            Text("" if status is Status.ALIVE else row["reason"]),
            Text(_ago(workers.now, datetime.fromisoformat(row["since"]).timestamp())),
            Text(_ago(workers.now, row["last_heartbeat_timestamp"])),
            Text(_plain(row["worker_id"])),
        )
    return made


def _whole(workers: Workers) -> Group:
    return Group(_counts(workers), table(workers))


def _counts(workers: Workers) -> Text:
    counts = {
        status: number
        for status in reversed(_WORST_FIRST)
        if (number := sum(row["status"] == status for row in workers.rows))
    }
    listed = ", ".join(f"{number:,} {status}" for status, number in counts.items())
    return Text(f"{words.number(len(workers.rows), 'worker', 'workers')}{': ' if listed else ''}{listed}")


def _order(row: Mapping[str, Any]) -> tuple[int, str, str]:
    return _WORST_FIRST.index(Status(row["status"])), row["group"].casefold(), row["name"].casefold()


def _ago(now: float, at: float | None) -> str:
    return "never" if at is None else f"{words.brief(now - at)} ago"


def _plain(text: str) -> str:
    """A name is whatever a worker says: nothing in it may move the cursor or turn the line around."""
    return "".join(
        character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in text
    )


def _console() -> Console:
    """In a pipe nothing is cut off."""
    width = None if sys.stdout.isatty() else _PIPE
    return Console(highlight=False, markup=False, emoji=False, width=width)
