"""The common log format, and what the exporter leaves out of it, however it is started."""

from __future__ import annotations

import logging
from typing import TextIO

from worker_agent import logs

_WEBSOCKETS = ('%s - "WebSocket', "connection ")
"""How uvicorn's messages about handshakes begin, and those about the ends of connections."""


def configure(level: str, format: str, *, stream: TextIO | None = None) -> None:
    """As `worker_agent.logs.configure`, without uvicorn's lines about what has a line of ours."""
    logs.configure(level, format, stream=stream)
    logging.getLogger("uvicorn.error").addFilter(_is_not_told_by_us)


def _is_not_told_by_us(record: logging.LogRecord) -> bool:
    return record.levelno != logging.INFO or not str(record.msg).startswith(_WEBSOCKETS)
