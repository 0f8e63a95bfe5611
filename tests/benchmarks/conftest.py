from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.benchmarks.fleet import Crowd, fleet, raise_file_limit
from tests.benchmarks.scale import INTERVAL, WORKERS
from tests.benchmarks.server import exporter
from tests.support.processes import redis_server


@pytest.fixture(scope="session", autouse=True)
def file_limit() -> None:
    """A socket for each worker, at both ends."""
    raise_file_limit(WORKERS + 500)


@pytest.fixture(scope="module")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """The port of a real redis-server, empty at first."""
    with redis_server(tmp_path_factory.mktemp("redis")) as port:
        yield port


@pytest.fixture(scope="module")
def crowd(redis: int, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Crowd]:
    """The exporter with as many workers as were asked for, connected and beating."""
    directory: Path = tmp_path_factory.mktemp("exporter")
    with exporter(directory, redis=redis) as server:
        server.get("/metrics")  # what the first request imports belongs to nobody
        empty = server.resident()
        with fleet(server.address, workers=WORKERS, interval=INTERVAL) as workers:
            workers.wait_until_connected(within=30 + WORKERS / 200)
            yield Crowd(server, workers, empty, server.resident())
