"""What is said where a library is missing."""

from __future__ import annotations

import sys
from collections.abc import Callable

import pytest

from worker_agent.health.check import Check
from worker_agent.health.checks.amqp import AmqpCheck
from worker_agent.health.checks.postgres import PostgresCheck


@pytest.mark.parametrize(
    ("library", "make", "error"),
    [
        (
            "asyncpg",
            lambda: PostgresCheck("db", dsn="postgresql://db/orders"),
            "PostgresCheck needs asyncpg: pip install 'heartbeat-exporter[postgres]'",
        ),
        (
            "aio_pika",
            lambda: AmqpCheck("mq", url="amqp://mq"),
            "AmqpCheck needs aio-pika: pip install 'heartbeat-exporter[amqp]'",
        ),
    ],
    ids=["postgres", "amqp"],
)
def test_a_missing_library(
    monkeypatch: pytest.MonkeyPatch, library: str, make: Callable[[], Check], error: str
) -> None:
    """A check whose library is not installed says so when it is made, and what to install."""
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(ModuleNotFoundError) as missing:
        make()
    assert str(missing.value) == error
    assert missing.value.name == library
