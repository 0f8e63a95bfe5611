"""The health port beside the application's own server."""

from __future__ import annotations

import re
import signal
import sys
from pathlib import Path

import pytest

from tests.support.processes import free_port, http_get, running
from tests.support.serving import environment

APPLICATION = """
import asyncio, sys
from contextlib import asynccontextmanager
import uvicorn
from fastapi import FastAPI
from tests.worker_agent.health.fake_worker import FakeWorker
from worker_agent.background import Background
from worker_agent.health.answers import Answers
from worker_agent.health.registry import Health
from worker_agent.health.server import listen, serve
from worker_agent.lag import LoopLag

port, health_port = map(int, sys.argv[1:])

@asynccontextmanager
async def lifespan(app):
    if health_port:
        loop, answers = asyncio.get_running_loop(), Answers(FakeWorker(), Health())
        listener = listen(health_port)
        Background(lambda: serve(listener, answers, loop, LoopLag(loop)))
    yield
    await asyncio.sleep(0.1)

app = FastAPI(lifespan=lifespan)
app.add_api_route("/work", lambda: "done")
uvicorn.run(app, port=port)
"""


def story(directory: Path, *, health_port: int) -> tuple[int, str]:
    """Exit code and output of an application that works once and is asked to end."""
    port = free_port()
    log = directory / f"{health_port}.log"
    with running(
        [sys.executable, "-W", "error", "-c", APPLICATION, str(port), str(health_port)],
        log=log,
        ready=lambda: "Uvicorn running" in log.read_text(),
        env=environment(),
        cwd=directory,
    ) as process:
        if health_port:
            for path in ("/health", "/health/live", "/health/ready"):
                http_get(f"http://127.0.0.1:{health_port}{path}")
            with pytest.raises(OSError, match="404"):
                http_get(f"http://127.0.0.1:{health_port}/work")
        assert http_get(f"http://127.0.0.1:{port}/work") == '"done"'
        process.send_signal(signal.SIGTERM)
        code = process.wait(10.0)
    text = log.read_text().replace(f":{port}", ":PORT").replace(f"[{process.pid}]", "[PID]")
    return code, re.sub(r"127.0.0.1:\d+ -", "CLIENT -", text)


@pytest.mark.slow
def test_nothing_is_different(tmp_path: Path) -> None:
    """The application's server says the same, line by line, and ends by its signal as it does without."""
    alone = story(tmp_path, health_port=0)
    assert alone[1].splitlines() == [
        "INFO:     Started server process [PID]",
        "INFO:     Waiting for application startup.",
        "INFO:     Application startup complete.",
        "INFO:     Uvicorn running on http://127.0.0.1:PORT (Press CTRL+C to quit)",
        'INFO:     CLIENT - "GET /work HTTP/1.1" 200 OK',
        "INFO:     Shutting down",
        "INFO:     Waiting for application shutdown.",
        "INFO:     Application shutdown complete.",
        "INFO:     Finished server process [PID]",
    ]
    assert story(tmp_path, health_port=free_port()) == alone
