"""Workers as a table for a terminal, the worst first."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

from rich.cells import cell_len
from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from exporter.asking import AskedExporter, NoAnswer, Refused, Workers
from exporter.core.model import Status
from exporter.web import words

EVERY = 2.0
"""Seconds between two looks."""

_AROUND = 3
"""Lines of the screen that show no worker: the counts, the names of the columns, how many more there are."""

_GAP = 2
"""Cells between two columns."""

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
_GIVE_WAY = tuple(map(_COLUMNS.index, ("NAME", "GROUP", "REASON")))

Filters = Mapping[str, str | list[str]]


def show(exporter: AskedExporter, filters: Filters, *, as_json: bool = False) -> None:
    """Print them once; as JSON a list in the exporter's own words. Raises NoAnswer, Refused."""
    workers = exporter.workers(filters)
    if as_json:
        print(json.dumps(workers.rows, indent=2))
    else:
        console = _console()
        # In a pipe nothing is cut off.
        width = console.width if console.is_terminal else None
        console.print(table(workers, width=width), soft_wrap=True)
        console.print(_counts(workers), soft_wrap=True)


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
    last = exporter.workers(filters)
    console = console or _console()
    with Live(_whole(last, console), console=console, auto_refresh=False, screen=True) as screen:
        while True:
            sleep(EVERY)
            problem = ""
            try:
                last = exporter.workers(filters)
            except (NoAnswer, Refused) as error:
                problem = str(error)
            screen.update(_whole(last, console, problem), refresh=True)


def table(workers: Workers, *, width: int | None = None, most: int | None = None) -> Text:
    """A line for each worker, below one for the columns: `most` of them, in lines that `width` is enough for.

    Drawn here and not by rich, which takes a minute for 20,000 lines.
    """
    rows = sorted(workers.rows, key=_order)
    cells = [_cells(row, workers.now) for row in rows]
    widths = [max(map(cell_len, column)) for column in zip(_COLUMNS, *cells, strict=True)]
    if width is not None:
        _narrow(widths, width)
    lines = [_line(_COLUMNS, ("bold",) * len(_COLUMNS), widths)]
    for row, texts in zip(rows[:most], cells, strict=False):
        styles = [_STYLES[Status(row["status"])] if name == "STATUS" else "" for name in _COLUMNS]
        lines.append(_line(texts, styles, widths))
    if len(rows) > len(lines) - 1:
        lines.append(Text(f"and {len(rows) - len(lines) + 1:,} more"))
    return Text("\n", no_wrap=True, overflow="crop").join(lines)


def _cells(row: Mapping[str, Any], now: float) -> Sequence[str]:
    alive = row["status"] == Status.ALIVE
    return (
        _plain(row["name"]),
        _plain(row["group"]),
        row["status"],
        "" if alive else row["reason"],
        _ago(now, datetime.fromisoformat(row["since"]).timestamp()),
        _ago(now, row["last_heartbeat_timestamp"]),
        _plain(row["worker_id"]),
    )


def _narrow(widths: list[int], width: int) -> None:
    """Take from the widest column until all fit: names first, as the id, which `forget` wants, says more."""
    spare = width - _GAP * (len(widths) - 1)
    for columns, least in ((_GIVE_WAY, 6), (range(len(widths)), 4)):
        while sum(widths) > spare:
            widest = max(columns, key=widths.__getitem__)
            if widths[widest] <= least:
                break
            widths[widest] -= 1


def _line(texts: Sequence[str], styles: Sequence[str], widths: Sequence[int]) -> Text:
    line = Text()
    for at, (text, style, width) in enumerate(zip(texts, styles, widths, strict=True)):
        cell = Text(text, style)
        cell.truncate(width, overflow="ellipsis", pad=at + 1 < len(texts))
        line.append_text(cell)
        if at + 1 < len(texts):
            line.append(" " * _GAP)
    return line


def _whole(workers: Workers, console: Console, problem: str = "") -> Group:
    """What fits on the screen: the worst of them come first."""
    most = max(0, console.height - _AROUND - (2 if problem else 0))
    shown = (_counts(workers), table(workers, width=console.width, most=most))
    return Group(Text(problem, style="bold red"), *shown) if problem else Group(*shown)


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
    return Console(highlight=False, markup=False, emoji=False)
