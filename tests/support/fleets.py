"""Workers for tests: facts, and fleets that have some."""

from __future__ import annotations

from typing import Any

from exporter.core.events import Beat, Connect, Register
from exporter.core.model import Connection, Facts, WorkerId
from worker_agent.protocol import Heartbeat

BEAT = Heartbeat()
"""The shortest sign of life."""


def facts(worker_id: str = "w1", **changes: Any) -> Facts:
    """The facts of a worker that beats each 5 s and is given 15 s."""
    given = {
        "name": worker_id.upper(),
        "group": "default",
        "host": "host",
        "port": 8001,
        "interval": 5.0,
        "timeout": 15.0,
        "boot_id": "boot-1",
    }
    return Facts(worker_id=WorkerId(worker_id), **{**given, **changes})


def register(worker_id: str = "w1", **changes: Any) -> Register:
    return Register(facts(worker_id, **changes))


def connect(worker_id: str = "w1", connection: int = 1) -> Connect:
    return Connect(WorkerId(worker_id), Connection(connection))


def beat(worker_id: str = "w1", connection: int = 1, report: Heartbeat = BEAT) -> Beat:
    return Beat(WorkerId(worker_id), Connection(connection), report)
