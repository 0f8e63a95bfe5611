"""The guide for people who make their application a worker."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
GUIDE = (ROOT / "docs" / "worker.md").read_text()
SNIPPETS = re.findall(r"^```python\n(.*?)^```", GUIDE, re.DOTALL | re.MULTILINE)


@pytest.mark.parametrize("snippet", SNIPPETS, ids=range(len(SNIPPETS)))
def test_snippets_run(snippet: str) -> None:
    """Each Python snippet runs as it stands."""
    command = [sys.executable, "-W", "error", "-c", snippet]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env={"PATH": "/usr/bin"})
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_promised_names() -> None:
    """The metrics and paths in the guide are those of a real application."""
    code = """if True:
        from fastapi import FastAPI
        from fastapi.testclient import TestClient
        from worker_agent import Agent, WorkerSettings
        agent = Agent(WorkerSettings(manager_host="127.0.0.1", manager_port=1))
        app = FastAPI(lifespan=agent.lifespan)
        agent.instrument(app)
        with TestClient(app) as client:
            client.get("/health")
            while "event_loop_lag" not in (text := client.get("/metrics").text):
                pass
            print(text)
            print(*(f"served {path}" for path in {route.path for route in app.routes}), sep="\\n")
    """
    command = [sys.executable, "-c", code]
    output = subprocess.check_output(
        command, text=True, cwd=ROOT, env={"PATH": "/usr/bin"}, stderr=subprocess.DEVNULL
    )
    names = set(re.findall(r"`((?:starlette|heartbeat_agent)_\w+)", GUIDE))
    assert len(names) == 10
    assert [name for name in sorted(names) if f"# TYPE {name} " not in output] == []
    paths = re.findall(r"^\| `(/\S+)` \|", GUIDE, re.MULTILINE)
    assert len(paths) == 5
    assert [path for path in paths if f"served {path}\n" not in output] == []
