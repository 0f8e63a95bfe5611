"""One log format for everything a process says: its own lines, those of its libraries, and Python's.

Modules log through `logging.getLogger(__name__)` and hand over what can be filtered by as `extra`. Only a
program calls `configure`, or an application that wants its logs to look the same: imported as a library,
nothing here touches anybody's logging. docs/logging.md lists fields, components and events.
"""

from __future__ import annotations

import json
import logging
import re
import sys
import threading
from collections.abc import Iterable, Mapping, MutableMapping
from datetime import UTC, datetime
from functools import cache
from types import TracebackType
from typing import Any, TextIO

import structlog
from structlog.typing import Processor, WrappedLogger

COMPONENTS: Mapping[str, str] = {
    "exporter": "manager",
    "exporter.store": "store",
    "exporter.probes": "probe",
    "exporter.actions": "action",
    "worker_agent": "agent",
    "worker_agent.health": "health",
    "worker_agent.main": "worker",
    "uvicorn": "server",
    "websockets": "websocket",
    "py.warnings": "python",
}
"""Who speaks, by the name of the logger, of which the longest prefix counts; see `component`."""

_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")

# These bring handlers of their own when a server was started before us; the root has ours.
_SERVER_LOGGERS = ("uvicorn", "uvicorn.error", "uvicorn.access", "uvicorn.asgi")

# At DEBUG these write a line for each frame, header, selector or event, around ours that say the same.
_WORDY_LOGGERS = (*_SERVER_LOGGERS, "websockets", "asyncio", "sse_starlette")

# What a record has besides `extra`. Uvicorn repeats its message with terminal colours, and websockets
# attaches the whole connection.
_NO_FIELDS = {*logging.makeLogRecord({}).__dict__, "message", "asctime", "color_message", "websocket"}

# Not to be had as a field: what every line begins with, one of them also under its name on the console.
_TAKEN = ("time", "level", "component", "event", "logger")

_NO_KEY = re.compile(r"[\s=\"]+")
_TO_QUOTE = re.compile(r"[\x00-\x20\x7f=\"]")

Line = MutableMapping[str, Any]

_python = logging.getLogger("python")


def configure(level: str = "INFO", format: str = "console", *, stream: TextIO | None = None) -> None:
    """Send all log lines of this process to `stream` (default: standard error), in one format.

    Replaces the handlers of the root logger and of uvicorn's, and has Python's warnings and uncaught
    exceptions logged unless somebody else looks after them. What is logged with structlog comes out the
    same way.

    Args:
        level: DEBUG, INFO, WARNING, ERROR or CRITICAL.
        format: console (for people; coloured on a terminal), logfmt or json (one object in a line).

    Raises:
        ValueError: no such level, or no such format; nothing is changed.
    """
    out = sys.stderr if stream is None else stream
    handler = logging.StreamHandler(out)
    handler.setFormatter(formatter(format, colors=out.isatty()))
    if level.upper() not in _LEVELS:
        raise ValueError(f"level={level}: must be {_one_of(_LEVELS)}")
    root = logging.getLogger()
    root.setLevel(level.upper())
    root.handlers[:] = [handler]
    for name in _SERVER_LOGGERS:
        logger = logging.getLogger(name)
        logger.handlers.clear()
        logger.propagate = True
    for name in _WORDY_LOGGERS:
        logging.getLogger(name).setLevel(max(logging.INFO, root.level))
    _have_structlog_pass_through_logging()
    _have_python_log()


def formatter(format: str = "console", *, colors: bool = False) -> logging.Formatter:
    """For a handler of one's own: `{"()": "worker_agent.logs.formatter", "format": "json"}` in a dictConfig.

    Raises:
        ValueError: no such format.
    """
    if format not in _RENDERERS:
        raise ValueError(f"format={format}: must be {_one_of(_RENDERERS)}")
    return structlog.stdlib.ProcessorFormatter(
        processors=[structlog.contextvars.merge_contextvars, _arrange, *_RENDERERS[format](colors)]
    )


def _one_of(names: Iterable[str]) -> str:
    *others, last = names
    return f"{', '.join(others)} or {last}"


@cache
def component(logger: str) -> str:
    """Who speaks through the logger of this name; where COMPONENTS does not say, its first part."""
    prefix = logger
    while prefix:
        if prefix in COMPONENTS:
            return COMPONENTS[prefix]
        prefix = prefix.rpartition(".")[0]
    return logger.partition(".")[0]


