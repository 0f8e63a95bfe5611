"""Settings of a worker, from the environment or a `.env` file; docs/settings.md lists them."""

from __future__ import annotations

import socket
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import Field, field_validator, model_validator

from worker_agent.environment import Environment, LogFormat, LogLevel

Port = Annotated[int, Field(ge=1, le=65535)]
Seconds = Annotated[float, Field(ge=0.1, le=3600.0)]
HostName = Annotated[str, Field(min_length=1, max_length=253)]
Label = Annotated[str, Field(min_length=1, max_length=128)]


class WorkerSettings(Environment):
    """What a worker says about itself, and where its exporter is.

    What is None is left to the exporter: it makes the id and hands out interval and timeout.
    """

    worker_name: Label | None = None
    worker_host: HostName = Field(default_factory=socket.gethostname)
    worker_port: Port = 8001
    worker_id: Label | None = None
    worker_group: Label = "default"
    manager_host: HostName = "localhost"
    manager_port: Port = 8000
    manager_url: str | None = None
    heartbeat_interval: Seconds | None = None
    heartbeat_timeout: Seconds | None = None
    worker_leave_on_shutdown: bool = False
    log_level: LogLevel = "INFO"
    log_format: LogFormat = "console"

    @field_validator("manager_url")
    @classmethod
    def _is_a_base_url(cls, value: str | None) -> str | None:
        if value is None:
            return None
        expected = "must be http:// or https://, a host and at most a port and a path"
        try:
            parts = urlsplit(value)
            valid = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
        except ValueError:
            raise ValueError(expected) from None
        if not valid or parts.query or parts.fragment or parts.username is not None:
            raise ValueError(expected)
        return value.rstrip("/")

    @model_validator(mode="after")
    def _timeout_is_above_interval(self) -> WorkerSettings:
        interval, timeout = self.heartbeat_interval, self.heartbeat_timeout
        if interval is not None and timeout is not None and timeout <= interval:
            raise ValueError(f"HEARTBEAT_TIMEOUT={timeout:g}: must be above HEARTBEAT_INTERVAL={interval:g}")
        return self

    @property
    def exporter_url(self) -> str:
        """The base of all addresses of the exporter, without a slash at its end."""
        if self.manager_url is not None:
            return self.manager_url
        host = f"[{self.manager_host}]" if ":" in self.manager_host else self.manager_host
        return f"http://{host}:{self.manager_port}"
