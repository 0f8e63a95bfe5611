"""The event loop check."""

from __future__ import annotations

import asyncio
import re
import time
from typing import Any

import pytest

from tests.worker_agent.health.checks.outcomes import told
from worker_agent.health.checks import event_loop
from worker_agent.health.checks.event_loop import EventLoopCheck
from worker_agent.health.registry import Health


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ticks follow each other a hundred times as fast."""
    monkeypatch.setattr(event_loop, "TICK", 0.005)


async def test_free() -> None:
    """A loop that turns freely is well; it has this task, and that of the check."""
    check = EventLoopCheck()
    state, details, error = told(await check.run())
    assert (state, details["tasks"], error) == ("healthy", 2, None)
    await asyncio.sleep(0.02)
    state, details, error = told(await check.run())
    assert (state, details["tasks"], error) == ("healthy", 2, None)
    await check.close()
    assert len(asyncio.all_tasks()) == 1


async def test_blocked() -> None:
    """What has blocked the loop shows at once after, and for a while."""
    check = EventLoopCheck(max_lag=0.02)
    await check.run()
    await asyncio.sleep(0)
    time.sleep(0.04)
    for _ in range(2):
        state, details, error = told(await check.run())
        assert state == "unhealthy"
        assert details["lag_seconds"] == "seconds"
        assert re.fullmatch(r"the event loop was 0\.\d\d s late, above 0.02 s", str(error))
        await asyncio.sleep(0.01)
    await check.close()
    check = EventLoopCheck(max_lag=None)
    assert told(await check.run())[0] == "healthy"
    await check.close()


async def test_forgotten() -> None:
    """After so many measurements a lag is over, and after the end there is none."""
    check = EventLoopCheck()
    check._lags.extend([2.0] + [0.0] * (event_loop.REMEMBERED - 1))
    assert told(await check.run())[0] == "unhealthy"
    check._lags.append(0.0)
    assert told(await check.run())[0] == "healthy"
    check._lags.append(2.0)
    await check.close()
    assert told(await check.run())[0] == "healthy"
    await check.close()


async def test_tasks() -> None:
    """More tasks than allowed is told with both numbers."""
    check = EventLoopCheck(max_tasks=2, beyond="degraded")
    assert told(await check.run())[0] == "healthy"
    more = asyncio.create_task(asyncio.sleep(5))
    state, details, error = told(await check.run())
    assert (state, details["tasks"], error) == ("degraded", 3, "there are 3 tasks, above 2")
    more.cancel()
    await check.close()


def test_another_loop() -> None:
    """On another event loop it measures that one, whether it was closed or not."""
    check = EventLoopCheck()
    for _ in range(2):
        assert told(asyncio.run(check.run()))[0] == "healthy"  # type: ignore[arg-type]


async def test_registered() -> None:
    """The registry ends the ticker with the check."""
    health = Health()
    health.add(EventLoopCheck())
    await health.start()
    assert (await health.look())["event-loop"].finding is not None
    await health.stop()
    assert len(asyncio.all_tasks()) == 1


async def test_closed_without_a_run() -> None:
    """What was never run has nothing to end."""
    await EventLoopCheck().close()


def test_defaults() -> None:
    """It is optional, and nothing is gained by giving it a rest."""
    check = EventLoopCheck()
    assert (check.name, check.critical, check.breaker) == ("event-loop", False, None)


@pytest.mark.parametrize(
    ("arguments", "error", "text"),
    [
        ({"max_lag": 0}, ValueError, "max_lag of check event-loop must be above 0 and at most 3600, not 0"),
        ({"max_tasks": 1.5}, TypeError, "max_tasks of check event-loop must be a whole number or None"),
        ({"beyond": "bad"}, ValueError, "beyond of check event-loop must be 'degraded' or 'unhealthy'"),
    ],
)
def test_wrong_arguments(arguments: dict[str, Any], error: type[Exception], text: str) -> None:
    """A limit that cannot be meant is refused."""
    with pytest.raises(error, match=text):
        EventLoopCheck(**arguments)
