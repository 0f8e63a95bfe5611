"""`heartbeat-exporter demo`, as somebody sees it who starts it, breaks it and ends it."""

from __future__ import annotations

import os
import re
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.demo import USUAL_PORTS, Start, demos, nothing_is_left
from tests.support.processes import eventually, http_get, program

pytestmark = pytest.mark.slow

# Its own view is that the optional library is not there; the workers find it all the same.
RUN = """
import importlib.util, sys
from exporter.demo import run
find_spec = importlib.util.find_spec
importlib.util.find_spec = lambda name: None if name == "starlette_prometheus" else find_spec(name)
run(None, absence=float(sys.argv[1]))
"""
TABLE = ("exporter", "its metrics", "Worker 1", "its health", "Worker 2", "Worker 3", "Worker 4")


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    with demos(tmp_path) as start:
        yield start


def test_a_worker_is_killed_and_comes_back(start: Start, tmp_path: Path, empty_path: str) -> None:
    """Without Prometheus, and with the usual ports taken: it says so, or takes others."""
    demo = start("-c", RUN, "2", path=empty_path)
    demo.says("All 4 workers are alive")
    urls = {name: demo.says(rf"^  {name} +(http://127\.0\.0\.1:\d+/\S*)$")[1] for name in TABLE}
    assert "heartbeat-exporter" in http_get(urls["exporter"])
    assert http_get(urls["its metrics"]).count("heartbeat_worker_up{") == 4
    assert all("process_cpu_seconds_total" in http_get(urls[f"Worker {number}"]) for number in range(1, 5))
    ports = {int(url.split(":")[2].partition("/")[0]) for url in urls.values()}
    assert len(ports) == 5
    assert ports.isdisjoint(USUAL_PORTS)
    demo.says("Not on the PATH, so no alerts are delivered: prometheus-alertmanager, prometheus")
    demo.says("On Debian: apt-get install --no-install-recommends prometheus-alertmanager prometheus")
    demo.says(r"pip install 'heartbeat-exporter\[worker\]'")
    demo.says(r"What ended is started again after 2 s\. Ctrl-C ends everything\.")

    os.kill(int(demo.says(r"Kill a worker: +kill -9 (\d+) +\(Worker 1: lost")[1]), signal.SIGKILL)
    demo.says(r"Worker 1: alive -> disconnected \(connection_lost\)")
    os.kill(int(demo.says(r"Stop a worker: +kill (\d+) +\(Worker 2: says goodbye")[1]), signal.SIGTERM)
    demo.says(r"Worker 2: alive -> disconnected \(shutdown\)")
    again = int(demo.says(r"Worker 1 is started again, as process (\d+)")[1])
    demo.says(r"Worker 1: connected -> alive \(heartbeat\)")
    assert again in demo.children()
    demo.says(r"Worker 2: connected -> alive \(heartbeat\)")

    assert demo.end() == 0
    assert demo.lines[-1] == "Stopping everything ..."
    told = [line[10:].partition(":")[0] for line in demo.lines if " -> " in line]
    assert set(told) == {"Worker 1", "Worker 2"}  # nothing of the start, and of nobody else
    assert nothing_is_left(tmp_path, demo)


def test_a_dependency_breaks_and_an_event_loop_is_blocked(
    start: Start, tmp_path: Path, empty_path: str
) -> None:
    """The worker's side: on /health of a worker, and on the exporter's /metrics, of all of them."""
    demo = start("-c", RUN, "8", path=empty_path, HEARTBEAT_INTERVAL=0.5)
    demo.says("All 4 workers are alive")
    health, metrics = (demo.says(rf"^  {name} +(http://\S+)$")[1] for name in ("its health", "its metrics"))
    os.kill(int(demo.says(r"Break a dependency: +kill (\d+) +\(one alert for all 4")[1]), signal.SIGTERM)

    def failing() -> int:
        found = re.findall(r'^heartbeat_worker_check_up\{.*check="dependency"\} 0$', http_get(metrics), re.M)
        return len(found)

    eventually(lambda: failing() == 4, within=15)
    with pytest.raises(OSError, match="503"):
        http_get(health)
    demo.says(r"Dependency is started again, as process \d+")
    eventually(lambda: failing() == 0, within=15)

    http_get(demo.says(r"Block an event loop: +curl (http://\S+) +\(Worker 3")[1] + "?seconds=2")
    lag = r'heartbeat_worker_event_loop_lag_seconds\{.*"Worker 3".*\} [12]\.'
    eventually(lambda: re.search(lag, http_get(metrics)), within=5)
    assert [line for line in demo.lines if " -> " in line] == []
    assert demo.end() == 0
    assert nothing_is_left(tmp_path, demo)


