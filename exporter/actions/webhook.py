"""Sends a request: a run that is over with the answer."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Annotated, Literal
from urllib.parse import urlsplit

import aiohttp
from pydantic import AfterValidator, BeforeValidator, Field, StringConstraints

from exporter.actions.base import OUTPUT_KEPT, VARIABLES, Options, Ran
from exporter.core.acting import RunFailure

_READ = 65_536
"""Bytes of an answer that are looked at, at most."""

_PLACE = re.compile(r"\{\{\s*(\w+)\s*\}\}")
_TOKEN = r"^[A-Za-z0-9!#$%&'*+.^_`|~-]+$"
_JSON, _TEXT = "application/json", "text/plain; charset=utf-8"


def _address(url: str) -> str:
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise ValueError(f"is no URL: {error}") from None
    if parts.scheme not in ("http", "https") or not parts.hostname or port == 0 or re.search(r"\s", url):
        raise ValueError("must be a URL that begins with http:// or https:// and names a host")
    return url


def _template(body: str) -> str:
    unknown = sorted({name for name in _PLACE.findall(body) if name not in VARIABLES})
    if unknown:
        known = ", ".join(VARIABLES)
        raise ValueError(f"there is no variable {', '.join(unknown)}; there are {known}")
    return body


def _upper(method: object) -> object:
    return method.upper() if isinstance(method, str) else method


class WebhookOptions(Options):
    """A request to send."""

    url: Annotated[
        str,
        StringConstraints(strip_whitespace=True),
        AfterValidator(_address),
        Field(description="Where it goes. Only scheme and host are ever shown."),
    ]
    method: Annotated[
        Literal["POST", "PUT", "PATCH", "DELETE", "GET"],
        BeforeValidator(_upper),
    ] = Field("POST", description="HTTP method.")
    headers: dict[
        Annotated[str, StringConstraints(pattern=_TOKEN)],
        Annotated[str, StringConstraints(pattern=r"^[^\x00-\x08\x0a-\x1f\x7f]*$")],
    ] = Field(default_factory=dict, description="Headers to send; their values are never shown.")
    body: Annotated[str, AfterValidator(_template)] | None = Field(
        None,
        description=f"What is sent, {{{{name}}}} standing for {', '.join(VARIABLES)}. Default: all as JSON.",
    )

    @property
    def shown(self) -> str:
        parts = urlsplit(self.url)
        host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
        port = "" if parts.port is None else f":{parts.port}"
        return f"{self.method} {parts.scheme}://{host}{port}"


async def run(options: WebhookOptions, variables: Mapping[str, str], timeout: float) -> Ran:
    """Send the request once. See `base.RunHook`."""
    data, content_type = _body(options, variables)
    headers = dict(options.headers)
    if data is not None and not any(name.lower() == "content-type" for name in headers):
        headers["Content-Type"] = content_type
    try:
        async with (
            aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=timeout)) as session,
            # A redirect is an answer that was not expected: with a body it may not be followed anyway.
            session.request(
                options.method, options.url, data=data, headers=headers, allow_redirects=False
            ) as answer,
        ):
            said = await _said(answer.content)
            if 200 <= answer.status < 300:
                return Ran(output=said)
            # It may have what is no text, which no log file takes.
            reason = (answer.reason or "").encode(errors="replace").decode()
            return Ran(RunFailure.EXIT, f"answered {answer.status} {reason}".rstrip(), said)
    except TimeoutError:
        return Ran(RunFailure.TIMEOUT, f"no answer within {timeout:g} s")
    except aiohttp.ClientSSLError as error:
        return Ran(RunFailure.START, f"TLS with {error.host}:{error.port} failed: {_certificate(error)}")
    except aiohttp.ClientConnectorError as error:
        why = error.os_error.strerror or str(error.os_error) or type(error.os_error).__name__
        return Ran(RunFailure.START, f"cannot reach {error.host}:{error.port}: {why}")
    except (aiohttp.ClientError, OSError, ValueError) as error:
        # The name only: the text of some of these repeats the URL.
        return Ran(RunFailure.EXIT, f"no proper answer: {type(error).__name__}")


def _certificate(error: aiohttp.ClientSSLError) -> object:
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        return error.certificate_error
    return error.os_error


async def _said(content: aiohttp.StreamReader) -> str:
    """The last of what was said, as far as one listens."""
    last, left = b"", _READ
    while left > 0 and (piece := await content.read(left)):
        left -= len(piece)
        last = (last + piece)[-OUTPUT_KEPT:]
    return last.decode(errors="replace")


def _body(options: WebhookOptions, variables: Mapping[str, str]) -> tuple[bytes | None, str]:
    """What is sent, and what it is. What goes into JSON is escaped for a text in it."""
    values = {name: variables[f"HEARTBEAT_{name.upper()}"] for name in VARIABLES}
    if options.body is None:
        if options.method in ("GET", "DELETE"):
            return None, _TEXT
        return json.dumps(values).encode(), _JSON
    escaped = _is_json(options.body, options.headers)
    text = _PLACE.sub(
        lambda match: json.dumps(values[match[1]])[1:-1] if escaped else values[match[1]], options.body
    )
    return text.encode(errors="replace"), _JSON if escaped else _TEXT


def _is_json(template: str, headers: Mapping[str, str]) -> bool:
    for name, value in headers.items():
        if name.lower() == "content-type":
            return "json" in value.lower()
    try:
        json.loads(_PLACE.sub("0", template))
    except ValueError:
        return False
    return template.lstrip().startswith(("{", "["))
