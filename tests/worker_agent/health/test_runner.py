"""One check: when it is run, and what comes out of it."""

from __future__ import annotations

import asyncio
import gc
import logging
import threading
import traceback
from types import SimpleNamespace
from typing import Any

import pytest

from tests.support.hand_clock import HandClock
from tests.worker_agent.health.scripted import Gate, Scripted, Silent, StubbornGate, agent_threads
from worker_agent.health.check import Breaker, Check, FunctionCheck
from worker_agent.health.circuits import CircuitOpen, Circuits
from worker_agent.health.result import Outcome, Result
from worker_agent.health.runner import Counts, Failure, Finding, Runner
from worker_agent.protocol import CheckState

SOON = 0.02
"""A timeout that is over soon, in seconds."""


class Bench:
    """A runner, its clock and all that it shares with others."""

    def __init__(self, check: Check, *, places: int = 8) -> None:
        self.clock = HandClock()
        self.counts = Counts()
        self.places = asyncio.Semaphore(places)
        self.circuits = Circuits()
        self.check = check
        self.runner = self.another()

    def another(self) -> Runner:
        return Runner(self.check, self.places, self.circuits, self.counts, self.clock)

    async def fresh(self) -> Finding:
        """A finding of now, whatever is cached."""
        self.clock.move(self.check.cache)
        return await self.runner.finding()

    def failures(self) -> dict[str, int]:
        return {reason.value: count for reason, count in self.counts.failures.items() if count}


async def test_finding() -> None:
    """A finding is the result, when it was had, and how long that took."""

    async def looks() -> Outcome:
        bench.clock.move(0.25)
        return {"depth": 3}

    bench = Bench(Scripted(looks))
    assert bench.runner.last is None
    finding = await bench.runner.finding()
    assert finding == Finding(Result.healthy(depth=3), at=4096.25, duration=0.25, failure=None)
    assert bench.runner.last is finding
    assert (bench.counts.duration_counts, bench.counts.duration_sum) == ([0] * 7 + [1] + [0] * 6, 0.25)


async def test_cache() -> None:
    """A result is kept for as long as the check says, and how often that saved a run is counted."""
    check = Scripted(True, cache=8.0)
    bench = Bench(check)
    first = await bench.runner.finding()
    bench.clock.move(7.5)
    assert await bench.runner.finding() is first
    assert await bench.runner.refreshed() is first
    assert (check.runs, bench.counts.cache_hits) == (1, 1)
    bench.clock.move(0.5)
    assert (await bench.runner.finding()).at == 4104.0
    assert (check.runs, bench.counts.cache_hits) == (2, 1)


async def test_single_flight() -> None:
    """Ten that ask at the same time get the result of one run."""
    gate = Gate()
    check = Scripted(gate, cache=0.0)
    bench = Bench(check)
    asking = [asyncio.create_task(bench.runner.finding()) for _ in range(10)]
    await asyncio.sleep(SOON)
    gate.open()
    findings = await asyncio.gather(*asking)
    assert all(finding is findings[0] for finding in findings)
    assert (check.runs, bench.counts.cache_hits) == (1, 0)
    await bench.runner.finding()
    assert check.runs == 2


async def test_one_who_waits_goes_away() -> None:
    """Whoever does not wait any longer takes the result from nobody else."""
    gate = Gate()
    bench = Bench(Scripted(gate))
    impatient, patient = (asyncio.create_task(bench.runner.finding()) for _ in range(2))
    await asyncio.sleep(SOON)
    impatient.cancel()
    gate.open()
    assert (await patient).result == Result.healthy()
    assert impatient.cancelled()
    assert gate.cancelled == 0


async def test_timeout() -> None:
    """A run that takes too long is cancelled, and the result says so."""
    gate = Gate()
    bench = Bench(Scripted(gate, True, timeout=SOON))
    finding = await bench.runner.finding()
    assert finding == Finding(Result.unhealthy("no result within 0.02 s"), 4096.0, 0.0, Failure.TIMEOUT)
    await asyncio.sleep(0)
    assert gate.cancelled == 1
    assert (await bench.fresh()).result == Result.healthy()
    assert bench.failures() == {"timeout": 1}


