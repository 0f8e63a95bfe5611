"""Who a worker is."""

from __future__ import annotations

import re

import pytest

from worker_agent.identity import Identity, readable_name, worker_name
from worker_agent.settings import WorkerSettings


@pytest.fixture(autouse=True)
def bare_environment(bare_environment: None) -> None:
    """No settings but a test's own."""


def test_readable_name_stays() -> None:
    """The same host and port give the same name in every process and every release."""
    assert readable_name("node-1", 8001) == "merry-robin-4668"
    assert worker_name(WorkerSettings(worker_host="node-1")) == "merry-robin-4668"


def test_readable_names_differ() -> None:
    """A thousand workers on a hundred hosts get a thousand readable names."""
    names = {readable_name(f"node-{host}", 8000 + port) for host in range(100) for port in range(10)}
    assert len(names) == 1000
    assert all(re.fullmatch(r"[a-z]+-[a-z]+-[0-9a-f]{4}", name) for name in names)


def test_least_registration() -> None:
    """With nothing set but the host, only what is known is sent."""
    settings = WorkerSettings(worker_host="node-1")
    assert Identity(settings, boot_id="b1", started_at=1795000000.5).registration() == {
        "name": "merry-robin-4668",
        "host": "node-1",
        "port": 8001,
        "group": "default",
        "boot_id": "b1",
        "started_at": 1795000000.5,
        "protocol": 1,
    }


def test_full_registration() -> None:
    """What is set is sent under the names of the interface."""
    settings = WorkerSettings(
        worker_name="Worker 1",
        worker_host="10.0.0.1",
        worker_port=9000,
        worker_id="w1",
        worker_group="orders",
        heartbeat_interval=1,
        heartbeat_timeout=4,
    )
    identity = Identity(settings, boot_id="b1", started_at=1.0, version="1.2", metrics_path="/metrics")
    assert identity.registration() == {
        "name": "Worker 1",
        "host": "10.0.0.1",
        "port": 9000,
        "group": "orders",
        "worker_id": "w1",
        "boot_id": "b1",
        "started_at": 1.0,
        "version": "1.2",
        "metrics_path": "/metrics",
        "heartbeat_interval": 1.0,
        "heartbeat_timeout": 4.0,
        "protocol": 1,
    }


@pytest.mark.parametrize(
    ("version", "sent"),
    [("2.0 beta\t1", "2.0-beta-1"), ("ü1", "-1"), ("v" * 200, "v" * 100)],
)
def test_unusual_versions(version: str, sent: str) -> None:
    """A version that the exporter would refuse is sent in a form that it takes."""
    identity = Identity(WorkerSettings(worker_host="node-1"), "b1", 1.0, version=version)
    assert identity.registration()["version"] == sent
