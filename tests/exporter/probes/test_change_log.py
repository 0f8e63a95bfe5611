"""Changes of probes in the log."""

from __future__ import annotations

import logging

import pytest

from exporter.core.model import Wall
from exporter.core.probing import Failure, ProbeChange, Result
from exporter.probes.change_log import log_change


@pytest.mark.parametrize(
    ("up", "first", "level", "message"),
    [
        (True, True, logging.DEBUG, "probe api: unknown -> up"),
        (True, False, logging.INFO, "probe api: down -> up"),
        (False, True, logging.WARNING, "probe api: unknown -> down (status: got 503)"),
        (False, False, logging.WARNING, "probe api: up -> down (status: got 503)"),
    ],
)
def test_a_change_is_one_line(
    up: bool, first: bool, level: int, message: str, caplog: pytest.LogCaptureFixture
) -> None:
    """A loss is a warning that says why; that all is well at the start is for those who look closely."""
    result = Result(Wall(1.0), 0.1) if up else Result(Wall(1.0), 0.1, Failure.STATUS, "got 503")
    with caplog.at_level(logging.DEBUG):
        log_change(ProbeChange("api", up, first, result))
    (record,) = caplog.records
    assert (record.levelno, record.message) == (level, message)
    before, _, after = message.removeprefix("probe api: ").split(" (")[0].partition(" -> ")
    fields = record.__dict__
    assert (fields["probe"], fields["from"], fields["to"]) == ("api", before, after)
    assert fields.get("reason") == (None if up else "status")
