"""Options of the probes that begin with an HTTP request."""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, ClassVar, Self
from urllib.parse import SplitResult, urlsplit

from pydantic import AfterValidator, Field, field_validator, model_validator

from exporter import __version__
from exporter.core.probing import Failure
from exporter.probes.base import Options, ProbeFailed
from exporter.probes.dial import Line
from exporter.probes.fields import ConfigFile, Host, IpFamily, Port, Verbatim, checked_host, joined
from exporter.probes.tls import TlsOptions

_TOKEN = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_PORTS: Mapping[str, int] = {"http": 80, "https": 443, "ws": 80, "wss": 443}


def is_token(text: str) -> bool:
    """Whether HTTP calls this a token: a name without blanks or separators."""
    return _TOKEN.fullmatch(text) is not None


def _headers(headers: dict[str, str]) -> dict[str, str]:
    for name, value in headers.items():
        # Never shows a value: they hold tokens.
        if not is_token(name):
            raise ValueError(f"{name!r} is no name of a header")
        if not value.isprintable():
            raise ValueError(f"the value of {name} holds characters that a header cannot have")
    return headers


Headers = Annotated[dict[str, str], AfterValidator(_headers)]


class WebOptions(Options):
    """Where to ask and as whom: a `url`, or `host`, `port` and `path`."""

    schemes: ClassVar[tuple[str, ...]]
    """Of the URLs that are accepted; the first is that of `host` and `port`."""

    url: str | None = Field(None, description="What to ask for; or give host, port and path.")
    host: Host | None = Field(None, description="Name or address of the server, in place of a url.")
    port: Port | None = Field(None, description="Its port; by default the scheme's own.")
    path: str = Field("/", description="Path and query, beside host.")
    headers: Headers = Field(default_factory=dict, description="Headers of the request, by name.")
    username: Verbatim | None = Field(None, description="For basic authentication.")
    password_file: ConfigFile | None = Field(None, description="File with its password, read at each run.")
    bearer_token_file: ConfigFile | None = Field(None, description="File with a token, read at each run.")
    tls: TlsOptions = Field(default_factory=TlsOptions, description="How to make and judge TLS connections.")
    ip_family: IpFamily | None = Field(None, description="Use IPv4 or IPv6 only.")

    @field_validator("url")
    @classmethod
    def _is_a_url(cls, url: str | None) -> str | None:
        if url is not None:
            _check_url(url, cls.schemes)
        return url

    @field_validator("path")
    @classmethod
    def _is_a_path(cls, path: str) -> str:
        if re.search(r"[\s#]", path):
            raise ValueError("must be a path, with blanks and # written as %XX")
        return path if path.startswith("/") else f"/{path}"

    @model_validator(mode="after")
    def _is_one_request(self) -> Self:
        if (self.url is None) == (self.host is None):
            raise ValueError("needs either a url, or a host with port and path")
        if self.url is not None and self.model_fields_set & {"port", "path"}:
            raise ValueError("port and path belong to host; with a url they are part of it")
        if (self.username is None) != (self.password_file is None):
            raise ValueError("username and password_file go together")
        if self.bearer_token_file is not None and self.username is not None:
            raise ValueError("has a bearer_token_file and a username: one Authorization is possible")
        if (self.username or self.bearer_token_file) and "authorization" in map(str.lower, self.headers):
            raise ValueError("has an Authorization header already")
        return self

    @property
    def address(self) -> str:
        """The URL to ask for, whichever way it was given."""
        if self.url is not None:
            return self.url
        assert self.host is not None
        scheme = self.schemes[0]
        return f"{scheme}://{joined(self.host, self.port or _PORTS[scheme])}{self.path}"

    @property
    def target(self) -> str:
        return shown(self.address)

    def line(self, url: str) -> Line:
        """Where to connect for a URL, which may be one that the server has redirected to."""
        scheme, host, port = _origin(url)
        secure = scheme in ("https", "wss")
        options = self.tls
        if options.server_name is not None and (host, port) != _origin(self.address)[1:]:
            options = options.model_copy(update={"server_name": None})
        return Line(host, port, self.ip_family, options if secure else None, alpn=("http/1.1",))

    def request_headers(self) -> dict[str, str]:
        """The headers to send, secrets included. Raises ProbeFailed: a secret cannot be read."""
        headers = {"User-Agent": f"heartbeat-exporter/{__version__}", **self.headers}
        if self.username is not None and self.password_file is not None:
            pair = f"{self.username}:{_secret(self.password_file)}".encode()
            headers["Authorization"] = f"Basic {b64encode(pair).decode()}"
        elif self.bearer_token_file is not None:
            headers["Authorization"] = f"Bearer {_secret(self.bearer_token_file)}"
        return headers


def _origin(url: str) -> tuple[str, str, int]:
    parts = urlsplit(url)
    assert parts.hostname is not None
    return parts.scheme, parts.hostname, parts.port or _PORTS[parts.scheme]


def _secret(path: Path) -> str:
    """Read at each run, because secrets are changed while programs run."""
    try:
        text = path.read_text().strip()
    except (OSError, UnicodeError) as error:
        raise ProbeFailed(Failure.OTHER, f"{path} cannot be read") from error
    if not text.isprintable():
        raise ProbeFailed(Failure.OTHER, f"{path} holds characters that a header cannot have")
    return text


def shown(url: str) -> str:
    """A URL for people: a query is long and holds tokens."""
    return url.partition("#")[0].partition("?")[0]


def _check_url(url: str, schemes: tuple[str, ...]) -> SplitResult:
    """Raises ValueError, which repeats nothing of a URL that may hold a password."""
    wanted = " or ".join(f"{scheme}://" for scheme in schemes)
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise ValueError(f"must be {wanted} with a host and a port up to 65535") from None
    if parts.scheme not in schemes:
        other = {"http": "http", "https": "https", "ws": "websocket", "wss": "websocket"}.get(parts.scheme)
        hint = "" if other is None else f"; for {parts.scheme}:// say type: {other}"
        raise ValueError(f"must start with {wanted}{hint}")
    if parts.username is not None or parts.password is not None:
        raise ValueError("must not hold a user name or password: there are username and password_file")
    if not parts.hostname or port == 0:
        raise ValueError(f"must be {wanted} with a host and a port from 1 to 65535")
    if re.search(r"\s", url) or parts.fragment:
        raise ValueError("must have no blanks and no fragment (#...)")
    checked_host(parts.hostname)
    return parts
