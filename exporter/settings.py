"""The exporter's settings: one model, read once, handed down. docs/settings.md lists them for users."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, ValidationInfo, field_validator

from exporter.core.fleet import Rules
from exporter.core.model import SECOND
from worker_agent.environment import Environment, LogFormat, LogLevel

Seconds = Annotated[float, Field(ge=0.1, le=3600.0, allow_inf_nan=False)]
"""A heartbeat's interval or timeout: 0.1 s to one hour."""

Retention = Annotated[float, Field(ge=1.0, le=366 * 86400.0, allow_inf_nan=False)]


class Settings(Environment):
    redis_host: str = Field("localhost", description="Host of the Redis (or Valkey) that keeps the registry")
    redis_port: int = Field(6379, ge=1, le=65535, description="Its port")
    redis_db: int = Field(0, ge=0, le=1_000_000, description="Number of its database")
    redis_url: SecretStr | None = Field(
        None,
        description="All three in one, `redis://user:password@host:port/db`; `rediss://` for TLS",
    )
    sqlite_path: Path | None = Field(
        None, description="Keep the registry in this file instead of in Redis: for one machine"
    )
    heartbeat_interval: Seconds = Field(5.0, description="Handed to workers that name none")
    heartbeat_timeout: Seconds = Field(
        15.0,
        validate_default=True,
        description="Silence after which a worker is declared down, unless it names its own",
    )
    worker_retention: Retention = Field(
        86400.0, description="How long a lost worker stays on /metrics after its last sign of life"
    )
    stopped_worker_retention: Retention = Field(3600.0, description="The same for one that said goodbye")
    max_workers: int = Field(20_000, ge=1, le=1_000_000, description="Workers known at the same time")
    max_groups: int = Field(100, ge=1, le=1_000, description="Groups known at the same time")
    config_file: Path | None = Field(
        None, description="Probes and actions, in YAML or as the INI file of Heartbeat; see docs/probes.md"
    )
    enable_lifecycle: bool = Field(False, description="Allow `POST /-/reload` to read that file again")
    grafana_url: str | None = Field(
        None, description="Grafana, as a browser reaches it, for links on the status page"
    )
    alertmanager_url: str | None = Field(None, description="Alertmanager likewise")
    log_level: LogLevel = Field("INFO", description="DEBUG, INFO, WARNING, ERROR or CRITICAL")
    log_format: LogFormat = Field("console", description="console, logfmt or json")

    # Of fields, not of the model: a model is not validated where a field is wrong, and all is said at once.

    @field_validator("redis_url")
    @classmethod
    def _is_an_address_of_redis(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None:
            _check_redis_url(value.get_secret_value())
        return value

    @field_validator("heartbeat_timeout")
    @classmethod
    def _is_above_the_interval(cls, timeout: float, others: ValidationInfo) -> float:
        interval = others.data.get("heartbeat_interval")
        if interval is not None and timeout <= interval:
            raise ValueError(f"must be above HEARTBEAT_INTERVAL={interval:g}")
        return timeout

    @field_validator("grafana_url", "alertmanager_url")
    @classmethod
    def _is_for_everybody(cls, url: str | None) -> str | None:
        return None if url is None else _public_url(url)

    def rules(self) -> Rules:
        return Rules(
            max_workers=self.max_workers,
            max_groups=self.max_groups,
            retention=round(self.worker_retention * SECOND),
            stopped_retention=round(self.stopped_worker_retention * SECOND),
        )

    def redis_address(self) -> str:
        """The Redis to use, as a URL. It may hold a password."""
        if self.redis_url is not None:
            return self.redis_url.get_secret_value()
        host = f"[{self.redis_host}]" if ":" in self.redis_host else self.redis_host
        return f"redis://{host}:{self.redis_port}/{self.redis_db}"


def _public_url(url: str) -> str:
    """Without a slash at the end. Raises ValueError: it is not one that may be shown."""
    expected = "must be http://host or https://host, with a port and a path if need be"
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise ValueError(expected) from None
    plain = not re.search(r"[\s?#\\]", url)
    if parts.scheme not in ("http", "https") or not parts.hostname or port == 0 or not plain:
        raise ValueError(expected)
    if parts.username is not None:
        raise ValueError("must hold no user name or password: it is shown on the status page")
    return url.rstrip("/")


def _check_redis_url(url: str) -> None:
    """Raises ValueError: it says what is expected and repeats nothing of the URL, which holds a password."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise ValueError(
            "must be redis://user:password@host:port/db, with a port up to 65535 and with what is special"
            " in the password written as %XX"
        ) from None
    if parts.scheme not in ("redis", "rediss", "unix"):
        raise ValueError("must start with redis://, rediss:// or unix://")
    if parts.scheme == "unix":
        if not parts.path:
            raise ValueError("must name a socket, as in unix:///run/redis.sock?db=0")
    elif port == 0 or not re.fullmatch(r"(/[0-9]*)?", parts.path):
        raise ValueError("must end with host:port/db, db being a number")
