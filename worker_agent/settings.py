"""Settings of a worker, from the environment or a `.env` file; docs/settings.md lists them."""

from __future__ import annotations

import re
import socket
from ipaddress import IPv6Address
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, ValidationInfo, field_validator

from worker_agent.environment import Environment, LogFormat, LogLevel

Port = Annotated[int, Field(ge=1, le=65535)]
Seconds = Annotated[float, Field(ge=0.1, le=3600.0)]


def _bare_host(value: str) -> str:
    """Without the brackets of an IPv6 address; a port or a scheme here would end up inside a URL."""
    host = value[1:-1] if value.startswith("[") and value.endswith("]") else value
    try:
        valid = bool(IPv6Address(host)) if ":" in host else re.fullmatch(r"[\w.-]+", host) is not None
    except ValueError:
        valid = False
    if not valid:
        raise ValueError("must be a host name or an IP address, without scheme and port")
    return host


HostName = Annotated[str, Field(min_length=1, max_length=253), AfterValidator(_bare_host)]
Name = Annotated[str, Field(min_length=1, max_length=100)]
Id = Annotated[str, Field(min_length=1, max_length=128)]


class WorkerSettings(Environment):
    """What a worker says about itself, and where its exporter is.

    What is None is left to the exporter: it makes the id and hands out interval and timeout.
    """

    worker_name: Name | None = Field(
        None, description="Shown everywhere; left out, one is derived that stays with host and port"
    )
    worker_host: HostName = Field(
        default_factory=socket.gethostname, description="The host it is known and scraped by"
    )
    worker_port: Port = Field(8001, description="The port it is known and scraped by")
    worker_id: Id | None = Field(
        None, description="Its identity; left out, the exporter derives one from group, name, host and port"
    )
    worker_group: Name = Field(
        "default", description="Workers that do the same: alerts tell how many are left"
    )
    manager_host: HostName = Field("localhost", description="Host of the exporter")
    manager_port: Port = Field(8000, description="Its port")
    manager_url: str | None = Field(
        None, description="Both in one, for https or a path: `https://monitoring.example/heartbeat`"
    )
    heartbeat_interval: Seconds | None = Field(
        None, description="Seconds between heartbeats; left out, what the exporter hands out"
    )
    heartbeat_timeout: Seconds | None = Field(
        None, description="Seconds of silence that mean it is down; left out, what the exporter hands out"
    )
    worker_leave_on_shutdown: bool = Field(
        False, description="A clean stop removes the worker at once: for scaling down"
    )
    worker_health_port: Port | None = Field(
        None,
        description="Answer the health paths on this port too, even while the application's event loop is "
        "stuck; process n of several behind one port takes this port + n",
    )
    worker_drain_delay: Annotated[float, Field(ge=0, le=300)] = Field(
        0,
        description="Seconds from SIGTERM, when `/health/ready` turns to 503, until the server hears of it "
        "and takes no more requests",
    )
    log_level: LogLevel = Field("INFO", description="DEBUG, INFO, WARNING, ERROR or CRITICAL")
    log_format: LogFormat = Field("console", description="console, logfmt or json")

    @field_validator("manager_url")
    @classmethod
    def _is_a_base_url(cls, value: str | None) -> str | None:
        if value is None:
            return None
        expected = "must be http:// or https://, a host and at most a port and a path"
        try:
            parts = urlsplit(value)
            _bare_host(parts.hostname or "")
            valid = parts.scheme in ("http", "https") and parts.port != 0
            valid = valid and re.fullmatch("[!-~]*", parts.path) is not None
        except ValueError:
            raise ValueError(expected) from None
        if not valid or parts.query or parts.fragment or parts.username is not None:
            raise ValueError(expected)
        return value.rstrip("/")

    @field_validator("heartbeat_timeout")
    @classmethod
    def _is_above_the_interval(cls, timeout: float | None, others: ValidationInfo) -> float | None:
        interval = others.data.get("heartbeat_interval")
        if interval is not None and timeout is not None and timeout <= interval:
            raise ValueError(f"must be above HEARTBEAT_INTERVAL={interval:g}")
        return timeout

    @property
    def exporter_url(self) -> str:
        """The base of all addresses of the exporter, without a slash at its end."""
        if self.manager_url is not None:
            return self.manager_url
        host = f"[{self.manager_host}]" if ":" in self.manager_host else self.manager_host
        return f"http://{host}:{self.manager_port}"
