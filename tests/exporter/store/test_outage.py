"""What is said while a store fails."""

from __future__ import annotations

import logging
from itertools import islice

import pytest

from exporter.store.outage import Outage, retry_delays
from tests.support.clock import FakeClock


def test_an_outage_is_told_once_at_each_end(caplog: pytest.LogCaptureFixture) -> None:
    """Trying again and again writes no lines; another problem, and the end, do."""
    caplog.set_level(logging.INFO)
    clock = FakeClock()
    outage = Outage("Redis", clock)
    assert (outage.problem, outage.over()) == (None, False)
    for _ in range(3):
        outage.failed("Redis: connection refused", permanent=False)
        clock.move(2.0)
    outage.failed("Redis: wrong password", permanent=True)
    outage.failed("Redis: connection refused", permanent=False)
    assert outage.problem == "Redis: connection refused"
    assert outage.over()
    assert (outage.problem, outage.over()) == (None, False)
    outage.failed("Redis: connection refused", permanent=False)
    going_on = "; judging goes on, and what changes is kept until the store is back"
    assert [(record.levelname, record.message) for record in caplog.records] == [
        ("WARNING", "Redis: connection refused" + going_on),
        ("ERROR", "Redis: wrong password" + going_on),
        ("INFO", "Redis is back and up to date after 6.0 s"),
        ("WARNING", "Redis: connection refused" + going_on),
    ]
    assert {vars(record)["store"] for record in caplog.records} == {"Redis"}


def test_trying_again_slows_down_to_five_seconds() -> None:
    """Soon at first, for a store that restarts; never less often than each five seconds."""
    assert list(islice(retry_delays(), 7)) == [0.5, 1.0, 2.0, 4.0, 5.0, 5.0, 5.0]
