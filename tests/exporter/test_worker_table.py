"""Workers as a table for a terminal."""

from __future__ import annotations

import io
import json
import re
import time
from collections.abc import Mapping
from typing import Any, cast

import pytest
from rich.console import Console

from exporter import worker_table
from exporter.asking import AskedExporter, NoAnswer, Workers
from exporter.clock import rfc3339
from exporter.core.model import Wall

NOW = 1_700_000_000.0


def row(name: str, status: str, reason: str, **more: object) -> dict[str, Any]:
    since = more.pop("since", NOW - 10)
    return {
        "worker_id": f"{name.lower()}-1",
        "name": name,
        "group": "shop",
        "status": status,
        "reason": reason,
        "since": rfc3339(Wall(cast(float, since))),
        "last_heartbeat_timestamp": NOW - 3,
        **more,
    }


FLEET = [
    row("Alpha", "alive", "heartbeat", since=NOW - 90_000),
    row("Beta", "not_responding", "timeout", since=NOW - 125, last_heartbeat_timestamp=NOW - 140),
    row("Gamma", "registered", "registered", last_heartbeat_timestamp=None),
    row("Delta", "disconnected", "shutdown"),
    row("Aleph", "alive", "heartbeat", group="bar"),
]


class Fleet(AskedExporter):
    """Answers with these, one after the other; what is an error is raised."""

    def __init__(self, *answers: list[dict[str, Any]] | Exception) -> None:
        super().__init__("http://exporter:8000")
        self._answers = list(answers)

    def workers(self, filters: Mapping[str, str | list[str]]) -> Workers:
        answer = self._answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return Workers(answer, NOW)


def test_the_worst_come_first(capsys: pytest.CaptureFixture[str]) -> None:
    """By status, then by group and name; times are how long ago, by the exporter's clock."""
    worker_table.show(Fleet(FLEET), {})
    assert [line.rstrip() for line in capsys.readouterr().out.splitlines()] == [
        "NAME   GROUP  STATUS          REASON      SINCE      HEARTBEAT  ID",
        "Beta   shop   not_responding  timeout     2 min ago  2 min ago  beta-1",
        "Delta  shop   disconnected    shutdown    10 s ago   3 s ago    delta-1",
        "Gamma  shop   registered      registered  10 s ago   never      gamma-1",
        "Aleph  bar    alive                       10 s ago   3 s ago    aleph-1",
        "Alpha  shop   alive                       25 h ago   3 s ago    alpha-1",
        "5 workers: 2 alive, 1 registered, 1 disconnected, 1 not_responding",
    ]


def test_nobody_is_a_table_too(capsys: pytest.CaptureFixture[str]) -> None:
    """With its columns, and the count."""
    worker_table.show(Fleet([]), {})
    assert [line.rstrip() for line in capsys.readouterr().out.splitlines()] == [
        "NAME  GROUP  STATUS  REASON  SINCE  HEARTBEAT  ID",
        "0 workers",
    ]


def test_json_is_what_the_exporter_said(capsys: pytest.CaptureFixture[str]) -> None:
    """In its order, for another program."""
    worker_table.show(Fleet(FLEET), {}, as_json=True)
    assert json.loads(capsys.readouterr().out) == FLEET


def test_a_name_moves_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    """Escape sequences, line ends, text that turns the line around, and markup are only shown."""
    worker_table.show(Fleet([row("\x1b[2J[red]a\n\u202eb[/red]", "alive", "heartbeat", worker_id="a")]), {})
    shown = capsys.readouterr().out.splitlines()[1]
    assert shown.startswith("\ufffd[2J[red]a\ufffd\ufffdb[/red]  shop")


def test_a_long_name_is_not_cut_off_in_a_pipe(capsys: pytest.CaptureFixture[str]) -> None:
    """What another program reads is whole."""
    worker_table.show(Fleet([row("x" * 500, "alive", "heartbeat")]), {})
    assert "x" * 500 in capsys.readouterr().out


def test_columns_are_as_wide_as_their_widest_text() -> None:
    """In cells of the terminal, of which some characters take two."""
    wide = Workers([row("東京京", "alive", ""), row("Beta", "alive", "")], NOW)
    drawn = worker_table.table(wide).plain.splitlines()
    assert [line.partition("shop")[0] for line in drawn[1:]] == ["Beta    ", "東京京  "]
    assert drawn[0].startswith("NAME    GROUP")


def test_on_a_terminal_names_give_way() -> None:
    """So that each line is one, and the id, which `forget` wants, is whole as long as it can be."""
    fleet = Workers([row("x" * 90, "not_responding", "timeout", worker_id="y" * 20)], NOW)
    (_, line) = worker_table.table(fleet, width=90).plain.splitlines()
    assert re.fullmatch(r"x+…  shop +not_responding  timeout  10 s ago  3 s ago    y{20}", line)
    assert len(line) == 90
    (_, line) = worker_table.table(fleet, width=70).plain.splitlines()
    assert re.fullmatch(r"xxxxx…  shop +not_resp\w+…  time\S+ +10 s ago  3 s ago +y+…", line)
    assert len(line) == 70


def test_a_large_fleet_is_drawn_quickly() -> None:
    """On the screen only what fits, with how many more there are; else all of it, in a second or two."""
    fleet = [row(f"W{number}", "alive", "") for number in range(20_000)]
    fleet.append(row("Last", "not_responding", "timeout"))
    began = time.process_time()
    assert len(worker_table.table(Workers(fleet, NOW)).plain.splitlines()) == 20_002
    assert time.process_time() - began < 10.0

    def sleep(seconds: float) -> None:
        raise KeyboardInterrupt

    screen = io.StringIO()
    console = Console(file=screen, force_terminal=True, width=100, height=12)
    with pytest.raises(KeyboardInterrupt):
        worker_table.watch(Fleet(fleet), {}, sleep=sleep, console=console)
    shown = [line.rstrip() for line in _plain(screen.getvalue()).splitlines()]
    assert shown[0] == "20,001 workers: 20,000 alive, 1 not_responding"
    assert shown[2].startswith("Last ")
    assert shown[11] == "and 19,992 more"


def test_watching_outlasts_an_exporter_that_is_away() -> None:
    """What was last known stays, with what is wrong above it; every two seconds it is asked again."""
    slept: list[float] = []

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        if len(slept) == 4:
            raise KeyboardInterrupt

    away = NoAnswer("http://exporter:8000", "connection refused")
    fleet = Fleet(FLEET[:1], away, FLEET[:2], away)
    screen = io.StringIO()
    with pytest.raises(KeyboardInterrupt):
        worker_table.watch(
            fleet, {}, sleep=sleep, console=Console(file=screen, force_terminal=True, width=200)
        )
    assert slept == [worker_table.EVERY] * 4
    home = "\x1b[H"
    looks = [_plain(look) for look in screen.getvalue().split(home)[1:]]
    first, lost, both, lost_again = (look for look in looks if "1 worker" in look or "2 workers" in look)
    assert [
        ("no answer" in look, "Alpha" in look, "Beta" in look) for look in (first, lost, both, lost_again)
    ] == [
        (False, True, False),
        (True, True, False),
        (False, True, True),
        (True, True, True),
    ]


def _plain(screen: str) -> str:
    return re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", screen)


def test_watching_nobody_from_the_start_is_an_error() -> None:
    """A wrong address is said at once, not waited for."""
    away = NoAnswer("http://exporter:8000", "connection refused")
    with pytest.raises(NoAnswer):
        worker_table.watch(Fleet(away), {}, sleep=lambda seconds: None)