@pytest.fixture
def empty_path(tmp_path: Path) -> str:
    """A PATH on which there is nothing."""
    (tmp_path / "bin").mkdir()
    return str(tmp_path / "bin")


@pytest.mark.servers("prometheus", "alertmanager")
def test_a_death_ends_in_a_notification(start: Start, tmp_path: Path) -> None:
    """So does a dependency that breaks. The files stay where `--dir` says."""
    kept = tmp_path / "kept"
    path = ":".join({str(Path(program(name)).parent) for name in ("prometheus", "alertmanager")})
    demo = start(
        *("-m", "exporter", "demo", "--dir", str(kept)),
        path=path,
        HEARTBEAT_INTERVAL=0.5,
        HEARTBEAT_TIMEOUT=2,
    )
    demo.says("All 4 workers are alive")
    for name in ("Alertmanager", "Prometheus"):
        http_get(demo.says(rf"^  {name} +(http://127\.0\.0\.1:\d+/)")[1] + "-/ready")
    os.kill(int(demo.says(r"kill -9 (\d+)")[1]), signal.SIGKILL)
    os.kill(int(demo.says(r"Break a dependency: +kill (\d+)")[1]), signal.SIGTERM)
    said = demo.says(r"\d\d:\d\d:\d\d  (NOTIFICATION firing   HeartbeatWorkerDown: .*)", within=90)[1]
    assert "Worker 1" in said
    assert "connection_lost" in said
    demo.says(r"NOTIFICATION firing   HeartbeatDependencyDown: .*100%", within=60)
    assert demo.end() == 0
    assert {"registry.db", "exporter.log", "worker-1.log", "prometheus.log", "alertmanager.log"} <= {
        entry.name for entry in kept.iterdir()
    }
    assert nothing_is_left(tmp_path, demo)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize("after", [0.0, 0.7])
def test_an_early_end_leaves_nothing(
    start: Start, tmp_path: Path, empty_path: str, number: signal.Signals, after: float
) -> None:
    """While it is starting, whatever has been started by then."""
    demo = start("-m", "exporter", "demo", path=empty_path)
    demo.says("Starting an exporter")
    time.sleep(after)
    assert demo.end(number) == 0
    assert nothing_is_left(tmp_path, demo)


def test_impatience_leaves_nothing_either(start: Start, tmp_path: Path, empty_path: str) -> None:
    """Ctrl-C again and again while it is ending."""
    demo = start("-m", "exporter", "demo", path=empty_path)
    demo.says("All 4 workers are alive")
    while demo.process.poll() is None:
        demo.process.send_signal(signal.SIGINT)
        time.sleep(0.02)
    assert demo.wait() == 0
    assert nothing_is_left(tmp_path, demo)


def test_without_its_exporter_it_ends(start: Start, tmp_path: Path, empty_path: str) -> None:
    """Exit code 1, and the last lines that the exporter said, each of them whole."""
    demo = start("-m", "exporter", "demo", path=empty_path)
    demo.says("All 4 workers are alive")
    (exporter,) = [
        pid for pid in demo.children() if b"listen-address" in Path(f"/proc/{pid}/cmdline").read_bytes()
    ]
    os.kill(exporter, signal.SIGKILL)
    assert demo.wait() == 1
    demo.says(r"^heartbeat-exporter: exporter ended; it said:$")
    demo.says(r"^\d{4}-\S+ \[info .*Worker [1-4]: connected -> alive")
    assert nothing_is_left(tmp_path, demo)


def test_a_worker_that_does_not_start_is_quoted(start: Start, tmp_path: Path, empty_path: str) -> None:
    """As any program of the demo is, and the rest is ended."""
    demo = start("-m", "exporter", "demo", path=empty_path, WORKER_LEAVE_ON_SHUTDOWN="perhaps")
    demo.says(r"^heartbeat-exporter: Worker 1 did not come alive; it said:$")
    demo.says(r"^WORKER_LEAVE_ON_SHUTDOWN=perhaps: ")
    assert demo.wait() == 1
    assert nothing_is_left(tmp_path, demo)
