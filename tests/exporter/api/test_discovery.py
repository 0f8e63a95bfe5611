"""GET /sd."""

from __future__ import annotations

from tests.support.application import Exporter


async def test_lists_every_worker_that_named_a_path_in_every_status(exporter: Exporter) -> None:
    """Address, path, scheme, and what it said of itself as labels for relabelling."""
    await exporter.register(worker_id="silent")
    await exporter.register(
        worker_id="w",
        name="W",
        group="g",
        host="fd00::1",
        port=9000,
        version="2",
        metrics_path="/m",
        metrics_scheme="https",
        labels={"zone": "x"},
    )
    await exporter.clock.jump(20)
    answer = await exporter.http.get("/sd")
    assert answer.headers["Content-Type"] == "application/json"
    assert answer.json() == [
        {
            "targets": ["[fd00::1]:9000"],
            "labels": {
                "__metrics_path__": "/m",
                "__scheme__": "https",
                "__meta_heartbeat_worker_id": "w",
                "__meta_heartbeat_worker": "W",
                "__meta_heartbeat_group": "g",
                "__meta_heartbeat_version": "2",
                "__meta_heartbeat_label_zone": "x",
            },
        }
    ]


async def test_processes_behind_one_port_are_one_target(exporter: Exporter) -> None:
    """Named after one that is up, if there is one."""
    for worker_id in ("a", "b"):
        await exporter.register(worker_id=worker_id, metrics_path="/metrics")
    socket = await exporter.connect("b")
    await socket.send({"type": "heartbeat"})
    (target,) = (await exporter.http.get("/sd")).json()
    assert target["labels"]["__meta_heartbeat_worker_id"] == "b"
    await socket.drop()


async def test_an_empty_fleet_is_an_empty_list(exporter: Exporter) -> None:
    """Not an error: with an error Prometheus would keep what it had."""
    assert (await exporter.http.get("/sd")).json() == []
