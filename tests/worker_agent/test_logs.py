"""One log format for our lines and the libraries'."""

from __future__ import annotations

import io
import json
import logging
import re
from collections.abc import Iterator

import pytest

from worker_agent import logs

NAMES = (None, "uvicorn", "uvicorn.access", "uvicorn.error", "uvicorn.asgi", "websockets", "asyncio")


@pytest.fixture(autouse=True)
def logging_as_found() -> Iterator[None]:
    """Configuring is for the whole process: put everything back."""
    before = [(log, log.level, log.handlers[:], log.propagate) for log in map(logging.getLogger, NAMES)]
    yield
    for log, level, handlers, propagate in before:
        log.setLevel(level)
        log.handlers[:] = handlers
        log.propagate = propagate


def written(format: str, level: str = "INFO") -> io.StringIO:
    stream = io.StringIO()
    logs.configure(level, format, stream=stream)
    return stream


def test_json() -> None:
    """A JSON line has time, level, logger, the formatted event and the extra fields, and no more."""
    stream = written("json")
    logging.getLogger("exporter.api").info("worker %s up", "w1", extra={"worker_id": "w1", "group": 'a"b'})
    line = json.loads(stream.getvalue())
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z", line.pop("time"))
    assert line == {
        "level": "info",
        "logger": "exporter.api",
        "event": "worker w1 up",
        "worker_id": "w1",
        "group": 'a"b',
    }


def test_logfmt() -> None:
    """A logfmt line begins with time, level, logger and event and quotes what has spaces."""
    stream = written("logfmt")
    logging.getLogger("a.b").warning("two words", extra={"reason": "timeout", "leave": True})
    assert re.sub(r"time=\S+", "time=T", stream.getvalue()) == (
        'time=T level=warning logger=a.b event="two words" reason=timeout leave=true\n'
    )


def test_console() -> None:
    """The console format is uncoloured when the stream is no terminal."""
    stream = written("console")
    logging.getLogger("a.b").error("it broke", extra={"worker": "w1"})
    assert re.fullmatch(r"\S+Z \[error +\] it broke +\[a\.b\] worker=w1\n", stream.getvalue())


@pytest.mark.parametrize("format", ["console", "logfmt", "json"])
def test_exceptions(format: str) -> None:
    """A traceback follows the event and shows no local variables."""
    stream = written(format)
    password = "hunter2"
    try:
        raise LookupError(f"lost after {len(password)}")
    except LookupError:
        logging.getLogger("a").exception("failed")
    assert "LookupError: lost after 7" in stream.getvalue()
    assert "hunter2'" not in stream.getvalue()


def test_level() -> None:
    """Lines below the level stay away, and DEBUG does not open the floodgates of the libraries."""
    stream = written("logfmt", "WARNING")
    logging.getLogger("a").info("quiet")
    assert stream.getvalue() == ""
    stream = written("logfmt", "DEBUG")
    logging.getLogger("websockets.client").debug("> TEXT")
    logging.getLogger("uvicorn.error").debug("< authorization: Bearer 1234")
    logging.getLogger("asyncio").debug("Using selector")
    logging.getLogger("worker_agent.client").debug("heartbeat")
    assert [line.partition("logger=")[2] for line in stream.getvalue().splitlines()] == [
        "worker_agent.client event=heartbeat"
    ]


def test_takes_over_the_server() -> None:
    """Uvicorn's lines use the same handler even when uvicorn had configured its own before."""
    own = io.StringIO()
    server = logging.getLogger("uvicorn")
    server.addHandler(logging.StreamHandler(own))
    server.propagate = False
    stream = written("logfmt")
    logging.getLogger("uvicorn.error").info("Started [%d]", 7, extra={"color_message": "\x1b[36mStarted"})
    assert own.getvalue() == ""
    assert stream.getvalue().endswith('level=info logger=uvicorn.error event="Started [7]"\n')


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


def test_unknown_format() -> None:
    """A format nobody knows is an error, not silence."""
    with pytest.raises(KeyError):
        logs.configure("INFO", "xml")
