"""The sample worker, as the program that people start."""

from __future__ import annotations

import json
import logging
import os
import signal
import socket
import subprocess
import sys
import threading
import urllib.request
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from tests.support.processes import eventually, free_port, http_get, running
from tests.worker_agent.fake_exporter import answer, exporter_in_thread
from worker_agent import main as sample
from worker_agent.main import create_app
from worker_agent.settings import WorkerSettings

ROOT = Path(__file__).parents[2]
FAMILIES = (
    "starlette_requests_total",
    "starlette_responses_total",
    "starlette_requests_processing_time_seconds",
    "starlette_requests_in_progress",
    "starlette_exceptions_total",
    "python_info",
    "process_cpu_seconds_total",
    "heartbeat_agent_connected",
    "heartbeat_agent_health_check_up",
)


def environment(**variables: object) -> dict[str, str]:
    return {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(ROOT),
        **{name: str(value) for name, value in variables.items()},
    }


def heartbeat_worker(*arguments: str, **variables: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "worker_agent.main", *arguments],
        capture_output=True,
        text=True,
        timeout=30,
        env=environment(**variables),
        cwd=ROOT / "tests",
    )


def test_does_a_little_work(bare_environment: None) -> None:
    """GET / works, and bounds what it can be asked for."""
    client = TestClient(create_app(WorkerSettings(worker_name="Worker 1", worker_host="node-1")))
    answer = client.get("/").json()
    assert (answer["worker"], answer["host"], len(answer["result"])) == ("Worker 1", "node-1", 64)
    assert client.get("/", params={"rounds": 0}).json() == client.get("/", params={"rounds": 1}).json()
    assert client.get("/", params={"rounds": "many"}).status_code == 422


def test_blocks_its_event_loop(bare_environment: None) -> None:
    """GET /block holds up the loop on request, a minute at most."""
    client = TestClient(create_app(WorkerSettings(worker_name="Worker 1")))
    assert client.get("/block", params={"seconds": 0}).json() == {"blocked_for": 0}
    assert [client.get("/block", params={"seconds": s}).status_code for s in (-1, 61, "nan")] == [422] * 3


def test_needs_something(bare_environment: None) -> None:
    """With --needs it has a check of that address; what is no address is an error for whoever started it."""
    settings = WorkerSettings(worker_name="Worker 1")
    checks = (
        TestClient(create_app(settings, sample._dependency("[::1]:6379"))).get("/health").json()["checks"]
    )
    assert list(checks) == ["event-loop", "dependency", "exporter"]
    done = heartbeat_worker("--needs", "redis")
    assert done.returncode == 2
    assert done.stderr.endswith("error: argument --needs: expected HOST:PORT, not 'redis'\n")


def test_logs_its_work(bare_environment: None, caplog: pytest.LogCaptureFixture) -> None:
    """A line of the application's own, as one with more to say would write it."""
    caplog.set_level(logging.DEBUG, "worker_agent.main")
    client = TestClient(create_app(WorkerSettings(worker_name="Worker 1", worker_host="node-1")))
    client.get("/", params={"rounds": 7})
    [line] = [record for record in caplog.records if record.name == "worker_agent.main"]
    assert (line.levelname, line.getMessage()) == ("DEBUG", "worked for 7 rounds")
    assert vars(line)["worker"] == "Worker 1"


def test_help_needs_no_settings() -> None:
    """--help explains itself even where the settings are wrong."""
    done = heartbeat_worker("--help", WORKER_PORT="x")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(
        "usage: heartbeat-worker [-h] [--bind ADDRESS] [--needs HOST:PORT] [--version]\n"
    )


def test_version() -> None:
    """--version names the program."""
    assert heartbeat_worker("--version").stdout.startswith("heartbeat-worker ")


def test_wrong_settings() -> None:
    """Wrong settings are all named, without a traceback, and end with exit code 2."""
    done = heartbeat_worker(WORKER_PORT="x", HEARTBEAT_INTERVAL="0")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.splitlines() == [
        "WORKER_PORT=x: must be a valid integer",
        "HEARTBEAT_INTERVAL=0: must be greater than or equal to 0.1",
    ]


def test_no_other_names() -> None:
    """The module makes `app` when asked for it and nothing else."""
    with pytest.raises(AttributeError, match=r"^module 'worker_agent.main' has no attribute 'application'$"):
        sample.application  # noqa: B018


def test_port_in_use() -> None:
    """A second worker on a taken port says so and ends before it has registered as the first."""
    with exporter_in_thread([answer]) as exporter, socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = heartbeat_worker(
            *("--bind", "127.0.0.1"),
            WORKER_PORT=port,
            MANAGER_HOST="127.0.0.1",
            MANAGER_PORT=exporter.port,
        )
        assert exporter.registrations == []
    complaint = f"heartbeat-worker: cannot listen on 127.0.0.1, port {port}: Address already in use\n"
    assert (done.returncode, done.stderr) == (5, complaint)


