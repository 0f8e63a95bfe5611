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


def test_the_first_process_is_the_worker_itself() -> None:
    """Slot 0 changes nothing: a worker that gets a second process stays who it was."""
    assert readable_name("node-1", 8001, 0) == readable_name("node-1", 8001)
    named = WorkerSettings(worker_name="Orders", worker_id="orders", worker_host="node-1")
    identity = Identity(named, "b1", 1.0, slot=0)
    assert (identity.name, identity.worker_id) == ("Orders", "orders")


def test_further_processes_are_workers_of_their_own() -> None:
    """Name and id end in the slot; a derived name is another one, and none is still left to the exporter."""
    named = WorkerSettings(worker_name="Orders", worker_id="orders", worker_host="node-1")
    third = Identity(named, "b1", 1.0, slot=2).registration()
    assert (third["name"], third["worker_id"]) == ("Orders-2", "orders-2")
    nameless = WorkerSettings(worker_host="node-1")
    assert [worker_name(nameless, slot) for slot in range(3)] == [
        *("merry-robin-4668", "steady-otter-10da", "glad-jay-a3ad")
    ]
    assert Identity(nameless, "b1", 1.0, slot=1).worker_id is None


@pytest.mark.parametrize("length", [98, 99, 100])
def test_long_names(length: int) -> None:
    """A name that gets too long with its slot is cut to what an exporter takes, and stays unique."""
    names = {worker_name(WorkerSettings(worker_name="n" * (length - 1) + end), 3) for end in "ab"}
    assert len(names) == 2
    assert {len(name) for name in names} == {100}
    assert all(name.endswith("-3") for name in names)


def test_long_ids() -> None:
    """So is an id; one that just fits is left alone."""
    fits, long = (
        Identity(WorkerSettings(worker_id="i" * length, worker_host="node-1"), "b1", 1.0, slot=12).worker_id
        for length in (125, 126)
    )
    assert fits == "i" * 125 + "-12"
    assert long == "i" * 116 + "-4c8e979c-12"


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
