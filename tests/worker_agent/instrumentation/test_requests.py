"""An application with and without starlette-prometheus."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from fastapi import FastAPI

from worker_agent.instrumentation.middleware import RequestMetrics
from worker_agent.instrumentation.requests import count_requests


def test_with_the_library() -> None:
    """Installed, it becomes middleware of the application."""
    app = FastAPI()
    count_requests(app)
    assert [middleware.cls for middleware in app.user_middleware] == [RequestMetrics]


def test_without_the_library() -> None:
    """Not installed, the rest of /metrics and health are there and the log says once what is not."""
    code = """
        import logging, sys
        sys.modules["starlette_prometheus"] = None
        logging.basicConfig(format="%(levelname)s %(message)s", stream=sys.stdout)
        from fastapi import FastAPI
        from fastapi.testclient import TestClient
        from worker_agent import Agent
        for _ in range(2):
            agent = Agent()
            app = FastAPI(lifespan=agent.lifespan)
            agent.instrument(app)
            with TestClient(app) as client:
                text = client.get("/metrics").text
                names = ("process_cpu", "python_info", "heartbeat_agent", "starlette_")
                shown = [name in text for name in names]
                print(*shown, client.get("/health/ready").status_code)
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)],
        capture_output=True,
        text=True,
        cwd=Path(__file__).parents[3],
        env={"PATH": "/usr/bin", "MANAGER_HOST": "127.0.0.1", "MANAGER_PORT": "1"},
    )
    lines = [line for line in done.stdout.splitlines() if "no heartbeats" not in line]
    assert lines == [
        "WARNING requests are not counted: starlette-prometheus is not installed; "
        "pip install 'heartbeat-exporter[worker]' adds it (licence: GPL-3.0-or-later)",
        "True True True False 200",
        "True True True False 200",
    ], done.stderr


def test_broken_library(monkeypatch: pytest.MonkeyPatch) -> None:
    """A library that is there but cannot be imported is a defect to be seen, not a missing extra."""
    monkeypatch.delitem(sys.modules, "worker_agent.instrumentation.middleware")
    monkeypatch.setitem(sys.modules, "starlette.routing", None)
    with pytest.raises(ModuleNotFoundError, match="starlette"):
        count_requests(FastAPI())
