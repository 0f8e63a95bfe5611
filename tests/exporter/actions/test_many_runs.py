"""Many actions at once: how many runs are under way, and what the event loop has of it."""

from __future__ import annotations

import asyncio

from prometheus_client import CollectorRegistry

from exporter.actions import acting as module
from exporter.actions.acting import RUNS, Acting
from exporter.actions.base import BrakeRules
from exporter.telemetry import Telemetry
from tests.support.actions import Remembered, Toys, change, toy
from tests.support.clock import FakeClock, settle

NAMES = [f"web-{number}" for number in range(RUNS + 50)]


class Stage:
    """One action for each of many probes, all of them up."""

    def __init__(self) -> None:
        self.toys = Toys()
        self.acting = Acting(
            [toy(name, name) for name in NAMES],
            BrakeRules(share=1.0),
            clock=FakeClock(),
            store=Remembered(),
            telemetry=Telemetry(CollectorRegistry()),
            varieties=self.toys.varieties,
        )

    async def __aenter__(self) -> Stage:
        self._task = asyncio.create_task(self.acting.run())
        for name in NAMES:
            self.acting.on_probe(change(name, True))
        await settle()
        return self

    async def __aexit__(self, *_: object) -> None:
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    def fall(self) -> None:
        for name in NAMES:
            self.acting.on_probe(change(name, False))

    async def until_told(self, runs: int) -> None:
        async with asyncio.timeout(5.0):
            while len(self.toys.told) < runs:
                await asyncio.sleep(0)


async def test_so_many_runs_are_under_way_and_no_more() -> None:
    """The others wait for the end of one, and then all have had their run."""
    async with Stage() as stage:
        stage.toys.gate.clear()
        stage.fall()
        await stage.until_told(RUNS)
        await settle()
        rows = list(stage.acting.rows())
        assert [row.name for row in rows if row.running] == NAMES[:RUNS]
        assert [row.name for row in rows if row.waiting] == NAMES[RUNS:]
        stage.toys.gate.set()
        await stage.until_told(len(NAMES))
        assert stage.toys.runs == [f"{name} demote" for name in NAMES]


async def test_runs_start_a_few_at_a_time() -> None:
    """Starting a command holds the event loop, so others have their turns in between."""
    async with Stage() as stage:
        stage.toys.gate.clear()
        stage.fall()
        started, before = [], 0
        while before < RUNS:
            await asyncio.sleep(0)
            started.append(len(stage.toys.told) - before)
            before = len(stage.toys.told)
        assert max(started) == module._STARTS


async def test_one_pass_runs_all_of_many() -> None:
    """Those that wait for a place, too."""
    async with Stage() as stage:
        states = {row.name: row.state for row in stage.acting.rows() if row.state is not None}
    toys = Toys()
    passing = Acting(
        [toy(name, name) for name in NAMES],
        BrakeRules(share=1.0),
        clock=FakeClock(),
        store=Remembered(),
        telemetry=Telemetry(CollectorRegistry()),
        varieties=toys.varieties,
    )
    passing.restore(states)
    for name in NAMES:
        passing.on_probe(change(name, False, first=True))
    async with asyncio.timeout(5.0):
        await passing.settle()
    assert sorted(toys.runs) == sorted(f"{name} demote" for name in NAMES)
