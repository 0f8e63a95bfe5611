"""The guides for people who make their application a worker."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.processes import eventually, free_port, http_get, running
from tests.support.serving import environment, exporter

ROOT = Path(__file__).parents[2]
PAGES = {"worker": "docs/worker.md", "health": "docs/health.md", "readme": "README.md"}
GUIDES = {name: (ROOT / path).read_text() for name, path in PAGES.items()}
TEXT = "".join(GUIDES.values())


def snippets(language: str, text: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.DOTALL | re.MULTILINE)


SNIPPETS = [
    pytest.param(snippet, id=f"{name}-{number}")
    for name, text in GUIDES.items()
    for number, snippet in enumerate(snippets("python", text))
]


@pytest.mark.parametrize("snippet", SNIPPETS)
def test_snippets_run(snippet: str) -> None:
    """Each Python snippet runs as it stands."""
    command = [sys.executable, "-W", "error", "-c", snippet]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env={"PATH": "/usr/bin"})
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.slow
def test_five_minutes(tmp_path: Path) -> None:
    """Who does what the first section says has a monitored application; only ports differ."""
    section = GUIDES["worker"].partition("## Five minutes")[2].partition("\n## ")[0]
    [application] = snippets("python", section)
    before, start = snippets("sh", section)
    assert before.splitlines() == [
        "pip install 'heartbeat-exporter[worker]'",
        "SQLITE_PATH=heartbeat.db heartbeat-exporter serve --web.listen-address=:8000",
    ]
    (tmp_path / "orders.py").write_text(application)
    port = str(free_port())
    with exporter(tmp_path) as serving:
        shell = {
            **environment(MANAGER_PORT=serving.port),
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        }
        url = f"http://127.0.0.1:{port}"
        log = tmp_path / "worker.log"
        command = ["sh", "-c", start.replace("8001", port).replace("uvicorn", "exec uvicorn")]
        with running(command, log=log, ready=f"{url}/health/live", env=shell, cwd=tmp_path):
            eventually(lambda: json.loads(http_get(f"{url}/health"))["status"] == "healthy", within=10)
            assert http_get(f"{url}/orders/7") == '{"order":7}'
            counted = 'starlette_requests_total{method="GET",path_template="/orders/{order_id}"} 1.0'
            assert counted in http_get(f"{url}/metrics")
            shown = re.compile(
                r'heartbeat_worker_up\{worker_id="[^"]+",worker="Orders 1",group="default"\} 1'
            )
            assert shown.search(http_get(f"{serving.url}/metrics"))


def test_promised_names() -> None:
    """The metrics and paths in the guides are those of a real application."""
    code = """if True:
        from fastapi import FastAPI
        from fastapi.testclient import TestClient
        from worker_agent import Agent, WorkerSettings, measured
        agent = Agent(WorkerSettings(manager_host="127.0.0.1", manager_port=1))
        app = FastAPI(lifespan=agent.lifespan)
        agent.instrument(app)
        agent.health.check("own")(measured(buckets=(1,))(lambda: True))
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
    names = set(re.findall(r"`((?:starlette|heartbeat_agent)_\w+)", TEXT))
    assert len(names) == 20
    assert [name for name in sorted(names) if f"# TYPE {name} " not in output] == []
    paths = set(re.findall(r"^\| `(/\S+)` \|", TEXT, re.MULTILINE))
    assert len(paths) == 5
    assert [path for path in paths if f"served {path}\n" not in output] == []
