"""What a whole run writes: one format, whoever speaks, and nothing below the level that was asked for."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Callable
from pathlib import Path

import pytest
from websockets.exceptions import InvalidStatus

from tests.support.processes import eventually
from tests.support.serving import Serving, exporter

pytestmark = pytest.mark.slow

Line = dict[str, str]

_CONSOLE = re.compile(r"(?P<time>\S+Z) \[(?P<level>\w+) *\] (?P<event>.*?) +\[(?P<component>\w+)\].*")


def from_json(line: str) -> Line:
    fields: Line = json.loads(line)
    return fields


def from_logfmt(line: str) -> Line:
    return dict(part.split("=", 1) for part in shlex.split(line))


def from_console(line: str) -> Line:
    match = _CONSOLE.fullmatch(line)
    assert match is not None, line
    return match.groupdict()


FORMATS: dict[str, Callable[[str], Line]] = {
    "console": from_console,
    "logfmt": from_logfmt,
    "json": from_json,
}


def live_through(serving: Serving) -> None:
    """A little of everything that is ever said: a life, a death, a refusal, a bad request, an end."""
    serving.register("w")
    with serving.connect("w") as connection:
        connection.send('{"type":"heartbeat"}')
        eventually(lambda: serving.status() == "alive", within=10)
    eventually(lambda: serving.status() == "disconnected", within=10)
    with pytest.raises(InvalidStatus), serving.connect("nobody"):
        pass
    with pytest.raises(OSError, match="422"):
        serving.register("")
    serving.end()


@pytest.mark.parametrize("by", ["serve", "uvicorn"])
@pytest.mark.parametrize("format", FORMATS)
def test_every_line_is_in_the_chosen_format(tmp_path: Path, by: str, format: str) -> None:
    """Ours and the server's, from the first to the last, each with a time and a level."""
    with exporter(
        tmp_path, by, SQLITE_PATH=tmp_path / "registry.db", LOG_FORMAT=format, LOG_LEVEL="DEBUG"
    ) as serving:
        live_through(serving)
        lines = [FORMATS[format](line) for line in serving.text().splitlines()]
    assert all(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z", line["time"]) for line in lines)
    assert {line["level"] for line in lines} <= {"debug", "info", "warning"}
    said = [(line["level"], line["component"], line["event"]) for line in lines]
    for expected in (
        ("info", "manager", "W: none -> registered (registered)"),
        ("debug", "manager", "W: registered -> connected (connected)"),
        ("info", "manager", "W: connected -> alive (heartbeat)"),
        ("warning", "manager", "W: alive -> disconnected (connection_lost)"),
        ("info", "server", "Application startup complete."),
        ("info", "server", "Application shutdown complete."),
    ):
        assert expected in said


@pytest.mark.parametrize("by", ["serve", "uvicorn"])
def test_a_level_leaves_out_what_is_below_it(tmp_path: Path, by: str) -> None:
    """At WARNING a quiet run says nothing but the loss of a worker, and an access log nothing at all."""
    with exporter(
        tmp_path, by, SQLITE_PATH=tmp_path / "registry.db", LOG_FORMAT="json", LOG_LEVEL="WARNING"
    ) as serving:
        live_through(serving)
        lines = [line for line in serving.log() if "stood still" not in line["event"]]
    assert [(line["level"], line["event"]) for line in lines] == [
        ("warning", "W: alive -> disconnected (connection_lost)")
    ]
