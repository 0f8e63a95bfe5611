"""The small chart beside a name."""

from __future__ import annotations

from exporter.core.model import Reason, Status, Wall
from exporter.web import strip
from exporter.web.strip import Bar, State, Strip
from tests.exporter.web.rows import T0, transitions

REGISTERED = (Status.REGISTERED, Reason.REGISTERED)
CONNECTED = (Status.CONNECTED, Reason.CONNECTED)
ALIVE = (Status.ALIVE, Reason.HEARTBEAT)
LOST = (Status.DISCONNECTED, Reason.CONNECTION_LOST)
SILENT = (Status.NOT_RESPONDING, Reason.CONNECTION_LOST)
GOODBYE = (Status.DISCONNECTED, Reason.SHUTDOWN)
GONE = (Status.NOT_RESPONDING, Reason.SHUTDOWN)


def of_worker(*past: tuple[float, tuple[Status, Reason]], now: float = 0.0, interval: float = 5.0) -> Strip:
    """Of a past in seconds from T0, which is a multiple of all intervals here."""
    told = [(T0 + at, *standing) for at, standing in past]
    return strip.of_worker(transitions(told), interval, Wall(T0 + now))


def test_a_worker_that_was_always_alive() -> None:
    """One bar, and a sentence that needs no numbers."""
    assert of_worker((-1000, ALIVE)) == Strip(
        60, (Bar(State.ALIVE, 0, 60),), "Alive throughout the last 5 min"
    )


def test_a_worker_that_came_was_lost_and_is_back() -> None:
    """Before its registration nothing is known; in an interval with several states the worst is shown."""
    shown = of_worker(
        (-104, REGISTERED),
        (-103, CONNECTED),
        (-102, ALIVE),
        (-41, LOST),
        (-26, SILENT),
        (-8, CONNECTED),
        (-7, ALIVE),
        now=4.9,
    )
    assert shown.bars == (
        Bar(State.UNKNOWN, 0, 38),
        Bar(State.PENDING, 38, 1),  # from -105 on
        Bar(State.ALIVE, 39, 11),
        Bar(State.DISCONNECTED, 50, 3),  # from -45 on
        Bar(State.NOT_RESPONDING, 53, 5),  # from -30 on; it came back in the last of them
        Bar(State.ALIVE, 58, 2),
    )
    assert shown.text == (
        "Of 60 intervals, the last 5 min: not responding in 5, disconnected in 3, pending in 1, alive in 13"
        " and unknown in 38"
    )


def test_it_moves_on_once_in_an_interval() -> None:
    """All looks within one interval see the same, so that nothing is sent to those who have seen it."""
    past = ((-1000, ALIVE), (-41, LOST))
    assert len({of_worker(*past, now=now) for now in (0.0, 1.0, 3.3, 4.999)}) == 1
    assert of_worker(*past, now=5.0).bars == (Bar(State.ALIVE, 0, 49), Bar(State.DISCONNECTED, 49, 11))


def test_a_goodbye_is_no_failure() -> None:
    """A worker that shut down is stopped, also when its status has become another."""
    shown = of_worker((-1000, ALIVE), (-100, GOODBYE), (-85, GONE), interval=1.0)
    assert shown == Strip(60, (Bar(State.STOPPED, 0, 60),), "Stopped throughout the last 1 min")


def test_history_that_does_not_reach_back() -> None:
    """Of what was before the first transition that is kept nothing is said, though its status is."""
    kept = transitions([(T0 - 500, *ALIVE), (T0 - 10, *LOST)])[1:]
    shown = strip.of_worker(kept, 5.0, Wall(T0))
    assert shown.bars == (Bar(State.UNKNOWN, 0, 57), Bar(State.DISCONNECTED, 57, 3))


def test_no_history_at_all() -> None:
    """A row of a worker that a store of an older version remembers."""
    assert strip.of_worker((), 5.0, Wall(T0)).text == "Unknown throughout the last 5 min"


def test_a_worker_that_was_forgotten_in_between() -> None:
    """While there was no such worker it had no state."""
    told = [(T0 - 250, *ALIVE), (T0 - 200, None, Reason.DELETED), (T0 - 100, *ALIVE)]
    shown = strip.of_worker(transitions(told), 5.0, Wall(T0))
    assert shown.bars == (
        Bar(State.UNKNOWN, 0, 9),
        Bar(State.ALIVE, 9, 11),
        Bar(State.UNKNOWN, 20, 19),
        Bar(State.ALIVE, 39, 21),
    )


def test_the_time_may_go_backwards() -> None:
    """A transition that a clock set back has left in the future shows nothing rather than failing."""
    assert of_worker((100, ALIVE)).bars == (Bar(State.UNKNOWN, 0, 60),)


def test_runs_of_a_probe() -> None:
    """To the right are the latest; what is missing to the left was not yet run."""
    assert strip.of_runs([True, True, False], 5) == Strip(
        5,
        (Bar(State.UNKNOWN, 0, 2), Bar(State.ALIVE, 2, 2), Bar(State.NOT_RESPONDING, 4, 1)),
        "1 of the last 3 runs failed",
    )
    assert strip.of_runs([], 5) == Strip(5, (Bar(State.UNKNOWN, 0, 5),), "No run yet")
