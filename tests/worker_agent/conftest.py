"""What several tests of the worker's side need."""

from __future__ import annotations

from pathlib import Path

import pytest

from worker_agent.settings import WorkerSettings


@pytest.fixture
def bare_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """None of a worker's variables is set, and there is no `.env`."""
    monkeypatch.chdir(tmp_path)
    for name in WorkerSettings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)
        monkeypatch.delenv(f"{name.upper()}_FILE", raising=False)