async def test_a_run_that_ignores_its_end() -> None:
    """A run that cannot be cancelled is joined by no other, and the check works again once it ended."""
    gate = StubbornGate()
    check = Scripted(gate, timeout=SOON)
    bench = Bench(check, places=1)
    assert (await bench.fresh()).result.error == "no result within 0.02 s"
    for _ in range(3):
        finding = await bench.fresh()
        assert finding.result.error == "a run that was cancelled goes on all the same"
        assert finding.failure is Failure.TIMEOUT
    assert check.runs == 1
    assert not bench.places.locked()
    gate.open()
    await asyncio.sleep(SOON)
    assert (await bench.fresh()).result == Result.healthy()


async def test_what_nobody_waits_for(caplog: pytest.LogCaptureFixture) -> None:
    """What a run raises after its time is over is nobody's business."""

    async def fails_late() -> None:
        try:
            await asyncio.sleep(5)
        except asyncio.CancelledError:
            raise ValueError("too late") from None

    bench = Bench(Scripted(fails_late, True, timeout=SOON))
    await bench.runner.finding()
    await asyncio.sleep(0)
    await bench.fresh()
    gc.collect()
    assert [record.name for record in caplog.records if record.name == "asyncio"] == []


async def test_a_thread_that_hangs() -> None:
    """A plain function that hangs keeps one thread, over many runs."""
    release = threading.Event()
    before = agent_threads()
    bench = Bench(FunctionCheck("c", lambda: release.wait(5.0), timeout=SOON, breaker=None))
    try:
        assert (await bench.fresh()).result.error == "no result within 0.02 s"
        for _ in range(10):
            finding = await bench.fresh()
            assert finding.failure is Failure.TIMEOUT
            assert str(finding.result.error).endswith(" s ago hangs")
        assert agent_threads() == before + 1
    finally:
        release.set()


async def test_no_turn() -> None:
    """Waiting for a place counts into the timeout."""
    bench = Bench(Scripted(True, timeout=SOON), places=1)
    await bench.places.acquire()
    finding = await bench.runner.finding()
    assert finding.result == Result.unhealthy("no turn within 0.02 s: too many checks hang")
    assert finding.failure is Failure.TIMEOUT
    bench.places.release()
    assert (await bench.fresh()).result == Result.healthy()


async def test_what_is_left_of_the_timeout() -> None:
    """After waiting for a place a run has only the rest of its time."""
    gate = Gate()
    bench = Bench(Scripted(gate, timeout=2.0), places=1)
    await bench.places.acquire()
    asking = asyncio.create_task(bench.runner.finding())
    await asyncio.sleep(0.001)
    bench.clock.move(2.5)
    bench.places.release()
    assert (await asking).result.error == "no result within 2 s"


async def test_a_hanging_check_keeps_nobodys_place() -> None:
    """The place of a run that hangs is given to the next."""
    gate = StubbornGate()
    bench = Bench(Scripted(gate, timeout=SOON), places=1)
    await bench.runner.finding()
    other = Runner(Scripted(True), bench.places, bench.circuits, Counts(), bench.clock)
    assert (await other.finding()).result == Result.healthy()
    gate.open()


class Ending(BaseException):
    """No exception that anybody expects."""


