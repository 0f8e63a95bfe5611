"""A blocked event loop and a frozen process are different things, and are told apart."""

from __future__ import annotations

import json
import signal
import sys
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from tests.support.processes import eventually, free_port, http_get, running
from tests.support.serving import Serving, environment, exporter

pytestmark = pytest.mark.slow

BLOCKED = 10.0
TIMEOUT = 3.0


def asked(url: str) -> tuple[int, dict[str, Any], float]:
    """Status code, body, and how long it took, in seconds."""
    began = time.monotonic()
    try:
        with urllib.request.urlopen(url, timeout=5.0) as answer:
            return answer.status, json.load(answer), time.monotonic() - began
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.load(error), time.monotonic() - began


def lag(serving: Serving) -> float:
    metrics = http_get(f"{serving.url}/metrics").splitlines()
    [line] = [line for line in metrics if line.startswith("heartbeat_worker_event_loop_lag_seconds{")]
    return float(line.rpartition(" ")[2])


def test_a_blocked_loop_is_alive_and_a_stopped_process_is_not(tmp_path: Path) -> None:
    """Ten seconds of `time.sleep` in a handler: alive throughout, the lag shown, and the health port says
    503 at once. SIGSTOP: not responding, by timeout."""
    port, health_port = free_port(), free_port()
    with exporter(tmp_path) as serving:
        variables = environment(
            EVENTS=tmp_path / "events",
            WORKER_ID="w",
            WORKER_PORT=port,
            WORKER_HEALTH_PORT=health_port,
            MANAGER_HOST="127.0.0.1",
            MANAGER_PORT=serving.port,
            HEARTBEAT_INTERVAL=0.5,
            HEARTBEAT_TIMEOUT=TIMEOUT,
        )
        command = [sys.executable, "-m", "uvicorn", "tests.support.shop:app", "--port", str(port)]
        url, health = f"http://127.0.0.1:{port}", f"http://127.0.0.1:{health_port}"
        log = tmp_path / "worker.log"
        with running(command, log=log, ready=f"{url}/health/ready", env=variables) as process:
            eventually(lambda: serving.status() == "alive", within=10)
            assert asked(f"{health}/health")[0] == 200
            request = threading.Thread(
                target=lambda: http_get(f"{url}/block?seconds={BLOCKED:g}", timeout=30)
            )
            request.start()
            began = time.monotonic()
            time.sleep(1.0)
            while time.monotonic() - began < BLOCKED - 1.0:
                assert serving.status() == "alive"
                for path in ("/health", "/health/live", "/health/ready"):
                    code, body, took = asked(f"{health}{path}")
                    assert (code, took < 1.0) == (503, True)
                    assert body["event_loop_lag"] == pytest.approx(time.monotonic() - began, abs=1.5)
                time.sleep(0.2)
            request.join()
            eventually(lambda: lag(serving) == pytest.approx(BLOCKED, abs=1.5), within=3)
            assert serving.status() == "alive"
            assert [change["to"] for change in serving.get("/workers/w")["transitions"]] == [
                "alive",
                "connected",
                "registered",
            ]
            eventually(lambda: asked(f"{health}/health/live")[0] == 200, within=3)

            process.send_signal(signal.SIGSTOP)
            eventually(lambda: serving.status() == "not_responding", within=TIMEOUT + 3)
            assert serving.get("/workers/w")["reason"] == "timeout"