def _arrange(logger: WrappedLogger, method: str, event: Line) -> Line:
    """What every line has comes first; a field that is called the same gets an underscore."""
    record: logging.LogRecord = event.pop("_record")
    line = {
        "time": _utc(record.created),
        "level": record.levelname.lower(),
        "component": component(record.name),
        "event": str(event.pop("event", "")).strip(),
    }
    fields = {} if event.pop("_from_structlog") else _extra(record)
    for name, value in {**event, **fields}.items():
        line[f"{name}_" if name in _TAKEN else name] = value
    if "stack_info" in line:
        line["stack"] = line.pop("stack_info")  # as structlog calls it once it is text
    return line


def _extra(record: logging.LogRecord) -> Line:
    return {name: value for name, value in record.__dict__.items() if name not in _NO_FIELDS}


def _utc(timestamp: float) -> str:
    """RFC 3339, with milliseconds as the Prometheus family has it."""
    return datetime.fromtimestamp(timestamp, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _console(colors: bool) -> list[Processor]:
    # Tracebacks as Python prints them: with local variables, secrets would reach the log.
    return [
        _as_logger,
        structlog.dev.ConsoleRenderer(
            colors=colors,
            sort_keys=False,
            timestamp_key="time",
            exception_formatter=structlog.dev.plain_traceback,
        ),
    ]


def _as_logger(logger: WrappedLogger, method: str, line: Line) -> Line:
    """The console renderer has a place for who speaks, under this name."""
    line["logger"] = line.pop("component")
    return line


def _logfmt(colors: bool) -> list[Processor]:
    return [structlog.processors.format_exc_info, _as_logfmt]


def _as_logfmt(logger: WrappedLogger, method: str, line: Line) -> str:
    """As Go's go-logfmt, which Prometheus and Alertmanager write with, and which most readers follow.

    structlog's own renderer leaves tabs and other control characters in values, which those readers refuse.
    """
    return " ".join(f"{_NO_KEY.sub('_', name) or '_'}={_logfmt_value(value)}" for name, value in line.items())


def _logfmt_value(value: object) -> str:
    if value is None:
        return ""
    text = str(value).lower() if isinstance(value, bool) else str(value)
    return json.dumps(text, ensure_ascii=False) if _TO_QUOTE.search(text) else text


def _json(colors: bool) -> list[Processor]:
    return [structlog.processors.format_exc_info, structlog.processors.JSONRenderer(_json_text)]


def _json_text(line: Line, **options: Any) -> str:
    """What JSON cannot have must not cost the line: a field that holds NaN, a cycle, or keys like tuples."""

    def text(value: object) -> str:
        return json.dumps(value, allow_nan=False, **options)

    def plain(value: object) -> object:
        try:
            text(value)
        except (TypeError, ValueError, RecursionError):
            return repr(value)
        return value

    try:
        return text(line)
    except (TypeError, ValueError, RecursionError):
        return text({name: plain(value) for name, value in line.items()})


_RENDERERS = {"console": _console, "logfmt": _logfmt, "json": _json}


def _have_structlog_pass_through_logging() -> None:
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            structlog.stdlib.PositionalArgumentsFormatter(),
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        wrapper_class=structlog.stdlib.BoundLogger,
        logger_factory=structlog.stdlib.LoggerFactory(),
    )


def _have_python_log() -> None:
    """What Python by itself prints as text. A hook that somebody else has set stays."""
    logging.captureWarnings(True)
    if sys.excepthook is sys.__excepthook__:
        sys.excepthook = _uncaught
    if threading.excepthook is threading.__excepthook__:
        threading.excepthook = _uncaught_in_thread
    if sys.unraisablehook is sys.__unraisablehook__:
        sys.unraisablehook = _unraisable


def _uncaught(kind: type[BaseException], error: BaseException, traceback: TracebackType | None) -> None:
    if issubclass(kind, KeyboardInterrupt):
        sys.__excepthook__(kind, error, traceback)  # asked for, and answered as everywhere
    else:
        _python.critical("uncaught exception", exc_info=error)


def _uncaught_in_thread(args: threading.ExceptHookArgs) -> None:
    if args.exc_type is not SystemExit:
        thread = None if args.thread is None else args.thread.name
        _python.error("uncaught exception in thread %s", thread, exc_info=args.exc_value)


def _unraisable(args: sys.UnraisableHookArgs) -> None:
    """Where nobody could have caught it, as in a finalizer."""
    _python.error("%s: %r", args.err_msg or "Exception ignored in", args.object, exc_info=args.exc_value)
