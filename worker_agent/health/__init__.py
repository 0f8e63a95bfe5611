"""Health checks: what a worker depends on, looked at all the time.

    from worker_agent.health import HttpCheck, RedisCheck, Result

    agent.health.add(RedisCheck("cache", url="redis://cache", critical=False))

    @agent.health.check("queue-depth", timeout=2)
    async def queue_depth() -> Result: ...

The names are resolved when they are asked for: a check's library is needed by those who use that check.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from worker_agent.health.check import Breaker, Check
    from worker_agent.health.checks.amqp import AmqpCheck
    from worker_agent.health.checks.cpu import CpuCheck
    from worker_agent.health.checks.disk import DiskCheck
    from worker_agent.health.checks.event_loop import EventLoopCheck
    from worker_agent.health.checks.http import HttpCheck
    from worker_agent.health.checks.memory import MemoryCheck
    from worker_agent.health.checks.postgres import PostgresCheck
    from worker_agent.health.checks.redis import RedisCheck
    from worker_agent.health.checks.redis_stream import RedisStreamCheck
    from worker_agent.health.checks.tcp import TcpCheck
    from worker_agent.health.registry import Health
    from worker_agent.health.result import Result

__all__ = [
    "AmqpCheck",
    "Breaker",
    "Check",
    "CpuCheck",
    "DiskCheck",
    "EventLoopCheck",
    "Health",
    "HttpCheck",
    "MemoryCheck",
    "PostgresCheck",
    "RedisCheck",
    "RedisStreamCheck",
    "Result",
    "TcpCheck",
]

_HOMES = {
    "AmqpCheck": "worker_agent.health.checks.amqp",
    "Breaker": "worker_agent.health.check",
    "Check": "worker_agent.health.check",
    "CpuCheck": "worker_agent.health.checks.cpu",
    "DiskCheck": "worker_agent.health.checks.disk",
    "EventLoopCheck": "worker_agent.health.checks.event_loop",
    "Health": "worker_agent.health.registry",
    "HttpCheck": "worker_agent.health.checks.http",
    "MemoryCheck": "worker_agent.health.checks.memory",
    "PostgresCheck": "worker_agent.health.checks.postgres",
    "RedisCheck": "worker_agent.health.checks.redis",
    "RedisStreamCheck": "worker_agent.health.checks.redis_stream",
    "Result": "worker_agent.health.result",
    "TcpCheck": "worker_agent.health.checks.tcp",
}


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
