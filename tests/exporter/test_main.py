"""`exporter.main:app`, as an ASGI server imports it."""

from __future__ import annotations

import logging
import runpy
from pathlib import Path

import pytest
from fastapi import FastAPI

from exporter import __version__


@pytest.fixture(autouse=True)
def on_its_own(
    bare_environment: None, logging_as_found: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No settings but a test's own, and nothing of the module's stays."""
    monkeypatch.setenv("SQLITE_PATH", str(tmp_path / "registry.db"))


def test_an_application_made_from_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Importing it reads the settings and configures logging, and starts nothing."""
    monkeypatch.setenv("LOG_LEVEL", "WARNING")
    monkeypatch.setenv("LOG_FORMAT", "logfmt")
    app = runpy.run_module("exporter.main")["app"]
    assert isinstance(app, FastAPI)
    assert app.version == __version__
    assert logging.getLogger().level == logging.WARNING
    logging.getLogger("uvicorn.error").warning("x")
    assert "level=warning component=server event=x\n" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (
            {"MAX_WORKERS": "0", "LOG_LEVEL": "loud"},
            "MAX_WORKERS=0: must be greater than or equal to 1\n"
            "LOG_LEVEL=LOUD: must be 'DEBUG', 'INFO', 'WARNING', 'ERROR' or 'CRITICAL'\n",
        ),
        (
            {"SQLITE_PATH": "", "REDIS_URL": "redis://:geheim@localhost?socket_timeout=soon"},
            "REDIS_URL=****: Invalid value for 'socket_timeout' in connection URL.\n",
        ),
    ],
)
def test_wrong_settings(
    wrong: dict[str, str], said: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """All of them, without a traceback and without a password; exit code 2."""
    for name, value in wrong.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(SystemExit) as ended:
        runpy.run_module("exporter.main")
    assert ended.value.code == 2
    assert capsys.readouterr() == ("", said)


def test_a_wrong_configuration(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Every problem of the file is a line, without a traceback; exit code 2."""
    file = tmp_path / "probes.yml"
    file.write_text("probes:\n  db: {type: tcp, host: db}\nprobs: {}\n")
    monkeypatch.setenv("CONFIG_FILE", str(file))
    with pytest.raises(SystemExit) as ended:
        runpy.run_module("exporter.main")
    assert ended.value.code == 2
    assert capsys.readouterr() == (
        "",
        f"{file}: probes.db.port (line 2): must be given\n"
        f"{file}: probs (line 3): is not known here (did you mean probes?)\n",
    )
