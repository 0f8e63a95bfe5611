"""Running probes: each in its time, so many at once, and what is told of it."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
from collections.abc import AsyncIterator, Callable

import pytest
from prometheus_client import CollectorRegistry

from exporter.core.probing import Failure, ProbeChange, ProbeRow
from exporter.probes.base import Probe
from exporter.probes.probing import Probing
from exporter.telemetry import Telemetry
from tests.support.clock import FakeClock
from tests.support.probes import Toys, numbers, toy


class Rig:
    """Probes on a fake clock, what they told their sink, and what is counted."""

    def __init__(
        self, *probes: Probe, concurrency: int = 100, chance: Callable[[], float] = lambda: 0.0
    ) -> None:
        self.clock = FakeClock()
        self.toys = Toys(self.clock)
        self.telemetry = Telemetry(CollectorRegistry())
        self.changes: list[ProbeChange] = []
        self.results: list[tuple[str, bool]] = []
        self.probing = Probing(
            probes,
            concurrency=concurrency,
            clock=self.clock,
            telemetry=self.telemetry,
            sinks=[self.changes.append],
            result_sinks=[lambda name, result: self.results.append((name, result.success))],
            varieties=self.toys.varieties,
            random=chance,
        )

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        task = asyncio.create_task(self.probing.run())
        await self.clock.jump(0.0)
        yield
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    def row(self, name: str) -> ProbeRow:
        row = self.probing.row(name)
        assert row is not None
        return row

    def told(self) -> list[tuple[str, bool, bool]]:
        return [(change.probe, change.up, change.first) for change in self.changes]

    def counted(self, name: str) -> float | None:
        return self.telemetry.registry.get_sample_value(f"heartbeat_{name}")


async def test_each_probe_keeps_its_interval() -> None:
    """From a first run anywhere within it, whatever a run takes."""
    rig = Rig(toy("a"), toy("b", port=2, interval=4.0), chance=numbers([0.5, 0.25, 0.0]))
    rig.toys.takes = {1: 2.0, 2: 0.5}
    async with rig.running():
        await rig.clock.jump(26.0)
    assert rig.toys.starts(1) == [5.0, 15.0, 25.0]
    assert rig.toys.starts(2) == [1.0, 5.0, 9.0, 13.0, 17.0, 21.0, 25.0]


async def test_runs_that_are_due_within_20_ms_begin_together() -> None:
    """To wake up for each of many would cost more than running them."""
    rig = Rig(
        *(toy(f"p{port}", port=port) for port in range(4)), chance=numbers([0, 0.0005, 0.001, 0.0031, 0])
    )
    async with rig.running():
        await rig.clock.jump(1.0)
    assert rig.toys.started == [(0, 0.0), (1, 0.02), (2, 0.02), (3, 0.04)]


async def test_a_slow_probe_delays_no_other() -> None:
    """One that never ends has one run, and the other all of its own."""
    rig = Rig(toy("stuck"), toy("quick", port=2), concurrency=2)
    rig.toys.takes = {1: 1000.0}
    async with rig.running():
        await rig.clock.jump(45.0)
        assert rig.toys.starts(1) == [0.0]
        assert rig.toys.starts(2) == [0.0, 10.0, 20.0, 30.0, 40.0]
        assert rig.counted("probe_runs_skipped_total") == 4
        assert rig.counted("probes_in_flight") == 1


async def test_no_more_are_in_flight_than_is_allowed() -> None:
    """The others wait in order, and their lateness is measured."""
    rig = Rig(*(toy(f"p{port}", port=port) for port in range(5)), concurrency=2)
    rig.toys.takes = dict.fromkeys(range(5), 1.0)
    async with rig.running():
        await rig.clock.jump(9.0)
    assert rig.toys.most_in_flight == 2
    assert rig.toys.started == [(0, 0.0), (1, 0.0), (2, 1.0), (3, 1.0), (4, 2.0)]
    assert rig.counted("probe_schedule_delay_seconds_sum") == 4.0
    assert rig.counted("probe_schedule_delay_seconds_count") == 5


async def test_whoever_waits_too_long_is_not_queued_twice() -> None:
    """What is due again while it still waits is left out and counted."""
    rig = Rig(toy("a"), toy("b", port=2), concurrency=1)
    rig.toys.takes = {1: 25.0}
    async with rig.running():
        await rig.clock.jump(29.0)
    assert rig.toys.starts(2) == [25.0]
    assert rig.counted("probe_runs_skipped_total") == 4


async def test_a_change_is_told_once_and_by_the_thresholds() -> None:
    """The first result at once; then as many in a row as the probe asks for."""
    rig = Rig(toy("a", failure_threshold=3, success_threshold=2))
    async with rig.running():
        await rig.clock.jump(5.0)
        rig.toys.fails = {1: Failure.REFUSED}
        await rig.clock.jump(20.0)
        assert rig.told() == [("a", True, True)]
        assert (rig.row("a").up, rig.row("a").runs) == (True, 3)
        await rig.clock.jump(20.0)
        rig.toys.fails = {}
        await rig.clock.jump(20.0)
    assert rig.told() == [("a", True, True), ("a", False, False), ("a", True, False)]
    assert rig.changes[1].result.failure is Failure.REFUSED
    row = rig.row("a")
    assert row.since == 1_700_000_060.0
    assert dict(row.failures) == {**dict.fromkeys(Failure, 0), Failure.REFUSED: 4}
    assert [result.success for result in row.history.latest] == [True, *[False] * 4, True, True]
    assert len(row.history.failures) == 4


async def test_a_probe_that_has_not_run_is_neither_up_nor_down() -> None:
    """Its row is there nevertheless, with every reason at 0."""
    rig = Rig(toy("a", port=7))
    assert rig.probing.row("b") is None
    (row,) = rig.probing.rows()
    assert (row.name, row.kind, row.target, row.runs) == ("a", "toy", "toy:7", 0)
    assert (row.up, row.since, row.last) == (None, None, None)
    assert row.failures == tuple((reason, 0) for reason in Failure)
    (kind,) = rig.probing.kinds()
    assert (kind.kind, sum(kind.run_duration.counts)) == ("toy", 0)


async def test_runs_are_measured_by_kind() -> None:
    """All of them, those that failed included."""
    rig = Rig(toy("a"), toy("b", port=2))
    rig.toys.takes, rig.toys.fails = {1: 0.25, 2: 2.0}, {2: Failure.TIMEOUT}
    await asyncio.gather(rig.probing.once(), rig.clock.jump(3.0))
    (kind,) = rig.probing.kinds()
    assert (sum(kind.run_duration.counts), kind.run_duration.sum) == (2, 2.25)


async def test_a_defect_is_a_failure_and_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    """The probe goes on, and the log does not repeat itself until it was well in between."""
    rig = Rig(toy("a"))
    rig.toys.fails = {1: ValueError("secret")}
    async with rig.running():
        await rig.clock.jump(25.0)
        last = rig.row("a").last
        assert last is not None
        assert (last.failure, last.detail, last.duration) == (Failure.OTHER, "a defect: ValueError", 0.0)
        assert [record.message for record in caplog.records] == ["probe a failed by a defect"]
        rig.toys.fails = {}
        await rig.clock.jump(10.0)
        assert rig.row("a").up
        rig.toys.fails = {1: ValueError("again")}
        await rig.clock.jump(10.0)
    assert len(caplog.records) == 2


async def test_every_result_is_told() -> None:
    """Also those that change nothing, and before the change that one makes."""
    rig = Rig(toy("a"))
    async with rig.running():
        await rig.clock.jump(25.0)
    assert len(rig.results) == rig.row("a").runs > len(rig.changes) == 1
    assert set(rig.results) == {("a", True)}


async def test_a_sink_that_fails_keeps_nothing_from_the_others(caplog: pytest.LogCaptureFixture) -> None:
    """Nor from later changes."""
    rig = Rig(toy("a"))

    def broken(change: ProbeChange) -> None:
        raise RuntimeError("no")

    late: list[ProbeChange] = []
    rig.probing.add_sink(broken)
    rig.probing.add_sink(late.append)
    async with rig.running():
        await rig.clock.jump(1.0)
    assert late == rig.changes
    assert len(late) == 1
    assert [record.levelno for record in caplog.records] == [logging.ERROR]


async def test_after_a_stall_of_ours_probes_do_not_all_run_at_once() -> None:
    """A frozen exporter goes on at the pace at which it stopped, and says how late the runs were."""
    many = 200
    rig = Rig(*(toy(f"p{port}", port=port) for port in range(many)), chance=random.Random(3).random)
    async with rig.running():
        await rig.clock.jump(12.0)
        before = len(rig.toys.started)
        rig.clock.move(60.0)
        await rig.clock.jump(0.0)
        assert len(rig.toys.started) - before <= 5
        tenths = []
        for _ in range(10):
            already = len(rig.toys.started)
            await rig.clock.jump(1.0)
            tenths.append(len(rig.toys.started) - already)
        assert sum(tenths) == pytest.approx(many, abs=10)
        assert max(tenths) < 2 * many / 10
    assert rig.counted("probe_runs_skipped_total") == 0
    delayed = rig.counted("probe_schedule_delay_seconds_sum")
    assert delayed == pytest.approx(60.0 * many, rel=0.1)


async def test_a_run_that_a_stall_of_ours_made_fail_is_repeated() -> None:
    """What looks like a timeout may have been our own silence; the second answer counts."""
    rig = Rig(toy("a"))
    rig.toys.takes, rig.toys.fails = {1: 3.0}, {1: Failure.TIMEOUT}
    async with rig.running():
        await rig.clock.jump(1.0)
        rig.clock.move(20.0)
        await rig.clock.jump(0.0)
        assert rig.row("a").up is None
        assert rig.counted("probe_runs_repeated_total") == 1
        rig.toys.fails = {}
        await rig.clock.jump(3.0)
        assert rig.row("a").up
        assert rig.row("a").runs == 1


async def test_a_stall_is_noticed_by_the_run_that_ends_first() -> None:
    """It may wake before the schedule does."""
    rig = Rig(toy("a"))
    rig.toys.takes, rig.toys.fails = {1: 0.1}, {1: Failure.TIMEOUT}
    async with rig.running():
        rig.clock.move(20.0)
        await rig.clock.jump(0.2)
        assert rig.counted("probe_runs_repeated_total") == 1
        assert rig.row("a").runs == 1


async def test_once_runs_each_probe_once() -> None:
    """At once, whatever their schedules, and not more of them at a time than allowed."""
    rig = Rig(*(toy(f"p{port}", port=port) for port in range(5)), concurrency=2)
    rig.toys.takes = dict.fromkeys(range(5), 1.0)
    rig.toys.fails = {3: Failure.DNS}
    once = asyncio.create_task(rig.probing.once())
    await rig.clock.jump(3.0)
    rows = await once
    assert [(row.name, row.up) for row in rows] == [(f"p{port}", port != 3) for port in range(5)]
    assert rig.toys.most_in_flight == 2
    assert rig.told() == [(f"p{port}", port != 3, True) for port in range(5)]


async def test_once_without_probes_is_done() -> None:
    """There is nothing to wait for."""
    assert await Rig().probing.once() == []


async def test_its_end_ends_what_is_in_flight() -> None:
    """Those that run are cancelled and awaited, and those that wait never begin."""
    rig = Rig(toy("a"), toy("b", port=2), concurrency=1)
    rig.toys.takes = {1: 60.0}
    async with rig.running():
        await rig.clock.jump(5.0)
    assert rig.toys.cancelled == [1]
    assert rig.toys.starts(2) == []
    assert rig.told() == []
    assert rig.counted("probes_in_flight") == 0


async def test_an_interrupted_pass_leaves_nothing_running() -> None:
    """And it can be begun again."""
    rig = Rig(toy("a"), toy("b", port=2), concurrency=1)
    rig.toys.takes = {1: 60.0}
    once = asyncio.create_task(rig.probing.once())
    await rig.clock.jump(5.0)
    once.cancel()
    await asyncio.gather(once, return_exceptions=True)
    assert rig.toys.cancelled == [1]
    rig.toys.takes = {}
    again, _ = await asyncio.gather(rig.probing.once(), rig.clock.jump(1.0))
    assert [row.runs for row in again] == [1, 1]


async def test_a_probe_that_did_not_change_goes_on_as_it_was() -> None:
    """A reload neither runs it again nor forgets what is known, nor moves its time."""
    rig = Rig(toy("a"), toy("b", port=2))
    async with rig.running():
        await rig.clock.jump(4.0)
        rig.probing.reconfigure([toy("b", port=2), toy("a"), toy("c", port=3)], 100)
        await rig.clock.jump(7.0)
        assert [row.name for row in rig.probing.rows()] == ["b", "a", "c"]
        assert rig.toys.starts(1) == rig.toys.starts(2) == [0.0, 10.0]
        assert rig.toys.starts(3) == [pytest.approx(4.0, abs=0.25)]
        assert rig.row("a").runs == 2
    assert rig.told() == [("a", True, True), ("b", True, True), ("c", True, True)]


async def test_other_thresholds_and_intervals_keep_what_is_known() -> None:
    """The same target is not unknown because it is asked more often."""
    rig = Rig(toy("a"))
    async with rig.running():
        await rig.clock.jump(4.0)
        rig.probing.reconfigure([toy("a", interval=3.0, failure_threshold=2)], 100)
        rig.toys.fails = {1: Failure.BODY}
        await rig.clock.jump(1.0)
        assert (rig.row("a").up, rig.row("a").runs) == (True, 2)
        await rig.clock.jump(3.0)
        assert (rig.row("a").up, rig.row("a").runs) == (False, 3)


async def test_another_target_is_another_probe() -> None:
    """Under the same name it starts anew, and a run of the old one that is under way is dropped."""
    rig = Rig(toy("a"), toy("gone", port=2))
    rig.toys.takes = {1: 3.0, 2: 3.0}
    async with rig.running():
        await rig.clock.jump(1.0)
        rig.probing.reconfigure([toy("a", port=9)], 100)
        await rig.clock.jump(5.0)
        assert sorted(rig.toys.cancelled) == [1, 2]
        assert (rig.row("a").target, rig.row("a").runs) == ("toy:9", 1)
        assert rig.probing.row("gone") is None
    assert rig.told() == [("a", True, True)]


async def test_a_probe_that_is_gone_leaves_the_queue() -> None:
    """Whoever waited behind it has its turn."""
    rig = Rig(toy("stuck"), toy("gone", port=2), toy("b", port=3), concurrency=1)
    rig.toys.takes = {1: 5.0}
    async with rig.running():
        await rig.clock.jump(1.0)
        rig.probing.reconfigure([toy("stuck"), toy("b", port=3)], 1)
        await rig.clock.jump(5.0)
    assert [port for port, _ in rig.toys.started] == [1, 3]


async def test_more_room_is_used_at_once() -> None:
    """Those who wait begin with the reload that allows it."""
    rig = Rig(*(toy(f"p{port}", port=port) for port in range(3)), concurrency=1)
    rig.toys.takes = dict.fromkeys(range(3), 8.0)
    async with rig.running():
        await rig.clock.jump(1.0)
        rig.probing.reconfigure([toy(f"p{port}", port=port) for port in range(3)], 3)
        await rig.clock.jump(1.0)
        assert rig.toys.starts(1) == rig.toys.starts(2) == [1.0]


async def test_a_run_that_will_not_be_cancelled_is_not_heard() -> None:
    """What it says of a probe that is gone reaches nobody."""
    rig = Rig(toy("a"))

    async def stubborn(options: object, timeout: float) -> object:
        with contextlib.suppress(asyncio.CancelledError):
            await rig.clock.sleep(60.0)
        return await rig.toys.run(rig.toys.varieties["toy"].options(), timeout)

    rig.toys.varieties["toy"] = rig.toys.varieties["toy"]._replace(run=stubborn)  # type: ignore[arg-type]  # a fault
    async with rig.running():
        await rig.clock.jump(1.0)
        rig.probing.reconfigure([], 100)
        await rig.clock.jump(1.0)
    assert rig.toys.starts(1) == [1.0]
    assert rig.told() == []


async def test_rows_that_are_walked_through_may_leave_meanwhile() -> None:
    """What is gone when its turn comes is left out."""
    rig = Rig(toy("a"), toy("b", port=2), toy("c", port=3))
    walk = rig.probing.each()
    assert next(walk).name == "a"
    rig.probing.reconfigure([toy("a"), toy("c", port=3)], 100)
    assert [row.name for row in walk] == ["c"]
