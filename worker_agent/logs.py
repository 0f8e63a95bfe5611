"""One log format for everything a program says, its own lines and those of its libraries.

Modules log through `logging.getLogger(__name__)`. Only a program calls `configure`; a library that is
imported into somebody's application leaves their logging alone.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import MutableMapping
from typing import Any, TextIO

import structlog
from structlog.typing import Processor, WrappedLogger

# These bring handlers of their own when a server was started before us; the root has ours.
_SERVER_LOGGERS = ("uvicorn", "uvicorn.error", "uvicorn.access", "uvicorn.asgi")

# At DEBUG these write a line for each frame, header or selector, around ours that say the same.
_WORDY_LOGGERS = (*_SERVER_LOGGERS, "websockets", "asyncio")


def configure(level: str = "INFO", format: str = "console", *, stream: TextIO | None = None) -> None:
    """Send all log lines of this process to `stream` (default: standard error).

    Args:
        level: DEBUG, INFO, WARNING, ERROR or CRITICAL.
        format: console (for people; coloured on a terminal), logfmt or json (one object in a line).
    """
    out = sys.stderr if stream is None else stream
    handler = logging.StreamHandler(out)
    handler.setFormatter(_formatter(format, colors=out.isatty()))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    for name in _SERVER_LOGGERS:
        logger = logging.getLogger(name)
        logger.handlers.clear()
        logger.propagate = True
    for name in _WORDY_LOGGERS:
        logging.getLogger(name).setLevel(max(logging.INFO, root.level))


def _formatter(format: str, *, colors: bool) -> structlog.stdlib.ProcessorFormatter:
    shared: list[Processor] = [
        structlog.stdlib.ExtraAdder(),
        _drop_duplicates,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="time"),
    ]
    return structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=shared,
        processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *_RENDERERS[format](colors)],
    )


def _console(colors: bool) -> list[Processor]:
    # Tracebacks as Python prints them: with local variables, secrets would reach the log.
    return [
        structlog.dev.ConsoleRenderer(
            colors=colors, timestamp_key="time", exception_formatter=structlog.dev.plain_traceback
        )
    ]


def _logfmt(colors: bool) -> list[Processor]:
    return [
        structlog.processors.format_exc_info,
        structlog.processors.LogfmtRenderer(
            key_order=["time", "level", "logger", "event"], bool_as_flag=False
        ),
    ]


def _json(colors: bool) -> list[Processor]:
    return [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]


_RENDERERS = {"console": _console, "logfmt": _logfmt, "json": _json}


def _drop_duplicates(
    logger: WrappedLogger, method: str, event: MutableMapping[str, Any]
) -> MutableMapping[str, Any]:
    """Uvicorn repeats its message with terminal colours in a field; websockets attaches its connection."""
    event.pop("color_message", None)
    event.pop("websocket", None)
    return event
