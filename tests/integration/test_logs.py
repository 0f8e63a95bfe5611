"""What a whole run writes: one format, whoever speaks, and nothing below the level that was asked for."""

from __future__ import annotations

import contextlib
import json
import re
import shlex
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from websockets.exceptions import InvalidStatus

from tests.support.logs import documented, section
from tests.support.processes import eventually, free_port, http_get, running, stop
from tests.support.serving import Serving, environment, exporter

pytestmark = pytest.mark.slow

Line = dict[str, str]

_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")
_CONSOLE = re.compile(
    r"(?P<time>\S+Z) \[(?P<level>\w+) *\] (?P<event>.*?) +\[(?P<component>[a-z]+)\](?P<fields>.*)"
)


def from_json(line: str) -> Line:
    fields: Line = json.loads(line)
    return fields


def from_logfmt(line: str) -> Line:
    return dict(part.split("=", 1) for part in shlex.split(line))


def from_console(line: str) -> Line:
    match = _CONSOLE.fullmatch(line)
    assert match is not None, line
    parts = match.groupdict()
    return {**from_logfmt(parts.pop("fields")), **parts}


FORMATS: dict[str, Callable[[str], Line]] = {
    "console": from_console,
    "logfmt": from_logfmt,
    "json": from_json,
}

WORKER = {
    "heartbeat-worker": (sys.executable, "-m", "worker_agent.main", "--bind", "127.0.0.1"),
    "uvicorn": (sys.executable, "-m", "uvicorn", "worker_agent.main:app", "--port", "{port}"),
}


def known_fields() -> set[str]:
    """Those that docs/logging.md lists."""
    return {
        name
        for heading in ("Every line", "Fields")
        for names, _ in documented(heading)
        for name in names.split(", ")
    }


def check(lines: list[Line]) -> list[tuple[str, str, str]]:
    """Level, component and event of each; all have a time, and no field that is not documented."""
    assert [line for line in lines if not _TIME.fullmatch(line["time"])] == []
    assert {name for line in lines for name in line} - known_fields() == set()
    return [(line["level"], line["component"], line["event"]) for line in lines]


@contextlib.contextmanager
def worker(directory: Path, by: str, **variables: object) -> Iterator[Callable[[], str]]:
    """A sample worker until the end of the block, where it is asked to end; yields what reads its log."""
    port = free_port()
    log = directory / "worker.log"
    with running(
        [part.format(port=port) for part in WORKER[by]],
        log=log,
        ready=f"http://127.0.0.1:{port}/health/live",
        env=environment(
            WORKER_ID="w", WORKER_NAME="W", WORKER_HOST="127.0.0.1", WORKER_PORT=port, **variables
        ),
        cwd=directory,
    ) as process:
        yield log.read_text
        process.send_signal(signal.SIGTERM)
        process.wait(10.0)


def live_through(serving: Serving) -> None:
    """A little of everything that is ever said: a life, a death, a refusal, a bad request, an end."""
    serving.register("w")
    with serving.connect("w") as connection:
        connection.send('{"type":"heartbeat","seq":7}')
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
    said = check(lines)
    assert {level for level, _, _ in said} == {"debug", "info", "warning"}
    assert {speaker for _, speaker, _ in said} == {"manager", "store", "server"}
    for expected in (
        ("info", "manager", "W: none -> registered (registered)"),
        ("info", "manager", "W: registered -> connected (connected)"),
        ("debug", "manager", "heartbeat of w"),
        ("info", "manager", "W: connected -> alive (heartbeat)"),
        ("debug", "manager", "connection of w ended: lost"),
        ("warning", "manager", "W: alive -> disconnected (connection_lost)"),
        ("info", "server", "Application startup complete."),
        ("info", "server", "Application shutdown complete."),
    ):
        assert said.count(expected) == 1
    (heartbeat,) = [line for line in lines if line["event"] == "heartbeat of w"]
    assert {name: str(heartbeat[name]) for name in ("worker_id", "connection", "seq")} == {
        "worker_id": "w",
        "connection": "1",
        "seq": "7",
    }


@pytest.mark.parametrize("by", ["serve", "uvicorn"])
def test_one_line_a_connection_and_one_a_change(tmp_path: Path, by: str) -> None:
    """At INFO a worker's life is these lines; uvicorn does not tell it a second time."""
    with exporter(tmp_path, by) as serving:
        live_through(serving)
        lines = [line for line in serving.log() if "worker_id" in line or "WebSocket" in line["event"]]
    (connected,) = [line for line in lines if "connection" in line]
    assert connected["event"] == f"w connected from {connected['client']}"
    assert [
        (line["level"], line.get("from"), line.get("to"), line.get("reason"), line["worker_id"])
        for line in lines
    ] == [
        ("info", "none", "registered", "registered", "w"),
        ("info", None, None, None, "w"),
        ("info", "registered", "connected", "connected", "w"),
        ("info", "connected", "alive", "heartbeat", "w"),
        ("warning", "alive", "disconnected", "connection_lost", "w"),
    ]


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


