"""Logging as a test found it: programs configure it for the whole process."""

from __future__ import annotations

import contextlib
import logging
import sys
import threading
from collections.abc import Iterator

import structlog

CONFIGURED = (None, "uvicorn", "uvicorn.access", "uvicorn.error", "uvicorn.asgi", "websockets", "asyncio")
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
