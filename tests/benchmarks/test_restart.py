"""How long a fleet takes to come back to an exporter that was restarted."""

from __future__ import annotations

import re
import time
from pathlib import Path

import pytest

from tests.benchmarks.fleet import fleet
from tests.benchmarks.report import show
from tests.benchmarks.scale import INTERVAL, WORKERS
from tests.benchmarks.server import Server, exporter, terminate
from tests.support.processes import free_port

pytestmark = [pytest.mark.benchmark, pytest.mark.servers("redis-server")]

_ALIVE = re.compile(r'^heartbeat_workers{.*status="alive"} (\d+)$', re.MULTILINE)
_WENT_DOWN = re.compile(
    r'^heartbeat_status_changes_total{.*to="(?:disconnected|not_responding)".*} (\d+)$', re.MULTILINE
)


def total(pattern: re.Pattern[str], server: Server) -> int:
    return sum(map(int, pattern.findall(server.get("/metrics"))))


def test_everybody_comes_back(redis: int, tmp_path: Path) -> None:
    """SIGTERM, and started again at once: nobody is lost, and nobody is declared down for it."""
    port = free_port()
    address = f"127.0.0.1:{port}"
    with fleet(address, workers=WORKERS, interval=INTERVAL) as workers:
        with exporter(tmp_path, redis=redis, port=port) as first:
            workers.wait_until_connected(within=60 + WORKERS / 200)
            asked = time.monotonic()
            terminate(first)
            ended = time.monotonic()
        with exporter(tmp_path, redis=redis, port=port) as second:
            ready = time.monotonic()
            workers.wait_until_connected(within=60.0)
            back = time.monotonic()
            cpu = second.cpu()
            assert total(_ALIVE, second) == WORKERS
            assert total(_WENT_DOWN, second) == 0
    show(
        f"{WORKERS:,} workers and a restart of the exporter (target: back within 30 s)",
        ("", "after SIGTERM"),
        [
            ("the first has ended", f"{ended - asked:.1f} s"),
            ("the second is ready", f"{ready - asked:.1f} s"),
            ("all workers are acknowledged", f"{back - asked:.1f} s"),
        ],
        f"The second exporter used {cpu:.1f} s of CPU until then.",
    )
