"""What several tests of the exporter's side need."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from exporter.settings import Settings
from tests.support.logs import put_back


@pytest.fixture
def bare_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """None of the exporter's variables is set, and there is no `.env`."""
    monkeypatch.chdir(tmp_path)
    for name in Settings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)
        monkeypatch.delenv(f"{name.upper()}_FILE", raising=False)


@pytest.fixture
def logging_as_found() -> Iterator[None]:
    """A program configures logging for the whole process: put everything back."""
    with put_back():
        yield
