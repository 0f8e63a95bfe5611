"""The registry: which checks there are, and how they stand."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any

import pytest

import worker_agent.health
from tests.worker_agent.health.scripted import Gate, Scripted, Silent, StubbornGate
from worker_agent.health import Breaker, Check, Health, Result, registry
from worker_agent.health.circuits import Circuits
from worker_agent.health.registry import Standing
from worker_agent.health.runner import Counts, Failure, Runner
from worker_agent.protocol import CheckState


@contextlib.asynccontextmanager
async def looking(health: Health) -> AsyncIterator[None]:
    """The registry looks at its checks for the length of the block."""
    await health.start()
    try:
        yield
    finally:
        await health.stop()


def states(standings: dict[str, Standing]) -> dict[str, str]:
    return {
        name: "unknown" if standing.finding is None else standing.finding.result.state.value
        for name, standing in standings.items()
    }


async def turns() -> None:
    """Let everything run that does not wait for time to pass."""
    for _ in range(20):
        await asyncio.sleep(0)


def test_public_names() -> None:
    """All that checks are made of is found in one place; what is not there is no attribute."""
    names = worker_agent.health.__all__
    assert [getattr(worker_agent.health, name).__name__ for name in names] == names
    with pytest.raises(AttributeError, match="has no attribute 'Nothing'"):
        worker_agent.health.Nothing  # noqa: B018


@pytest.mark.parametrize("concurrency", [0, -1, 1.5, True, "8"])
def test_concurrency(concurrency: Any) -> None:
    """How many checks run at the same time is a number of at least one."""
    with pytest.raises(ValueError, match="concurrency must be a number of checks, at least 1, not "):
        Health(concurrency=concurrency)


def test_add() -> None:
    """Checks are kept in the order in which they were added."""
    health = Health()
    first, second = Scripted(name="b"), Scripted(name="a")
    health.add(first)
    health.add(second)
    assert list(health.checks.items()) == [("b", first), ("a", second)]
    assert list(health.counts()) == ["b", "a"]


class Synchronous(Check):
    def run(self) -> bool:  # type: ignore[override]
        return True


class Unfinished(Scripted):
    def __init__(self) -> None:
        """Forgets that of its base."""


@pytest.mark.parametrize(
    ("check", "error", "text"),
    [
        (
            Synchronous("c"),
            TypeError,
            r"run of check c must be an async def; for a function there is @health",
        ),
        (Unfinished(), TypeError, r"a Unfinished needs a super\(\).__init__\(name\) in its __init__"),
        (lambda: True, TypeError, r'for a function there is @health.check\("name"\)'),
        (
            Scripted(name="exporter"),
            ValueError,
            "the name exporter is taken by the connection to the exporter",
        ),
        (Scripted(name="taken"), ValueError, "there is a check named taken already"),
    ],
)
def test_refused(check: Any, error: type[Exception], text: str) -> None:
    """No check, half a check, a reserved name, and the same name twice are refused, and change nothing."""
    health = Health()
    health.add(Scripted(name="taken"))
    with pytest.raises(error, match=text):
        health.add(check)
    assert (list(health.checks), list(health.counts())) == (["taken"], ["taken"])


def test_too_many() -> None:
    """The thirty-third check is one too many."""
    health = Health()
    for number in range(32):
        health.add(Scripted(name=f"c{number}"))
    with pytest.raises(ValueError, match="check c32 is one too many: at most 32 are allowed"):
        health.add(Scripted(name="c32"))


def test_decorator() -> None:
    """A function is added with the options given, and stays what it was."""
    health = Health()

    @health.check("queue-depth", timeout=1, cache=2, critical=False, breaker=Breaker(3, 4))
    async def queue_depth() -> Result:
        return Result.healthy(depth=3)

    check = health.checks["queue-depth"]
    assert (check.timeout, check.cache, check.critical, check.breaker) == (1.0, 2.0, False, Breaker(3, 4.0))
    assert asyncio.run(queue_depth()) == Result.healthy(depth=3)  # type: ignore[arg-type]


def test_decorator_without_a_name() -> None:
    """A decorator without a name is refused with what is missing."""
    with pytest.raises(TypeError, match=r'a check needs a name: @health.check\("name"\)'):
        Health().check(lambda: True)  # type: ignore[arg-type]


async def test_nothing_is_known_before_the_start() -> None:
    """Before the start there is no finding, and nothing is run."""
    health = Health()
    check = Scripted(True)
    health.add(check)
    assert await health.look() == health.last() == {"c": Standing(check, None)}
    assert (health.states(), health.started_up, check.runs) == ((), False, 0)


async def test_rounds() -> None:
    """From the start on all checks are looked at, without being asked."""
    health = Health()
    health.add(Scripted(True, name="b"))
    health.add(Scripted(Result.degraded("slow"), name="c"))
    health.add(Scripted(False, name="a", critical=False))
    async with looking(health):
        await turns()
        assert states(health.last()) == {"b": "healthy", "c": "degraded", "a": "unhealthy"}
        assert health.states() == (
            ("a", CheckState.UNHEALTHY),
            ("b", CheckState.HEALTHY),
            ("c", CheckState.DEGRADED),
        )


async def test_they_go_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """A check is run again when its result does not hold any longer, but not more often than once a round."""
    monkeypatch.setattr("worker_agent.health.registry.ROUND", 0.01)
    health = Health()
    often, seldom = Scripted(True, name="often", cache=0.0), Scripted(True, name="seldom", cache=3600)
    health.add(often)
    health.add(seldom)
    async with looking(health):
        await asyncio.sleep(0.045)
    assert 3 <= often.runs <= 5
    assert seldom.runs == 1


async def test_no_round_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """A sleep that ends a little early, as uvloop's do, does not put a check off until the next round."""
    now = 0.0

    async def sleep(delay: float) -> None:
        nonlocal now
        now += delay * 0.999
        await turns()

    async def step() -> bool:
        at.append(now)
        return True

    at: list[float] = []
    runner = Runner(Scripted(step), asyncio.Semaphore(), Circuits(), Counts(), lambda: now)
    monkeypatch.setattr(registry, "asyncio", SimpleNamespace(sleep=sleep))
    rounds = asyncio.create_task(registry._keep_fresh(runner))
    while len(at) < 4:
        await turns()
    rounds.cancel()
    assert at == pytest.approx([0, 5, 10, 15], abs=0.01)


