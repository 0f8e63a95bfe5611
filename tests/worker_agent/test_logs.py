"""One log format for our lines, the libraries', and Python's."""

from __future__ import annotations

import io
import json
import logging
import logging.config
import re
import subprocess
import sys
import threading
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import structlog

from tests.support.logs import put_back
from tests.worker_agent.fake_exporter import answer, exporter_in_thread
from worker_agent import logs

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def logging_as_found() -> Iterator[None]:
    """Configuring is for the whole process: put everything back."""
    with put_back():
        yield


def written(format: str, level: str = "INFO") -> io.StringIO:
    stream = io.StringIO()
    logs.configure(level, format, stream=stream)
    return stream


def timeless(stream: io.StringIO) -> str:
    """What was written, with T for each time and one space for several."""
    text = re.sub(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", "T", stream.getvalue())
    return re.sub(" +", " ", text)


def from_json(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_json() -> None:
    """An object has time, level, component and event, in this order, then the fields, and no more."""
    stream = written("json")
    logging.getLogger("exporter.api").info("worker %s up", "w1", extra={"worker_id": "w1", "group": 'a"b'})
    assert timeless(stream) == (
        '{"time": "T", "level": "info", "component": "manager", "event": "worker w1 up",'
        ' "worker_id": "w1", "group": "a\\"b"}\n'
    )


def test_the_time_is_that_of_the_event() -> None:
    """Of the call, in UTC, however late the line is written."""
    record = logging.makeLogRecord(
        {"name": "a", "levelname": "INFO", "msg": "x", "created": 1_790_000_000.25}
    )
    assert logs.formatter("logfmt").format(record) == (
        "time=2026-09-21T14:13:20.250Z level=info component=a event=x"
    )


def test_logfmt() -> None:
    """A line has the same in the same order and quotes what has spaces."""
    stream = written("logfmt")
    logging.getLogger("a.b").warning("two words", extra={"reason": "timeout", "leave": True, "at": None})
    assert timeless(stream) == (
        'time=T level=warning component=a event="two words" reason=timeout leave=true at=\n'
    )


def test_console() -> None:
    """The component comes after the event; no colours when the stream is no terminal."""
    stream = written("console")
    logging.getLogger("worker_agent.client").error("it broke", extra={"worker": "W 1", "code": 1})
    assert timeless(stream) == "T [error ] it broke [agent] worker='W 1' code=1\n"


def test_colours() -> None:
    """A terminal gets them, and the same text."""

    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    stream = Terminal()
    logs.configure("INFO", "console", stream=stream)
    logging.getLogger("a").info("it works")
    plain = io.StringIO(re.sub("\x1b\\[[0-9;]*m", "", stream.getvalue()))
    assert plain.getvalue() != stream.getvalue()
    assert timeless(plain) == "T [info ] it works [a]\n"


@pytest.mark.parametrize(
    ("logger", "speaker"),
    [
        ("exporter", "manager"),
        ("exporter.api.heartbeat", "manager"),
        ("exporter.store.journal", "store"),
        ("exporter.storekeeper", "manager"),
        ("worker_agent.client", "agent"),
        ("worker_agent.health.runner", "health"),
        ("worker_agent.main", "worker"),
        ("uvicorn.error", "server"),
        ("websockets.client", "websocket"),
        ("py.warnings", "python"),
        ("python", "python"),
        ("asyncio", "asyncio"),
        ("orders.api.routes", "orders"),
        ("__main__", "__main__"),
        ("root", "root"),
    ],
)
def test_components(logger: str, speaker: str) -> None:
    """Whole parts of a logger's name count, the longest first; an application is called by its own name."""
    assert logs.component(logger) == speaker


@pytest.mark.parametrize("format", ["console", "logfmt", "json"])
def test_exceptions(format: str) -> None:
    """A traceback follows the event and shows no local variables."""
    stream = written(format)
    password = "hunter2"
    try:
        raise LookupError(f"lost after {len(password)}")
    except LookupError:
        logging.getLogger("a").exception("failed\n")
    assert "LookupError: lost after 7" in stream.getvalue()
    assert "hunter2'" not in stream.getvalue()
    assert len(stream.getvalue().splitlines()) == (5 if format == "console" else 1)


def test_a_stack_is_a_field() -> None:
    """Of a line that asks for it."""
    stream = written("json")
    logging.getLogger("a").info("here", stack_info=True)
    (line,) = from_json(stream)
    assert set(line) == {"time", "level", "component", "event", "stack"}
    assert line["stack"].startswith("Stack (most recent call last):\n")


def test_fields_lose_nothing_and_replace_nothing() -> None:
    """A field that is called like what every line has gets an underscore."""
    stream = written("json")
    logging.getLogger("a").info(
        "said", extra={"time": 1, "level": 2, "component": 3, "event": 4, "logger": 5}
    )
    assert list(from_json(stream)[0].items())[3:] == [
        ("event", "said"),
        *{"time_": 1, "level_": 2, "component_": 3, "event_": 4, "logger_": 5}.items(),
    ]


def test_what_libraries_attach_for_themselves() -> None:
    """Uvicorn's second, coloured message and websockets' connection are no fields."""
    stream = written("logfmt")
    logging.getLogger("uvicorn.error").info("Started [%d]", 7, extra={"color_message": "\x1b[36mStarted"})
    logging.getLogger("websockets.client").info("closed", extra={"websocket": object()})
    assert [line.partition("component=")[2] for line in stream.getvalue().splitlines()] == [
        'server event="Started [7]"',
        "websocket event=closed",
    ]


@pytest.mark.parametrize("key", ["two words", "a=b", 'a"b', "a\nb"])
def test_a_key_that_logfmt_cannot_have(key: str) -> None:
    """It is mended, for the sake of the line."""
    stream = written("logfmt")
    logging.getLogger("a").info("x", extra={key: 1})
    assert re.search(r" event=x (two_words|a_b)=1\n$", stream.getvalue())


def test_a_value_that_logfmt_quotes() -> None:
    """Of control characters none is left: a reader would take them for the end of a value or of the line."""
    stream = written("logfmt")
    fields = {
        "a": "x\ty",
        "b": "x\ny",
        "c": "\x1b[2J",
        "d": 'C:\\d "e"',
        "e": "C:\\d",
        "f": None,
        "g": True,
        "h": "",
    }
    logging.getLogger("orders").info("hi", extra=fields)
    assert timeless(stream) == (
        'time=T level=info component=orders event=hi a="x\\ty" b="x\\ny" c="\\u001b[2J"'
        ' d="C:\\\\d \\"e\\"" e=C:\\d f= g=true h=\n'
    )


def test_a_value_that_json_cannot_have() -> None:
    """It is shown as Python shows it, and costs neither the line nor the other fields."""
    cycle: list[object] = []
    cycle.append(cycle)
    stream = written("json")
    fields = {"a": float("nan"), "b": {(1, 2): 3}, "c": cycle, "d": {"e": [1, None]}, "f": b"x"}
    logging.getLogger("orders").info("hi", extra=fields)
    [line] = from_json(stream)
    assert {name: line[name] for name in fields} == {
        "a": "nan",
        "b": "{(1, 2): 3}",
        "c": "[[...]]",
        "d": {"e": [1, None]},
        "f": "b'x'",
    }


def test_level() -> None:
    """Lines below the level stay away, and DEBUG does not open the floodgates of the libraries."""
    stream = written("logfmt", "WARNING")
    logging.getLogger("a").info("quiet")
    assert stream.getvalue() == ""
    stream = written("logfmt", "debug")
    logging.getLogger("websockets.client").debug("> TEXT")
    logging.getLogger("uvicorn.error").debug("< authorization: Bearer 1234")
    logging.getLogger("asyncio").debug("Using selector")
    logging.getLogger("worker_agent.client").debug("heartbeat")
    assert [line.partition("component=")[2] for line in stream.getvalue().splitlines()] == [
        "agent event=heartbeat"
    ]


def test_takes_over_the_server() -> None:
    """Uvicorn's lines use the same handler even when uvicorn had configured its own before."""
    own = io.StringIO()
    server = logging.getLogger("uvicorn")
    server.addHandler(logging.StreamHandler(own))
    server.propagate = False
    stream = written("logfmt")
    logging.getLogger("uvicorn.error").info("Started")
    assert own.getvalue() == ""
    assert stream.getvalue().endswith("level=info component=server event=Started\n")


def test_the_level_is_the_servers_too() -> None:
    """Uvicorn gives its loggers a level of their own before it imports an application."""
    for name in ("uvicorn", "uvicorn.error", "uvicorn.access"):
        logging.getLogger(name).setLevel("INFO")
    stream = written("logfmt", "WARNING")
    logging.getLogger("uvicorn.access").info("GET /metrics")
    logging.getLogger("uvicorn.error").info("Started")
    assert stream.getvalue() == ""


def test_configured_twice() -> None:
    """The second configuration replaces the first."""
    first, second = written("json"), written("logfmt")
    logging.getLogger("a").info("once")
    assert first.getvalue() == ""
    assert second.getvalue().count("once") == 1


@pytest.mark.parametrize(
    ("level", "format", "said"),
    [
        ("INFO", "xml", "^format=xml: must be console, logfmt or json$"),
        ("LOUD", "json", "^level=LOUD: must be DEBUG, INFO, WARNING, ERROR or CRITICAL$"),
    ],
)
def test_what_there_is_not(level: str, format: str, said: str) -> None:
    """A level or format nobody knows is an error that names those there are, and nothing changes."""
    before = written("json")
    with pytest.raises(ValueError, match=said):
        logs.configure(level, format, stream=io.StringIO())
    logging.getLogger("a").info("as ever")
    assert [line["event"] for line in from_json(before)] == ["as ever"]


def test_structlog() -> None:
    """An application that logs with structlog gets the same lines, and the same level."""
    stream = written("json")
    log = structlog.get_logger("orders.api").bind(order=7)
    log.debug("looked at")
    log.info("order %s taken", "A-7", channel="web")
    assert [list(line.values())[1:] for line in from_json(stream)] == [
        ["info", "orders", "order A-7 taken", 7, "web"]
    ]


def test_structlogs_context() -> None:
    """What is bound to the context, such as the id of a request, is on everybody's lines that do not know
    better."""
    stream = written("json")
    with structlog.contextvars.bound_contextvars(request_id="r1"):
        logging.getLogger("sqlalchemy").info("select", extra={"rows": 3})
        structlog.get_logger("orders").warning("slow")
        logging.getLogger("proxy").info("passed on", extra={"request_id": "r2"})
    assert [list(line.values())[2:] for line in from_json(stream)] == [
        ["sqlalchemy", "select", "r1", 3],
        ["orders", "slow", "r1"],
        ["proxy", "passed on", "r2"],
    ]


def test_a_configuration_of_ones_own() -> None:
    """`formatter` fits into a dictConfig, for whoever needs handlers that `configure` does not make."""
    stream = io.StringIO()
    logging.config.dictConfig(
        {
            "version": 1,
            "disable_existing_loggers": False,
            "formatters": {"ours": {"()": "worker_agent.logs.formatter", "format": "logfmt"}},
            "handlers": {
                "own": {"class": "logging.StreamHandler", "formatter": "ours", "stream": stream},
            },
            "loggers": {"uvicorn": {"handlers": ["own"], "level": "INFO", "propagate": False}},
        }
    )
    logging.getLogger("uvicorn.error").info("Started parent process")
    assert timeless(stream) == ('time=T level=info component=server event="Started parent process"\n')


def test_warnings() -> None:
    """Python's own are lines like others."""
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        stream = written("json")
        warnings.warn_explicit("old hat", DeprecationWarning, "orders.py", 7)
        logging.captureWarnings(False)
    (line,) = from_json(stream)
    assert (line["level"], line["component"]) == ("warning", "python")
    assert line["event"] == "orders.py:7: DeprecationWarning: old hat"


def test_hooks_of_others_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody who collects uncaught exceptions goes on doing so."""

    def hook(*_: object) -> None:
        raise AssertionError("nothing happens here")

    for module, name in ((sys, "excepthook"), (threading, "excepthook"), (sys, "unraisablehook")):
        monkeypatch.setattr(module, name, hook)
    written("json")
    assert (sys.excepthook, threading.excepthook, sys.unraisablehook) == (hook, hook, hook)


ENDS_BADLY = """
import sys, threading
from worker_agent import logs
logs.configure("INFO", "json")

class Unlucky:
    def __del__(self):
        1 / 0

Unlucky()
thread = threading.Thread(target=lambda: {}["absent"], name="helper")
thread.start()
thread.join()
quiet = threading.Thread(target=sys.exit)
quiet.start()
quiet.join()
raise OSError("the end")
"""


def python(program: str, **environment: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        timeout=60,
        cwd=ROOT,
        env={name: str(value) for name, value in environment.items()},
        check=False,
    )


def test_exceptions_that_nobody_caught() -> None:
    """In a finalizer, in a thread and at the very end: each is one line with its traceback."""
    done = python(ENDS_BADLY)
    lines = [json.loads(line) for line in done.stderr.splitlines()]
    said = [(line["level"], line["component"], line["event"]) for line in lines]
    finalizer = said.pop(0)
    assert finalizer[:2] == ("error", "python")
    assert re.match("Exception ignored .*<function Unlucky.__del__", finalizer[2])  # as Python says it
    assert said == [
        ("error", "python", "uncaught exception in thread helper"),
        ("critical", "python", "uncaught exception"),
    ]
    assert [line["exception"].splitlines()[-1] for line in lines] == [
        "ZeroDivisionError: division by zero",
        "KeyError: 'absent'",
        "OSError: the end",
    ]
    assert done.returncode == 1


def test_ctrl_c_is_no_defect() -> None:
    """It ends a program as it ends any other."""
    done = python('from worker_agent import logs; logs.configure(format="json"); raise KeyboardInterrupt')
    assert done.stderr.splitlines()[-1] == "KeyboardInterrupt"


AN_APPLICATION = """
import asyncio, json, logging, sys, threading, warnings

def state():
    names = [None, "worker_agent", *(name for name in logging.root.manager.loggerDict
        if name.startswith(("worker_agent.", "websockets", "uvicorn", "fastapi", "asyncio")))]
    found = {str(name): repr((log.level, log.handlers, log.filters, log.propagate, log.disabled))
        for name, log in ((name, logging.getLogger(name)) for name in names)}
    hooks = (sys.excepthook, threading.excepthook, sys.unraisablehook, warnings.showwarning)
    return found, [repr(hook) for hook in hooks]

untouched = repr((0, [], [], True, False))
before = state()
from fastapi import FastAPI
from worker_agent import Agent

async def main():
    agent = Agent()
    app = FastAPI(lifespan=agent.lifespan)
    agent.instrument(app)
    async with app.router.lifespan_context(app):
        while not agent.statistics.heartbeats_sent:
            await asyncio.sleep(0.01)

asyncio.run(main())
after = state()
assert after[1] == before[1], after
assert after[0]["None"] == before[0]["None"], after
print(json.dumps({
    "touched": [name for name, found in after[0].items() if name != "None" and found != untouched],
    "known": [name for name in sorted(after[0]) if name.startswith("worker_agent")],
    "structlog": "structlog" in sys.modules,
}))
"""


def test_the_library_leaves_logging_alone() -> None:
    """An application that imports it and runs an agent finds its loggers, handlers and hooks untouched."""
    with exporter_in_thread([answer]) as exporter:
        done = python(AN_APPLICATION, MANAGER_HOST="127.0.0.1", MANAGER_PORT=exporter.port)
    assert (done.returncode, done.stderr) == (0, "")
    found: Mapping[str, Any] = json.loads(done.stdout)
    assert {"worker_agent.agent", "worker_agent.client"} <= set(found["known"])
    assert (found["touched"], found["structlog"]) == ([], False)