def test_no_such_address() -> None:
    """An address that does not exist is named in the same way."""
    done = heartbeat_worker("--bind", "no-such-host.invalid", WORKER_PORT=8001)
    assert done.returncode == 5
    assert done.stderr.startswith("heartbeat-worker: cannot listen on no-such-host.invalid, port 8001: ")


@pytest.mark.slow
def test_own_server(tmp_path: Path) -> None:
    """`heartbeat-worker` serves on WORKER_PORT, with every line in the chosen format, until SIGTERM."""
    port = free_port()
    log = tmp_path / "worker.log"
    with exporter_in_thread([answer]) as exporter:
        variables = environment(
            WORKER_PORT=port, MANAGER_HOST="127.0.0.1", MANAGER_PORT=exporter.port, LOG_FORMAT="json"
        )
        command = [sys.executable, "-m", "worker_agent.main", "--bind", "127.0.0.1"]
        url = f"http://127.0.0.1:{port}/health/ready"
        with running(command, log=log, ready=url, env=variables, cwd=tmp_path) as process:
            eventually(lambda: exporter.exporter.frames and exporter.exporter.frames[0], within=5)
            process.send_signal(signal.SIGTERM)
            assert process.wait(10) == -signal.SIGTERM
        eventually(lambda: exporter.exporter.closed, within=5)
    assert exporter.exporter.frames[0][-1] == {"type": "goodbye", "leave": False}
    assert {json.loads(line)["component"] for line in log.read_text().splitlines()} == {
        "agent",
        "server",
    }


@pytest.mark.slow
def test_uvicorn(tmp_path: Path) -> None:
    """`uvicorn worker_agent.main:app` with two settings: metrics, health, heartbeats, one log format."""
    port = free_port()
    log = tmp_path / "worker.log"
    with exporter_in_thread([answer]) as exporter:
        variables = environment(
            WORKER_NAME="Worker 1",
            WORKER_PORT=port,
            MANAGER_HOST="127.0.0.1",
            MANAGER_PORT=exporter.port,
            LOG_FORMAT="logfmt",
        )
        command = [sys.executable, "-m", "uvicorn", "worker_agent.main:app", "--port", str(port)]
        url = f"http://127.0.0.1:{port}"
        with running(command, log=log, ready=f"{url}/health/ready", env=variables, cwd=tmp_path) as process:
            eventually(lambda: exporter.exporter.frames and exporter.exporter.frames[0], within=5)
            http_get(url)
            metrics = http_get(f"{url}/metrics")
            assert [name for name in FAMILIES if f"# TYPE {name} " not in metrics] == []
            assert 'starlette_requests_total{method="GET",path_template="/"} 1.0' in metrics
            process.send_signal(signal.SIGTERM)
            process.wait(10)
        eventually(lambda: exporter.exporter.closed, within=5)
    assert exporter.exporter.frames[0][-1] == {"type": "goodbye", "leave": False}
    assert exporter.registrations[0]["name"] == "Worker 1"
    assert [line for line in log.read_text().splitlines() if not line.startswith("time=")] == [
        line for line in log.read_text().splitlines() if "Started server process" in line and "INFO" in line
    ]


@pytest.mark.slow
def test_goodbye_precedes_the_last_response(tmp_path: Path) -> None:
    """On SIGTERM the goodbye goes out at once while a request in flight is still served to its end."""
    port = free_port()
    program = tmp_path / "slow_app.py"
    program.write_text(
        "import asyncio\n"
        "from fastapi import FastAPI\n"
        "from worker_agent import Agent\n"
        "agent = Agent()\n"
        "app = FastAPI(lifespan=agent.lifespan)\n"
        "agent.instrument(app)\n"
        "@app.get('/slow')\n"
        "async def slow() -> str:\n"
        "    await asyncio.sleep(2)\n"
        "    return 'done'\n"
    )
    got: list[str] = []
    with exporter_in_thread([answer]) as exporter:
        variables = environment(WORKER_PORT=port, MANAGER_HOST="127.0.0.1", MANAGER_PORT=exporter.port)
        command = [sys.executable, "-m", "uvicorn", "slow_app:app", "--port", str(port)]
        url = f"http://127.0.0.1:{port}"
        log = tmp_path / "worker.log"
        with running(command, log=log, ready=f"{url}/health/ready", env=variables, cwd=tmp_path) as process:
            eventually(lambda: exporter.exporter.frames and exporter.exporter.frames[0], within=5)
            request = threading.Thread(
                target=lambda: got.append(urllib.request.urlopen(f"{url}/slow").read().decode())
            )
            request.start()
            eventually(lambda: 'path_template="/slow"' in http_get(f"{url}/metrics"), within=5)
            process.send_signal(signal.SIGTERM)
            eventually(lambda: exporter.exporter.frames[0][-1]["type"] == "goodbye", within=1.5)
            assert got == []
            request.join(10)
            process.wait(10)
    assert got == ['"done"']
