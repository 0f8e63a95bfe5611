"""What the exporter leaves out of the common log format."""

from __future__ import annotations

import io
import json
import logging

import pytest

from exporter import logs


def test_uvicorn_does_not_tell_of_connections_again(
    logging_as_found: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ten thousand workers that come back have ten thousand lines of ours, and not twice as many."""
    stream = io.StringIO()
    monkeypatch.setattr("sys.stderr", stream)
    logs.configure("INFO", "json")
    log = logging.getLogger("uvicorn.error")
    log.info('%s - "WebSocket %s" [accepted]', "127.0.0.1:1", "/ws/w")
    log.info('%s - "WebSocket %s" %d', "127.0.0.1:1", "/ws/nobody", 404)
    log.info("connection open")
    log.info("connection closed")
    log.info("Shutting down")
    log.warning("connection reset")
    assert [json.loads(line)["event"] for line in stream.getvalue().splitlines()] == [
        "Shutting down",
        "connection reset",
    ]