def test_no_checks() -> None:
    """Where there are no checks nothing is said about them."""
    assert Health().states() is None


async def test_look() -> None:
    """Asked for, all checks are looked at, or those of some names; an unknown name is an error."""
    health = Health()
    health.add(Scripted(True, name="a"))
    health.add(Scripted(False, name="b"))
    async with looking(health):
        assert states(await health.look()) == {"a": "healthy", "b": "unhealthy"}
        assert states(await health.look(["b"])) == {"b": "unhealthy"}
        with pytest.raises(KeyError, match="c"):
            await health.look(["a", "c"])


async def test_single_flight() -> None:
    """Ten that look at the same time, and the round itself, share one run."""
    gate = Gate()
    check = Scripted(gate)
    health = Health()
    health.add(check)
    async with looking(health):
        asking = [asyncio.create_task(health.look()) for _ in range(10)]
        await turns()
        gate.open()
        assert [states(standings) for standings in await asyncio.gather(*asking)] == [{"c": "healthy"}] * 10
    assert check.runs == 1


async def test_one_that_hangs_delays_no_other() -> None:
    """A check that hangs costs its own timeout; the others have been there for long."""
    health = Health()
    health.add(Scripted(Gate(), name="hangs", timeout=0.03))
    health.add(Scripted(True, name="well", timeout=10))
    async with looking(health):
        loop = asyncio.get_running_loop()
        began = loop.time()
        assert states(await health.look(["well"])) == {"well": "healthy"}
        assert loop.time() - began < 0.03
        assert states(await health.look()) == {"hangs": "unhealthy", "well": "healthy"}
        assert loop.time() - began < 1.0


async def test_those_that_hang_go_last() -> None:
    """Checks that hang and take all places fail the others once, and not each time."""
    health = Health(concurrency=2)
    for name in ("hangs", "hangs-too"):
        health.add(Scripted(Gate(), name=name, timeout=0.1, cache=0, breaker=None))
    health.add(Scripted(True, name="well", timeout=0.1, cache=0))
    hang = {"hangs": "unhealthy", "hangs-too": "unhealthy"}
    async with looking(health):
        assert states(await health.look()) == {**hang, "well": "unhealthy"}
        for _ in range(3):
            assert states(await health.look()) == {**hang, "well": "healthy"}


async def test_bounded() -> None:
    """No more checks run at the same time than allowed; the others take their turns."""
    gate = Gate()
    health = Health(concurrency=2)
    for number in range(5):
        health.add(Scripted(gate, name=f"c{number}"))
    async with looking(health):
        await turns()
        assert gate.came == 2
        gate.open()
        assert set(states(await health.look()).values()) == {"healthy"}
    assert gate.came == 5


