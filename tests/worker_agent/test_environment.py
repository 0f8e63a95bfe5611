"""Settings from the environment, a `.env` file and secret files."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Annotated

import pytest
from pydantic import Field, SecretStr, field_validator, model_validator

from worker_agent.environment import Environment, LogFormat, LogLevel, Problem, SettingsError, load

ROOT = Path(__file__).parents[2]


class Sample(Environment):
    redis_host: str = "localhost"
    redis_port: Annotated[int, Field(ge=1, le=65535)] = 6379
    redis_url: str | None = None
    interval: Annotated[float, Field(ge=0.1, le=3600)] = 5.0
    password: SecretStr | None = None
    name: Annotated[str, Field(max_length=10)] = "x"
    log_level: LogLevel = "INFO"
    log_format: LogFormat = "console"

    @field_validator("name")
    @classmethod
    def _no_slash(cls, name: str) -> str:
        if "/" in name:
            raise ValueError("must not contain a slash")
        return name

    @model_validator(mode="after")
    def _interval_is_not_seven(self) -> Sample:
        if self.interval == 7:
            raise ValueError("INTERVAL=7: must not be seven")
        return self


@pytest.fixture(autouse=True)
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory and none of the variables, whatever the machine has set."""
    monkeypatch.chdir(tmp_path)
    for name in Sample.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)
        monkeypatch.delenv(f"{name.upper()}_FILE", raising=False)
    return tmp_path


def refused(**overrides: object) -> list[str]:
    with pytest.raises(SettingsError) as caught:
        load(Sample, **overrides)
    return str(caught.value).splitlines()


def test_defaults() -> None:
    """With nothing set every field has its default."""
    assert load(Sample).model_dump() == {
        "redis_host": "localhost",
        "redis_port": 6379,
        "redis_url": None,
        "interval": 5.0,
        "password": None,
        "name": "x",
        "log_level": "INFO",
        "log_format": "console",
    }


