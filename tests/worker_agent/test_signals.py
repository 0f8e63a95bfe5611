"""Hearing of SIGTERM and SIGINT beside the handlers of others."""

from __future__ import annotations

import signal
import subprocess
import sys
import textwrap
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from worker_agent.signals import on_termination


@pytest.fixture(autouse=True)
def handlers_as_found() -> Iterator[None]:
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_chains(number: signal.Signals) -> None:
    """The callback comes first, then the handler that was there, with the signal's number."""
    heard: list[object] = []
    signal.signal(number, lambda number, frame: heard.append(number))
    restore = on_termination(lambda: heard.append("callback"))
    signal.raise_signal(number)
    assert heard == ["callback", number]
    restore()
    signal.raise_signal(number)
    assert heard == ["callback", number, number]


def test_two_in_one_process() -> None:
    """Several may listen; leaving out of order takes nobody else's handler away."""
    heard: list[str] = []
    signal.signal(signal.SIGTERM, lambda number, frame: heard.append("server"))
    restore_first = on_termination(lambda: heard.append("first"))
    restore_second = on_termination(lambda: heard.append("second"))
    restore_first()
    signal.raise_signal(signal.SIGTERM)
    assert heard == ["second", "first", "server"]
    restore_second()


def test_held_back() -> None:
    """A signal that is held back reaches nobody until it is sent again and let through."""
    heard: list[object] = []
    signal.signal(signal.SIGTERM, lambda number, frame: heard.append("server"))

    def hold(number: int) -> bool:
        heard.append(("held", number))
        return heard.count(("held", number)) == 1

    restore = on_termination(lambda: heard.append("callback"), hold=hold)
    signal.raise_signal(signal.SIGTERM)
    assert heard == [("held", signal.SIGTERM)]
    signal.raise_signal(signal.SIGTERM)
    assert heard[1:] == [("held", signal.SIGTERM), "callback", "server"]
    restore()


def test_ignored_stays_ignored() -> None:
    """A process started with SIGINT ignored goes on ignoring it, without a goodbye."""
    heard: list[str] = []
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    restore = on_termination(lambda: heard.append("callback"))
    signal.raise_signal(signal.SIGINT)
    restore()
    assert heard == []
    assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN


def test_outside_the_main_thread() -> None:
    """Elsewhere than in the main thread it changes nothing and its undoing neither."""
    before = signal.getsignal(signal.SIGTERM)

    def listen() -> None:
        on_termination(lambda: None)()

    thread = threading.Thread(target=listen)
    thread.start()
    thread.join()
    assert signal.getsignal(signal.SIGTERM) is before


def test_nobody_handled_it() -> None:
    """Where the signal would have ended the process it still does, after the last words."""
    code = """
        import signal
        from worker_agent.signals import on_termination
        on_termination(lambda: print("goodbye", flush=True), last_words=lambda: print("sent", flush=True))
        signal.raise_signal(signal.SIGTERM)
        print("still here")
    """
    command = [sys.executable, "-c", textwrap.dedent(code)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=Path(__file__).parents[2])
    assert (done.returncode, done.stdout, done.stderr) == (-signal.SIGTERM, "goodbye\nsent\n", "")
