"""Which signals are held back, and what is sent again."""

from __future__ import annotations

import asyncio
import signal
import threading
from collections.abc import Callable, Iterator

import pytest

from tests.support.hand_clock import HandClock
from worker_agent.background import Background
from worker_agent.drain import ECHO, Drain


@pytest.fixture
def background() -> Iterator[Background]:
    ended = asyncio.Event()

    async def main() -> None:
        await ended.wait()

    background = Background(main)
    yield background
    background.call(ended.set)
    assert background.join(5.0)


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The signals that this process sent itself; none of them is delivered."""
    sent: list[int] = []
    monkeypatch.setattr("os.kill", lambda pid, number: sent.append(number))
    return sent


def settled(background: Background, after: float = 0.0) -> None:
    """Wait until the background has done what it was called for, and what was due since."""
    done = threading.Event()

    def later() -> None:
        asyncio.get_running_loop().call_later(after, done.set)

    background.call(later)
    assert done.wait(5.0)


Draining = Callable[[float], tuple[Drain, HandClock]]


@pytest.fixture
def draining(background: Background) -> Draining:
    def make(delay: float) -> tuple[Drain, HandClock]:
        clock = HandClock()
        return Drain(delay, background, clock), clock

    return make


def test_no_delay(draining: Draining) -> None:
    """Without a delay nothing is held back."""
    drain, _ = draining(0.0)
    assert not drain.holds(signal.SIGTERM)


def test_sent_again(draining: Draining, background: Background, sent: list[int]) -> None:
    """The first SIGTERM is sent again after the delay, and is let through then, however soon that is."""
    drain, _ = draining(0.01)
    assert drain.holds(signal.SIGTERM)
    settled(background, after=0.05)
    assert sent == [signal.SIGTERM]
    assert not drain.holds(signal.SIGTERM)


def test_echo(draining: Draining) -> None:
    """A SIGTERM that follows within a second is the first one once more; a later one is meant."""
    drain, clock = draining(60.0)
    assert drain.holds(signal.SIGTERM)
    clock.move(ECHO / 2)
    assert drain.holds(signal.SIGTERM)
    clock.move(ECHO / 2)
    assert not drain.holds(signal.SIGTERM)


def test_interrupted(draining: Draining) -> None:
    """Ctrl-C is never held back."""
    drain, _ = draining(60.0)
    assert not drain.holds(signal.SIGINT)


def test_ended(draining: Draining, background: Background, sent: list[int]) -> None:
    """Who was told to end otherwise is not sent the signal again, and holds none back."""
    drain, _ = draining(0.05)
    assert drain.holds(signal.SIGTERM)
    drain.end()
    settled(background, after=0.1)
    assert sent == []
    assert not drain.holds(signal.SIGTERM)


def test_nobody_to_send_it_again() -> None:
    """Once the background has ended a signal is not held back: it would be lost."""

    async def main() -> None:
        pass

    background = Background(main)
    assert background.join(5.0)
    assert not Drain(60.0, background).holds(signal.SIGTERM)
