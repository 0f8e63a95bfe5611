"""The shell around the fleet: stalls, effects, and what is let in before anybody is judged."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator

import pytest
from prometheus_client import CollectorRegistry

from exporter.core.effects import Changed, Effect
from exporter.core.fleet import TURN, Fleet, Rules, UnknownWorker
from exporter.core.model import Row, Status, WorkerId
from exporter.monitor import Monitor
from exporter.telemetry import Telemetry
from tests.support.clock import FakeClock
from tests.support.fleets import beat, connect, register


class Bench:
    """A monitor on a fake clock, and what it told its sink."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.telemetry = Telemetry(CollectorRegistry())
        self.effects: list[Effect] = []
        self.monitor = Monitor(Fleet(Rules()), self.clock, self.telemetry, [self.effects.append])

    def changes(self) -> list[tuple[str, str, str]]:
        return [
            (effect.transition.worker_id, effect.transition.to_name, effect.transition.reason.value)
            for effect in self.effects
            if isinstance(effect, Changed)
        ]

    def alive(self, worker_id: str = "w1", connection: int = 1) -> None:
        for event in (register(worker_id), connect(worker_id, connection), beat(worker_id, connection)):
            self.monitor.receive(event)
        self.effects.clear()

    def row(self, worker_id: str = "w1") -> Row:
        row = self.monitor.row(WorkerId(worker_id))
        assert row is not None
        return row

    def counted(self, name: str) -> float | None:
        return self.telemetry.registry.get_sample_value(name)


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    """A bench whose pulse is running."""
    bench = Bench()
    pulse = asyncio.create_task(bench.monitor.run())
    await asyncio.sleep(0)
    yield bench
    pulse.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await pulse


async def test_declares_a_silent_worker_within_a_pulse_of_its_deadline(bench: Bench) -> None:
    """The pulse wakes for the deadline and not at the end of a round of polling."""
    bench.alive()
    await bench.clock.jump(14.99)
    assert bench.changes() == []
    await bench.clock.jump(0.02)
    assert bench.changes() == [("w1", "not_responding", "timeout")]
    (groups,) = [groups async for groups in bench.monitor.walk_groups()]
    detection = groups[0].detection
    assert detection.sum <= 0.01


async def test_a_frozen_exporter_declares_nobody_dead(bench: Bench) -> None:
    """Time in which nothing of ours ran is added to every deadline, and counted."""
    bench.alive()
    bench.clock.move(20)
    bench.monitor.receive(register("w2"))
    await bench.clock.jump(1)
    assert bench.row().status is Status.ALIVE
    assert bench.counted("heartbeat_stall_seconds_total") == pytest.approx(20, abs=0.2)
    await bench.clock.jump(15)
    assert ("w1", "not_responding", "timeout") in bench.changes()


async def test_the_time_before_the_first_pulse_is_no_stall() -> None:
    """A program takes a while between putting its parts together and running them."""
    bench = Bench()
    bench.clock.move(2)
    pulse = asyncio.create_task(bench.monitor.run())
    await bench.clock.jump(1)
    assert bench.counted("heartbeat_stall_seconds_total") == 0.0
    pulse.cancel()
    await asyncio.gather(pulse, return_exceptions=True)


async def test_a_socket_lost_while_the_exporter_was_frozen_is_excused(bench: Bench) -> None:
    """An agent that hung up on a frozen exporter has done nothing wrong."""
    bench.alive()
    bench.clock.move(20)
    bench.monitor.receive(connect("w1", 2))
    bench.monitor.receive(beat("w1", 2))
    assert bench.row().status is Status.ALIVE
    assert bench.changes() == []


async def test_a_frame_that_has_arrived_is_received_before_its_sender_is_judged(bench: Bench) -> None:
    """The deadline passes while a heartbeat waits in a queue two turns of the loop away."""
    bench.alive()

    async def late_task() -> None:
        await bench.clock.sleep(15.0)
        for _ in range(2):
            await asyncio.sleep(0)
        bench.monitor.receive(beat())

    task = asyncio.create_task(late_task())
    await bench.clock.jump(15.1)
    await task
    assert bench.changes() == []


async def test_looking_judges_who_is_due_even_if_the_pulse_is_stuck() -> None:
    """A scrape never shows a worker up whose deadline has passed."""
    bench = Bench()
    bench.alive()
    for _ in range(151):
        bench.clock.move(0.1)
        await bench.monitor.settle()
    assert [row.status for rows in [r async for r in bench.monitor.walk()] for row in rows] == [
        Status.NOT_RESPONDING
    ]


async def test_a_frame_judges_what_is_long_overdue_if_the_pulse_is_stuck() -> None:
    """Heartbeats of others notice it too, a second late."""
    bench = Bench()
    bench.alive("w1", 1)
    bench.alive("w2", 2)
    for _ in range(200):
        bench.clock.move(0.1)
        bench.monitor.receive(beat("w2", 2))
    assert bench.changes() == [("w1", "not_responding", "timeout")]


async def test_many_deaths_leave_turns_to_others(bench: Bench) -> None:
    """At most TURN workers are judged between two turns of the loop."""
    for number in range(2 * TURN + 1):
        bench.alive(f"w{number}", number)
    sizes: list[int] = []

    async def observe() -> None:
        while sum(sizes) < 2 * TURN + 1:
            await asyncio.sleep(0)
            sizes.append(len(bench.changes()))
            bench.effects.clear()

    observer = asyncio.create_task(observe())
    await bench.clock.jump(15.2)
    await observer
    assert max(sizes) <= TURN


async def test_a_failing_sink_stops_no_other(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    """What a sink raises is logged; the sinks after it still hear of it."""

    def broken(effect: Effect) -> None:
        raise RuntimeError("broken sink")

    heard: list[Effect] = []
    bench.monitor.add_sink(broken)
    bench.monitor.add_sink(heard.append)
    with caplog.at_level(logging.ERROR):
        bench.monitor.receive(register())
    assert len(heard) == 1
    assert "broken sink" in caplog.text


async def test_walk_passes_over_workers_that_are_forgotten_meanwhile(bench: Bench) -> None:
    """A walk is a slice of rows at a time, and the fleet goes on living in between."""
    for number in range(TURN + 5):
        bench.alive(f"w{number}", number)
    seen = 0
    async for rows in bench.monitor.walk():
        seen += len(rows)
        for number in range(TURN, TURN + 5):
            with contextlib.suppress(UnknownWorker):
                bench.monitor.receive(_delete(f"w{number}"))
    assert seen == TURN


def _delete(worker_id: str) -> object:
    from exporter.core.events import Delete

    return Delete(WorkerId(worker_id))


async def test_event_loop_lag_is_the_largest_of_the_last_fifteen_seconds(bench: Bench) -> None:
    """One hiccup stays visible for three scrapes and then goes."""
    bench.clock.move(0.2)
    await bench.clock.jump(5)
    assert bench.counted("heartbeat_event_loop_lag_seconds") == pytest.approx(0.1, abs=0.11)
    await bench.clock.jump(20)
    assert bench.counted("heartbeat_event_loop_lag_seconds") == pytest.approx(0, abs=0.01)