@pytest.mark.parametrize(
    ("step", "result", "failure"),
    [
        (False, Result.unhealthy("the check returned False"), Failure.UNHEALTHY),
        (Result.unhealthy("full", depth=9), Result.unhealthy("full", depth=9), Failure.UNHEALTHY),
        (Result.degraded("slow"), Result.degraded("slow"), None),
        (LookupError("no row"), Result.unhealthy("LookupError: no row"), Failure.ERROR),
        (AssertionError(), Result.unhealthy("AssertionError"), Failure.ERROR),
        (Silent(), Result.unhealthy("Silent: a Silent that cannot be shown"), Failure.ERROR),
        (
            ConnectionError("redis://:s3cret@host"),
            Result.unhealthy("ConnectionError: redis://:****@host"),
            Failure.ERROR,
        ),
        (TimeoutError("no answer"), Result.unhealthy("TimeoutError: no answer"), Failure.TIMEOUT),
        (StopIteration(), Result.unhealthy("RuntimeError: coroutine raised StopIteration"), Failure.ERROR),
        (SystemExit(3), Result.unhealthy("RuntimeError: it raised SystemExit: 3"), Failure.ERROR),
        (asyncio.CancelledError(), Result.unhealthy("the check was cancelled"), Failure.ERROR),
        (GeneratorExit(), Result.unhealthy("GeneratorExit"), Failure.ERROR),
        (Ending("now"), Result.unhealthy("Ending: now"), Failure.ERROR),
        (
            None,
            Result.unhealthy("the check returned None, expected a bool, a mapping of details or a Result"),
            Failure.INVALID,
        ),
    ],
    ids=lambda value: type(value).__name__,
)
async def test_outcomes(step: Any, result: Result, failure: Failure | None) -> None:
    """Whatever a check returns or raises, a finding comes out, with the reason of a failure."""
    bench = Bench(Scripted(step))
    assert await bench.runner.finding() == Finding(result, 4096.0, 0.0, failure)
    assert bench.failures() == ({} if failure is None else {failure.value: 1})


async def test_circuit(monkeypatch: pytest.MonkeyPatch) -> None:
    """After failures in a row a dependency gets a rest, then one run decides about the next."""
    wall = HandClock(1_700_000_000.0)
    for module in ("purgatory.domain.model", "worker_agent.health.circuits"):
        monkeypatch.setattr(f"{module}.time", SimpleNamespace(time=wall))
    down = ConnectionError("refused")
    steps = (down, True, down, down, down, True, True, down, down, True)
    check = Scripted(*steps, breaker=Breaker(threshold=2, ttl=30.0))
    bench = Bench(check)

    async def looks() -> tuple[int, str, dict[str, object]]:
        finding = await bench.fresh()
        return check.runs, finding.failure or "well", dict(finding.result.details)

    rests = {"circuit": "open since 2023-11-14T22:13:20Z"}
    later = {"circuit": "open since 2023-11-14T22:14:22Z"}
    assert await looks() == (1, "error", {})
    assert await looks() == (2, "well", {})
    assert await looks() == (3, "error", {})
    assert await looks() == (4, "error", {})
    assert await looks() == (4, "circuit_open", rests)
    wall.move(29.0)
    assert await looks() == (4, "circuit_open", rests)
    wall.move(2.0)
    assert await looks() == (5, "error", {})
    assert await looks() == (5, "circuit_open", rests)
    wall.move(31.0)
    assert await looks() == (6, "well", {})
    assert await looks() == (7, "well", {})
    assert await looks() == (8, "error", {})
    assert await looks() == (9, "error", {})
    assert await looks() == (9, "circuit_open", later)
    assert bench.failures() == {"error": 6, "circuit_open": 4}
    assert sum(bench.counts.duration_counts) == 9


async def test_a_clock_that_is_put_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """A rest takes its time and no longer, also when the clock is put back by an hour meanwhile."""
    wall = HandClock(1_700_000_000.0)
    for module in ("purgatory.domain.model", "worker_agent.health.circuits"):
        monkeypatch.setattr(f"{module}.time", SimpleNamespace(time=wall))
    bench = Bench(Scripted(False, True, breaker=Breaker(threshold=1, ttl=30.0)))
    await bench.fresh()
    wall.move(-3600.0)
    assert (await bench.fresh()).failure is Failure.CIRCUIT_OPEN
    wall.move(31.0)
    assert (await bench.fresh()).result == Result.healthy()


