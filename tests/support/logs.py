"""Logging as a test found it, for programs configure it for the whole process; and as it is documented."""

from __future__ import annotations

import contextlib
import logging
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import structlog

ROOT = Path(__file__).parents[2]

CONFIGURED = (
    None,
    "uvicorn",
    "uvicorn.access",
    "uvicorn.error",
    "uvicorn.asgi",
    "websockets",
    "asyncio",
    "sse_starlette",
)
"""The loggers that `worker_agent.logs.configure` changes; None is the root."""


@contextlib.contextmanager
def put_back() -> Iterator[None]:
    """Whatever is configured within the block is undone at its end."""
    before = [
        (log, log.level, log.handlers[:], log.filters[:], log.propagate)
        for log in map(logging.getLogger, CONFIGURED)
    ]
    hooks = sys.excepthook, threading.excepthook, sys.unraisablehook
    yield
    sys.excepthook, threading.excepthook, sys.unraisablehook = hooks
    logging.captureWarnings(False)
    structlog.reset_defaults()
    for log, level, handlers, filters, propagate in before:
        log.setLevel(level)
        log.handlers[:] = handlers
        log.filters[:] = filters
        log.propagate = propagate


def section(heading: str) -> str:
    """What stands under a heading of docs/logging.md."""
    page = (ROOT / "docs" / "logging.md").read_text()
    return page.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]


def documented(heading: str) -> list[tuple[str, ...]]:
    """The rows of the table under a heading, without backquotes."""
    rows = [line.strip("| ").split(" | ") for line in section(heading).splitlines() if line.startswith("|")]
    return [tuple(cell.strip().replace("`", "") for cell in row) for row in rows[2:]]