@pytest.mark.parametrize("by", WORKER)
@pytest.mark.parametrize("format", FORMATS)
def test_a_worker_likewise(tmp_path: Path, by: str, format: str) -> None:
    """Its own lines, its agent's and its server's: a start without an exporter, a life with one, an end."""
    port = free_port()
    variables = {"LOG_FORMAT": format, "LOG_LEVEL": "DEBUG"}
    with worker(tmp_path, by, MANAGER_HOST="127.0.0.1", MANAGER_PORT=port, **variables) as log:
        eventually(lambda: "no heartbeats" in log(), within=10)
        with exporter(tmp_path, port=port) as serving:
            eventually(lambda: serving.status() == "alive", within=30)
            (known,) = serving.get("/workers")
            http_get(f"http://127.0.0.1:{known['port']}/")
            eventually(lambda: '"heartbeat"' in log().replace("\\", ""), within=10)
    lines = [FORMATS[format](line) for line in log().splitlines()]
    said = check(lines)
    assert {speaker for _, speaker, _ in said} == {"agent", "server", "worker"}
    assert ("info", "agent", f"heartbeats of W go to http://127.0.0.1:{port}") in said
    assert ("info", "agent", "registered as w") in said
    assert ("debug", "worker", "worked for 1000 rounds") in said
    assert ("debug", "agent") in {(level, who) for level, who, event in said if event.startswith("sent ")}
    assert ("info", "server", "Application shutdown complete.") in said
    connected = ("info", "agent", f"connected to ws://127.0.0.1:{port}/ws/w")
    assert said.count(connected) == 1


BROKEN = """
import threading
import warnings

from {main} import app


async def broken() -> None:
    warnings.warn("old hat", FutureWarning)
    threading.Thread(target=lambda: 1 / 0, name="helper").start()
    raise LookupError("lost")


app.add_api_route("/broken", broken)
"""


@pytest.mark.parametrize("main", ["exporter.main", "worker_agent.main"])
def test_tracebacks_are_lines_too(tmp_path: Path, main: str) -> None:
    """Of a request, of a thread, and what Python warns of, in either program."""
    (tmp_path / "broken.py").write_text(BROKEN.format(main=main))
    port, log = free_port(), tmp_path / "broken.log"
    command = [sys.executable, "-m", "uvicorn", "broken:app", "--port", str(port)]
    variables = {"LOG_FORMAT": "json", "SQLITE_PATH": tmp_path / "registry.db", "MANAGER_PORT": free_port()}
    url = f"http://127.0.0.1:{port}"
    with running(
        command, log=log, ready=f"{url}/health/live", env=environment(**variables), cwd=tmp_path
    ) as process:
        with pytest.raises(OSError, match="500"):
            http_get(f"{url}/broken")
        process.send_signal(signal.SIGTERM)
        process.wait(10.0)
    lines = [from_json(line) for line in log.read_text().splitlines()]
    said = {
        (line["level"], line["component"], line["event"]): line["exception"].splitlines()[-1]
        for line in lines
        if "exception" in line
    }
    assert said == {
        ("error", "python", "uncaught exception in thread helper"): "ZeroDivisionError: division by zero",
        ("error", "server", "Exception in ASGI application"): "LookupError: lost",
    }
    (warning,) = [line for line in lines if line["component"] == "python" and line["level"] == "warning"]
    assert "FutureWarning: old hat" in warning["event"]


def test_several_server_processes(tmp_path: Path) -> None:
    """The parent of uvicorn's workers speaks as they do, with the file that the documentation has."""
    (configuration,) = re.findall(
        r"^```json\n(.*?)^```$", section("Several server processes"), re.DOTALL | re.MULTILINE
    )
    (tmp_path / "uvicorn-log.json").write_text(configuration)
    port, log = free_port(), tmp_path / "worker.log"
    command = [*WORKER["uvicorn"], "--workers", "2", "--log-config", "uvicorn-log.json"]
    with running(
        [part.format(port=port) for part in command],
        log=log,
        ready=f"http://127.0.0.1:{port}/health/live",
        env=environment(LOG_FORMAT="json", WORKER_PORT=port, MANAGER_PORT=free_port()),
        cwd=tmp_path,
    ) as process:
        eventually(lambda: log.read_text().count("Application startup complete") == 2, within=20)
        stop(process)
    said = check([from_json(line) for line in log.read_text().splitlines()])
    assert {event.partition(" [")[0] for _, who, event in said if who == "server"} >= {
        "Started parent process",
        "Started server process",
        "Finished server process",
        "Stopping parent process",
    }
