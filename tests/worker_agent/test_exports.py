"""The public API, and what importing it costs."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import worker_agent
from worker_agent.agent import Agent
from worker_agent.environment import SettingsError
from worker_agent.instrumentation.functions import DEFAULT
from worker_agent.settings import WorkerSettings

HEAVY = ("fastapi", "starlette", "uvicorn", "redis", "starlette_prometheus", "prometheus_client", "structlog")


def test_public_names() -> None:
    """These names and no others are promised to applications."""
    assert worker_agent.__all__ == ["Agent", "SettingsError", "WorkerSettings", "measured"]
    assert worker_agent.Agent is Agent
    assert worker_agent.SettingsError is SettingsError
    assert worker_agent.WorkerSettings is WorkerSettings
    assert worker_agent.measured == DEFAULT.measured


def test_unknown_name() -> None:
    """A name that is not there is missing in the usual way."""
    with pytest.raises(AttributeError, match=r"^module 'worker_agent' has no attribute 'Manager'$"):
        worker_agent.Manager  # type: ignore[attr-defined]  # noqa: B018


@pytest.mark.parametrize(
    "statement", ["import worker_agent.client", "from worker_agent import Agent", "import worker_agent"]
)
def test_import_is_light(statement: str) -> None:
    """The client and the agent can be imported without web framework, Redis or metrics."""
    code = f"import sys; {statement}; print(sorted(set({HEAVY}) & set(sys.modules)))"
    command = [sys.executable, "-c", code]
    assert subprocess.check_output(command, text=True, cwd=Path(__file__).parents[2]) == "[]\n"


def test_import_starts_nothing() -> None:
    """Importing resolves nothing and starts no thread."""
    code = (
        "import sys, threading, worker_agent;"
        "print([name for name in sys.modules if name.startswith('worker_agent')], threading.active_count())"
    )
    command = [sys.executable, "-c", code]
    output = subprocess.check_output(command, text=True, cwd=Path(__file__).parents[2])
    assert output == "['worker_agent'] 1\n"
