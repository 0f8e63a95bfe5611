"""Makes a FastAPI application a worker: heartbeats, health and metrics.

    from worker_agent import Agent

    agent = Agent()                        # settings from the environment
    app = FastAPI(lifespan=agent.lifespan)
    agent.instrument(app)
    agent.health.add(...)                  # what it depends on: worker_agent.health

The names are resolved when they are asked for: the exporter imports this package for its protocol and
needs nothing of the rest.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from worker_agent.agent import Agent
    from worker_agent.environment import SettingsError
    from worker_agent.instrumentation.functions import measured
    from worker_agent.settings import WorkerSettings

__all__ = ["Agent", "SettingsError", "WorkerSettings", "measured"]

_HOMES = {
    "Agent": "worker_agent.agent",
    "SettingsError": "worker_agent.environment",
    "WorkerSettings": "worker_agent.settings",
    "measured": "worker_agent.instrumentation.functions",
}


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
