"""The registry as JSON."""

from __future__ import annotations

from exporter.core.fleet import TURN
from tests.support.application import Exporter, running


async def fleet(exporter: Exporter) -> None:
    await exporter.register(worker_id="a", name="Alpha", group="one", host="h1")
    await exporter.register(worker_id="b", name="Beta", group="two", host="h2")
    await exporter.register(worker_id="c", name="Gamma", group="two", host="h2", labels={"zone": "x"})


async def ids(exporter: Exporter, query: str = "") -> tuple[list[str], str]:
    answer = await exporter.http.get(f"/workers{query}")
    return [worker["worker_id"] for worker in answer.json()], answer.headers["X-Total-Count"]


async def test_shows_a_worker_whole(exporter: Exporter) -> None:
    """Every field, times both for people and for programs."""
    await exporter.register(worker_id="w", name="W", version="1.2", labels={"zone": "x"}, started_at=0)
    socket = await exporter.connect("w")
    await socket.send({"type": "heartbeat"})
    answer = await exporter.http.get("/workers")
    assert answer.headers["Content-Type"] == "application/json"
    (worker,) = answer.json()
    last_heartbeat = worker.pop("last_heartbeat_timestamp")
    assert abs(exporter.clock.now().wall - last_heartbeat) < 1
    for key in ("since", "last_heartbeat"):
        assert worker.pop(key).startswith("2023-11-14T22:13:")
    assert worker == {
        "worker_id": "w",
        "name": "W",
        "group": "default",
        "host": "10.0.0.1",
        "port": 8001,
        "status": "alive",
        "reason": "heartbeat",
        "version": "1.2",
        "boot_id": "boot-1",
        "started_at": "1970-01-01T00:00:00.000Z",
        "heartbeat_interval": 5.0,
        "heartbeat_timeout": 15.0,
        "labels": {"zone": "x"},
        "clock_offset": None,
        "round_trip": None,
        "event_loop_lag": None,
        "heartbeats": 1,
        "missed_heartbeats": 0,
        "restarts": 0,
        "up_seconds": worker["up_seconds"],
        "down_seconds": {},
    }
    await socket.drop()


async def test_filters_and_pages(exporter: Exporter) -> None:
    """By status, group and part of a name; the full count stays in a header."""
    await fleet(exporter)
    assert await ids(exporter) == (["a", "b", "c"], "3")
    assert await ids(exporter, "?group=two") == (["b", "c"], "2")
    assert await ids(exporter, "?status=registered&status=alive") == (["a", "b", "c"], "3")
    assert await ids(exporter, "?status=alive") == ([], "0")
    assert await ids(exporter, "?q=ALPH") == (["a"], "1")
    assert await ids(exporter, "?q=h2&limit=1") == (["b"], "2")
    assert await ids(exporter, "?limit=1&offset=1") == (["b"], "3")
    assert await ids(exporter, "?limit=0") == ([], "3")
    assert await ids(exporter, "?offset=9") == ([], "3")


async def test_pages_run_across_turns() -> None:
    """A page may begin in one slice of the walk and end in another."""
    async with running() as exporter:
        for number in range(2 * TURN + 10):
            await exporter.register(worker_id=f"{number:04}")
        found, total = await ids(exporter, f"?offset={TURN - 2}&limit={TURN + 4}")
        assert found == [f"{number:04}" for number in range(TURN - 2, 2 * TURN + 2)]
        assert total == str(2 * TURN + 10)


async def test_a_wrong_filter_is_named(exporter: Exporter) -> None:
    """422 with the parameter and what it may be."""
    answer = await exporter.http.get("/workers?status=dead&limit=-1")
    assert answer.status_code == 422
    assert {problem["loc"][1] for problem in answer.json()["detail"]} == {"status", "limit"}


async def test_one_worker_comes_with_its_transitions(exporter: Exporter) -> None:
    """Newest first."""
    await exporter.register(worker_id="w")
    await exporter.clock.jump(15.2)
    worker = (await exporter.http.get("/workers/w")).json()
    assert [(step["from"], step["to"], step["reason"]) for step in worker["transitions"]] == [
        ("registered", "not_responding", "never_connected"),
        ("none", "registered", "registered"),
    ]
    assert (await exporter.http.get("/workers/nobody")).json() == {"detail": "unknown worker: nobody"}


async def test_transitions_of_all_workers_newest_first(exporter: Exporter) -> None:
    """Also of one that is forgotten."""
    await fleet(exporter)
    await exporter.during(exporter.http.delete("/workers/a"))
    transitions = (await exporter.http.get("/transitions?limit=2")).json()
    assert [(step["worker_id"], step["worker"], step["group"], step["to"]) for step in transitions] == [
        ("a", "Alpha", "one", "forgotten"),
        ("c", "Gamma", "two", "registered"),
    ]
    assert (await exporter.http.get("/transitions?limit=0")).status_code == 422


async def test_a_deleted_worker_is_deleted_from_the_store(exporter: Exporter) -> None:
    """Or it would be back after the next restart."""
    await exporter.register(worker_id="w")
    await exporter.during(exporter.http.delete("/workers/w"))
    assert exporter.store.records == {}
    assert (await exporter.http.delete("/workers/w")).status_code == 404