async def test_started_up() -> None:
    """Started up once every check had a result, whatever it was, and from then on."""
    gate = Gate()
    health = Health()
    health.add(Scripted(False, name="a"))
    health.add(Scripted(gate, name="b"))
    async with looking(health):
        await turns()
        assert (health.started_up, health.states()) == (False, (("a", CheckState.UNHEALTHY),))
        gate.open()
        await turns()
        assert health.started_up is True
        health.add(Scripted(Gate(), name="late"))
        assert health.started_up is True


async def test_started_up_without_checks() -> None:
    """Without checks the start is the end of the first round."""
    health = Health()
    assert health.started_up is False
    async with looking(health):
        assert health.started_up is True


async def test_added_after_the_start() -> None:
    """A check that comes late is looked at as well."""
    health = Health()
    async with looking(health):
        health.add(Scripted(True))
        await turns()
        assert states(health.last()) == {"c": "healthy"}


async def test_added_elsewhere() -> None:
    """A check that comes late and from another thread is refused, and changes nothing."""
    health = Health()
    async with looking(health):
        with pytest.raises(
            RuntimeError, match="check c comes late: the agent runs, so add it on the application's"
        ):
            await asyncio.to_thread(health.add, Scripted(True))
        assert (health.checks, await health.look()) == ({}, {})


async def test_stop_while_somebody_waits() -> None:
    """Whoever waits for a result when it is stopped gets one that says so; what ran is given back."""
    gate = Gate()
    check = Scripted(gate)
    health = Health()
    health.add(check)
    async with looking(health):
        asking = asyncio.create_task(health.look())
        await turns()
    standing = (await asking)["c"]
    assert standing.finding is not None
    assert standing.finding.result == Result.unhealthy("the agent stopped during this run")
    assert standing.finding.failure is Failure.ERROR
    assert (gate.cancelled, check.closed) == (1, 1)
    assert [task for task in asyncio.all_tasks() if task is not asyncio.current_task()] == []


async def test_closed_after_the_run() -> None:
    """A check gives back what it holds when its run has ended, not while it is in it."""
    health = Health()
    order: list[str] = []

    class Pooled(Scripted):
        async def close(self) -> None:
            order.append("closed")

    async def works() -> None:
        try:
            await asyncio.sleep(5)
        finally:
            await asyncio.sleep(0.005)
            order.append("ended")

    health.add(Pooled(works))
    async with looking(health):
        await turns()
    assert order == ["ended", "closed"]


class Closing(Scripted):
    """Closes in the way of its first step."""

    async def close(self) -> None:
        await super().run()


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (ValueError("no"), "ValueError('no')"),
        (SystemExit(1), "SystemExit(1)"),
        (Silent(), "Silent()"),
    ],
)
async def test_close_fails(caplog: pytest.LogCaptureFixture, error: BaseException, said: str) -> None:
    """A check that cannot be closed is told of, and keeps no other from being closed."""
    health = Health()
    other = Scripted(True, name="other")
    health.add(Closing(error))
    health.add(other)
    await health.start()
    caplog.clear()
    await health.stop()
    assert [record.getMessage() for record in caplog.records] == [f"closing check c failed: {said}"]
    assert other.closed == 1


async def test_close_hangs(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    """A check that takes long to close holds nobody up for more than a moment."""
    monkeypatch.setattr("worker_agent.health.registry._CLOSE_TIMEOUT", 0.02)
    gate = Gate()
    health = Health()
    health.add(Closing(gate))
    await health.start()
    await health.stop()
    await turns()
    assert [record.getMessage() for record in caplog.records] == ["the end of c takes longer than 0.02 s"]
    assert (gate.came, gate.cancelled) == (1, 1)


async def test_a_run_that_ignores_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """A run that cannot be cancelled is left behind, and its check closed."""
    monkeypatch.setattr("worker_agent.health.runner._ENDING", 0.02)
    gate = StubbornGate()
    check = Scripted(gate)
    health = Health()
    health.add(check)
    async with looking(health):
        await turns()
    assert check.closed == 1
    gate.open()


def test_started_again() -> None:
    """An application that is started anew, on another event loop, has its checks looked at anew."""
    health = Health()
    check = Scripted(True, False)
    health.add(check)

    async def once() -> dict[str, str]:
        async with looking(health):
            return states(await health.look())

    assert asyncio.run(once()) == {"c": "healthy"}
    assert states(health.last()) == {"c": "unknown"}
    assert asyncio.run(once()) == {"c": "unhealthy"}
    assert (check.runs, check.closed) == (2, 2)
    assert sum(health.counts()["c"].duration_counts) == 2


async def test_stopped_without_a_start() -> None:
    """What was not started is stopped at once."""
    await Health().stop()


def test_the_base_class_needs_a_run() -> None:
    """A check that does not say how to look is none."""
    with pytest.raises(TypeError, match="abstract"):
        Check("c")  # type: ignore[abstract]