def test_precedence(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A flag beats the environment, which beats the `.env` file, which may hold foreign keys."""
    (directory / ".env").write_text("SOMEBODY_ELSES=1\nREDIS_HOST=file\nREDIS_PORT=1\nNAME=file\n")
    monkeypatch.setenv("REDIS_PORT", "2")
    monkeypatch.setenv("NAME", "variable")
    settings = load(Sample, name="flag", interval=None)
    assert (settings.redis_host, settings.redis_port, settings.name) == ("file", 2, "flag")
    assert settings.interval == 5.0


@pytest.mark.parametrize("value", ["", "  ", "tcp://10.0.0.1:6379", "udp://[fd00::1]:6379"])
def test_counts_as_unset(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty value and a Kubernetes service variable leave the default standing."""
    monkeypatch.setenv("REDIS_PORT", value)
    monkeypatch.setenv("REDIS_HOST", value)
    settings = load(Sample)
    assert (settings.redis_host, settings.redis_port) == ("localhost", 6379)


def test_kubernetes_shape_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only a host or a port can be a Kubernetes service variable: a URL setting keeps such a value."""
    monkeypatch.setenv("REDIS_URL", "tcp://10.0.0.1:6379")
    assert load(Sample).redis_url == "tcp://10.0.0.1:6379"


def test_secret_file(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """NAME_FILE supplies any setting; the setting itself beats it; an empty file counts as unset."""
    (directory / "secret").write_text("hunter2\n")
    (directory / "empty").write_text("\n")
    monkeypatch.setenv("PASSWORD_FILE", str(directory / "secret"))
    monkeypatch.setenv("REDIS_HOST_FILE", str(directory / "secret"))
    monkeypatch.setenv("REDIS_HOST", "beats-file")
    monkeypatch.setenv("REDIS_URL_FILE", str(directory / "empty"))
    settings = load(Sample)
    assert settings.password is not None
    assert settings.password.get_secret_value() == "hunter2"
    assert (settings.redis_host, settings.redis_url) == ("beats-file", None)


def test_all_problems_at_once(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each wrong setting gets one line with key, value and expectation."""
    (directory / ".env").write_text("REDIS_PORT=70000\n")
    monkeypatch.setenv("INTERVAL", "soon")
    monkeypatch.setenv("NAME", "far too long a name")
    monkeypatch.setenv("LOG_LEVEL", "loud")
    monkeypatch.setenv("LOG_FORMAT", "XML")
    monkeypatch.setenv("REDIS_URL_FILE", "/does/not/exist")
    assert refused() == [
        "REDIS_PORT=70000: must be less than or equal to 65535",
        "REDIS_URL_FILE=/does/not/exist: must be a file that can be read: No such file or directory",
        "INTERVAL=soon: must be a valid number",
        "NAME='far too long a name': must have at most 10 characters",
        "LOG_LEVEL=LOUD: must be 'DEBUG', 'INFO', 'WARNING', 'ERROR' or 'CRITICAL'",
        "LOG_FORMAT=xml: must be 'console', 'logfmt' or 'json'",
    ]


@pytest.mark.parametrize("value", ["nan", "inf", "-inf", "1e400"])
def test_numbers_are_finite(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """NaN and infinity are refused."""
    monkeypatch.setenv("INTERVAL", value)
    assert refused() == [f"INTERVAL={value}: must be a finite number"]


def test_own_validators(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a field's validator says is the expectation; what a model's says is the whole line."""
    monkeypatch.setenv("NAME", "a/b")
    assert refused() == ["NAME=a/b: must not contain a slash"]
    monkeypatch.delenv("NAME")
    assert refused(interval=7) == ["INTERVAL=7: must not be seven"]


def test_required(monkeypatch: pytest.MonkeyPatch) -> None:
    """A setting without a default must be set, and an empty value does not set it."""

    class Required(Environment):
        token: SecretStr

    monkeypatch.setenv("TOKEN", "")
    with pytest.raises(SettingsError, match=r"^TOKEN: must be set$"):
        load(Required)


def test_secrets_are_masked(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Secret fields, values from files and passwords in URLs never reach an error message."""

    class Secretive(Environment):
        pin: SecretStr = SecretStr("0")
        interval: float = 5
        redis_url: Annotated[str, Field(max_length=5)] = "x"

        @field_validator("pin")
        @classmethod
        def _digits(cls, pin: SecretStr) -> SecretStr:
            if not pin.get_secret_value().isdigit():
                raise ValueError("must be digits")
            return pin

    (directory / "secret").write_text("hunter2")
    monkeypatch.setenv("PIN", "hunter2")
    monkeypatch.setenv("INTERVAL_FILE", str(directory / "secret"))
    monkeypatch.setenv("REDIS_URL", "redis://user:hunter2@host:1")
    with pytest.raises(SettingsError) as caught:
        load(Secretive)
    assert caught.value.problems == (
        Problem("PIN", "****", "must be digits"),
        Problem("INTERVAL", "****", "must be a valid number"),
        Problem("REDIS_URL", "redis://user:****@host:1", "must have at most 5 characters"),
    )


def test_strange_values_are_shown_safely(monkeypatch: pytest.MonkeyPatch) -> None:
    """Control characters are escaped and long values cut."""
    monkeypatch.setenv("INTERVAL", "a\x1b[31m\nb")
    monkeypatch.setenv("NAME", "n" * 500)
    assert refused() == [
        r"INTERVAL='a\x1b[31m\nb': must be a valid number",
        f"NAME={'n' * 97}...: must have at most 10 characters",
    ]


def test_unusable_files(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A secret file that is binary or huge, and a `.env` that is no text, are named."""
    (directory / "binary").write_bytes(b"\xff\xfe")
    (directory / "huge").write_text("x" * 70_000)
    monkeypatch.setenv("NAME_FILE", "binary")
    monkeypatch.setenv("PASSWORD_FILE", "huge")
    assert refused() == [
        "PASSWORD_FILE=huge: must be at most 65536 bytes long",
        "NAME_FILE=binary: must be a text file in UTF-8",
    ]
    (directory / ".env").write_bytes(b"\xff\xfe")
    assert refused() == [".env: must be a text file that can be read: not UTF-8"]


def test_imports_nothing_of_the_web() -> None:
    """Settings, logs and signals can be imported without FastAPI, Redis or starlette-prometheus."""
    code = (
        "import sys, worker_agent.environment, worker_agent.logs, worker_agent.signals;"
        "print(sorted({'fastapi', 'starlette', 'redis', 'starlette_prometheus'} & set(sys.modules)))"
    )
    assert subprocess.check_output([sys.executable, "-c", code], text=True, cwd=ROOT) == "[]\n"
