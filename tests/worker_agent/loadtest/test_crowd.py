"""Many workers in one process, as far as no exporter is needed."""

from __future__ import annotations

import socket
from collections import Counter

import pytest

from tests.worker_agent.fast_loop import run_fast
from worker_agent.actions import Cause, Refusal, Registration
from worker_agent.loadtest import crowd as crowds
from worker_agent.loadtest.crowd import Crowd, Plan, Standing, WorkerStatistics

PLAN = Plan("http://exporter:8000", 8, 1.0, 10.0, 4.0, "loadtest", 1)


def refuse(url: str, facts: dict[str, object]) -> Refusal:
    return Refusal("the registry is full", status=503, retry_after=1.0)


def forget(worker_id: str) -> bool:
    raise AssertionError("nobody was registered")


def test_refusals_are_counted_and_said() -> None:
    """Nobody is connected who was not acknowledged; each attempt that failed is an error."""
    told: list[Standing] = []
    crowd = Crowd(PLAN, forget, refuse)
    standing = run_fast(crowd.run(told.append))
    assert (standing.started, standing.connected, standing.sent, standing.acknowledged) == (8, 0, 0, 0)
    assert set(standing.errors) == {Cause.UNAVAILABLE.value}
    assert standing.errors.total() >= 3 * 8
    assert standing.problems == Counter({"the registry is full": 8})
    assert standing.elapsed >= 8 / 4.0 + 10.0 - 0.5
    assert 8 <= len(told) <= 13
    assert [standing.started for standing in told] == sorted(standing.started for standing in told)
    assert crowd.connected_within is None


def test_an_early_end_returns_what_there_is() -> None:
    """Whoever has been started by then."""
    crowd = Crowd(PLAN, forget, refuse)

    def end(standing: Standing) -> None:
        crowd.end_early()

    standing = run_fast(crowd.run(end))
    assert 0 < standing.started < 8


def test_who_cannot_say_goodbye_is_forgotten() -> None:
    """Registered is soon lost: nobody must be alerted of it. Who could not be forgotten is counted."""

    def register(url: str, facts: dict[str, object]) -> Registration:
        return Registration(str(facts["name"]), "ws://127.0.0.1:1/ws", 1.0, 3.0)

    asked: list[str] = []

    def forget_some(worker_id: str) -> bool:
        asked.append(worker_id)
        return worker_id != "loadtest-3"

    crowd = Crowd(PLAN, forget_some, register)
    run_fast(crowd.run(lambda standing: None))
    assert sorted(asked) == [f"loadtest-{number}" for number in range(8)]
    assert crowd.left_behind == 1


def test_a_defect_is_not_swallowed() -> None:
    """What goes wrong in the load generator itself ends it."""

    class Broken(Crowd):
        def _add(self, number: int) -> None:
            raise LookupError("lost")

    with pytest.raises(LookupError):
        run_fast(Broken(PLAN, forget, refuse).run(lambda standing: None))


def test_connected_is_who_was_answered_on_this_connection() -> None:
    """An open socket is not enough, and neither is an answer on the one before."""

    async def follow() -> list[bool]:
        crowd = Crowd(PLAN._replace(workers=1), forget)
        statistics = WorkerStatistics(crowd)
        seen = [statistics.acknowledged]
        statistics.connected = True
        seen.append(statistics.acknowledged)
        statistics.observe_round_trip(0.25)
        seen.append(statistics.acknowledged)
        statistics.connected = False
        statistics.reconnects[Cause.CONNECTION_LOST] += 1
        seen.append(statistics.acknowledged)
        statistics.connected = True
        seen.append(statistics.acknowledged)
        statistics.observe_round_trip(0.5)
        assert list(crowd.round_trips) == [0.25, 0.5]
        assert crowd.connected_within is not None
        return [*seen, statistics.acknowledged]

    assert run_fast(follow()) == [False, False, True, False, False, True]


def test_workers_are_told_apart() -> None:
    """By their port, from one run to the next the same; groups are numbered where there are several."""
    one, another = (crowds.facts(PLAN, number, "run") for number in (0, 65_534))
    assert one == {
        "name": "loadtest-0",
        "host": socket.gethostname(),
        "port": 1,
        "group": "loadtest",
        "boot_id": "run-0",
        "heartbeat_interval": 1.0,
        "version": "loadtest",
    }
    assert another["port"] == 65_535
    grouped = PLAN._replace(groups=3)
    assert [crowds.facts(grouped, number, "run")["group"] for number in range(4)] == [
        "loadtest-0",
        "loadtest-1",
        "loadtest-2",
        "loadtest-0",
    ]
