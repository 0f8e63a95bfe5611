"""A worker as the health paths see it, set by hand."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from worker_agent.statistics import Statistics

ABOUT = {"uptime": 12.346, "version": "1.2.3"}
"""What it says about itself in each answer, besides a time stamp."""


@dataclass
class FakeWorker:
    statistics: Statistics = field(
        default_factory=lambda: Statistics(connected=True, worker_id="w1", heartbeats_sent=7)
    )
    version: str | None = "1.2.3"
    uptime: float = 12.34567
    started: bool = True
    ready: bool = True


def entry(status: str, error: str | None = None, /, **fields: Any) -> dict[str, Any]:
    """An entry of `checks`: of a check that was never run, unless `fields` say otherwise."""
    return {
        "status": status,
        "details": {},
        "error": error,
        "duration": None,
        "age": None,
        "critical": True,
        **fields,
    }


def exporter(status: str = "healthy", error: str | None = None) -> dict[str, Any]:
    """The entry about the connection to the exporter, of a worker that is as above."""
    return entry(status, error, details={"worker_id": "w1", "heartbeats_sent": 7}, critical=False)


def timeless(body: Mapping[str, Any]) -> dict[str, Any]:
    """A body without its time stamp, which is different each time."""
    rest = dict(body)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", rest.pop("timestamp"))
    return rest