async def test_an_open_circuit_tells_the_error() -> None:
    """While it rests the last error is still there, on another start of the agent too, which has none."""
    bench = Bench(Scripted(ConnectionError("refused"), breaker=Breaker(threshold=1)))
    await bench.fresh()
    assert (await bench.fresh()).result.error == "ConnectionError: refused"
    assert (await bench.fresh()).result.error == "ConnectionError: refused"
    assert (await bench.another().finding()).result.error == "it kept failing"


async def test_an_open_circuit_keeps_no_frames() -> None:
    """An open circuit raises the same exception each time; it does not grow with it."""
    bench = Bench(Scripted(False, breaker=Breaker(threshold=1), cache=0.0))

    async def frames() -> int:
        with pytest.raises(CircuitOpen) as caught:
            async with bench.circuits.closed(bench.check):
                pass
        assert caught.value.__context__ is not None
        return len(traceback.extract_tb(caught.value.__context__.__traceback__))

    await bench.fresh()
    before = await frames()
    for _ in range(5):
        await bench.fresh()
    assert await frames() == before


async def test_what_leaves_a_circuit_closed() -> None:
    """Degraded is no failure, and neither is a turn that did not come: that is not the dependency's fault."""
    check = Scripted(Result.degraded("slow"), True, timeout=SOON, breaker=Breaker(threshold=1))
    bench = Bench(check, places=1)
    await bench.fresh()
    await bench.places.acquire()
    await bench.fresh()
    bench.places.release()
    assert (await bench.fresh()).result == Result.healthy()


async def test_no_breaker() -> None:
    """Without a breaker it is run again and again."""
    check = Scripted(False, breaker=None)
    bench = Bench(check)
    for _ in range(20):
        await bench.fresh()
    assert check.runs == 20


def test_durations() -> None:
    """A duration counts in the bucket that it just fits in; beyond all of them there is one more."""
    counts = Counts()
    for duration in (0.0, 0.001, 0.002, 10.0, 11.0):
        counts.add(Finding(Result.healthy(), 0.0, duration))
    assert counts.duration_counts == [2, 1, *[0] * 10, 1, 1]
    assert counts.duration_sum == pytest.approx(21.003)


async def test_logs(caplog: pytest.LogCaptureFixture) -> None:
    """A change is told once; being well from the start is none."""
    caplog.set_level(logging.INFO, "worker_agent.health.runner")
    steps = [True, ValueError("no"), ValueError("still no"), Result.degraded("slow"), True, True]
    steps += [Result(CheckState.UNHEALTHY, {"depth": 7})]
    bench = Bench(Scripted(*steps, breaker=None))
    for _ in steps:
        await bench.fresh()
    told = [
        (record.levelname, record.getMessage(), vars(record)["from"], vars(record)["to"])
        for record in caplog.records
    ]
    assert told == [
        ("WARNING", "check c is unhealthy: ValueError: no", "healthy", "unhealthy"),
        ("WARNING", "check c is degraded: slow", "unhealthy", "degraded"),
        ("INFO", "check c is healthy again", "degraded", "healthy"),
        ("WARNING", "check c is unhealthy: it does not say why", "healthy", "unhealthy"),
    ]
    assert {vars(record)["check"] for record in caplog.records} == {"c"}


async def test_stop() -> None:
    """Stopping abandons a run; whoever waits for it is told, and nothing is remembered or counted."""
    gate = Gate()
    bench = Bench(Scripted(gate))
    asking = asyncio.create_task(bench.runner.finding())
    await asyncio.sleep(SOON)
    bench.clock.move(0.5)
    await bench.runner.stop()
    expected = Finding(Result.unhealthy("the agent stopped during this run"), 4096.5, 0.5, Failure.ERROR)
    assert await asking == expected
    assert gate.cancelled == 1
    assert (bench.runner.last, bench.failures()) == (None, {})
    await bench.runner.stop()


async def test_stop_before_anything() -> None:
    """What never ran is stopped at once."""
    await Bench(Scripted(True)).runner.stop()
