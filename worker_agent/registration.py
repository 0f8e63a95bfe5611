"""Registering over HTTP, once at a time and rarely: the standard library is enough.

What HTTP answers and which proxy leads there is read here for the WebSocket's handshake too.
"""

from __future__ import annotations

import http.client
import ipaddress
import json
import math
import urllib.error
import urllib.request
from collections.abc import Mapping
from typing import IO
from urllib.parse import urlsplit

from worker_agent.actions import Refusal, Registration

TIMEOUT = 10.0
"""Seconds for each step on the network; the caller bounds the whole."""
USER_AGENT = "heartbeat-worker"
_LARGEST_ANSWER = 64 * 1024
_LONGEST_DETAIL = 300


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """A redirected POST would arrive as a GET without its body: say where it led to instead."""

    def redirect_request(
        self,
        req: urllib.request.Request,
        fp: IO[bytes],
        code: int,
        msg: str,
        headers: http.client.HTTPMessage,
        newurl: str,
    ) -> None:
        return None


def register(exporter_url: str, facts: Mapping[str, object]) -> Registration | Refusal:
    """Post the facts to `{exporter_url}/register` and read the answer. Blocks; raises nothing."""
    url = f"{exporter_url}/register"
    request = urllib.request.Request(
        url,
        data=json.dumps(facts, allow_nan=False).encode(),
        headers={"Content-Type": "application/json", "Accept": "application/json", "User-Agent": USER_AGENT},
    )
    try:
        proxy = proxy_for(url)
        proxies = {} if proxy is None else {urlsplit(url).scheme: proxy}
        opener = urllib.request.build_opener(_NoRedirects, urllib.request.ProxyHandler(proxies))
        with opener.open(request, timeout=TIMEOUT) as response:
            return _read_answer(url, response.status, response.read(_LARGEST_ANSWER), exporter_url)
    except urllib.error.HTTPError as error:
        with error:
            return _read_refusal(url, error)
    except (OSError, http.client.HTTPException, ValueError) as error:
        return Refusal(f"{url}: {_cause(error)}")


def proxy_for(url: str) -> str | None:
    """The proxy that the environment names for a URL; `ws://` goes where `http://` goes.

    None on loopback whatever the environment says: a proxy's localhost is another machine.
    """
    parts = urlsplit(url)
    if _is_loopback(parts.hostname or "") or urllib.request.proxy_bypass(parts.netloc):
        return None
    proxy = urllib.request.getproxies().get("https" if parts.scheme in ("https", "wss") else "http")
    return proxy if proxy is None or "://" in proxy else f"http://{proxy}"


def refused(what: str, status: int, said: str, retry_after: str | None) -> Refusal:
    """A response that is an error; `retry_after` is its header, as it came."""
    detail = f"{what} answered {status}"
    return Refusal(
        f"{detail}: {said}" if said else detail, status=status, retry_after=_retry_after(retry_after)
    )


def describe(body: bytes | bytearray) -> str:
    """What an error response says, in one short line: `field: expectation` where it names fields."""
    try:
        answer = json.loads(body)
    except ValueError:
        answer = body.decode(errors="replace")
    detail = answer.get("detail", answer) if isinstance(answer, dict) else answer
    if isinstance(detail, list):
        detail = "; ".join(_one_complaint(item) for item in detail)
    text = detail if isinstance(detail, str) else json.dumps(detail)
    return _one_line(text)


def _one_line(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _LONGEST_DETAIL else f"{line[: _LONGEST_DETAIL - 3]}..."


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _retry_after(value: str | None) -> float | None:
    """The seconds of a Retry-After header; its other form, a date, would need the server's clock."""
    return float(value) if value is not None and value.isascii() and value.isdigit() else None


def _one_complaint(item: object) -> str:
    if not isinstance(item, dict) or not isinstance(location := item.get("loc"), list):
        return str(item)
    field = ".".join(str(part) for part in location if part != "body")
    return f"{field}: {item.get('msg', 'invalid')}"


def _cause(error: Exception) -> str:
    """URLError wraps what really happened."""
    reason = error.reason if isinstance(error, urllib.error.URLError) else error
    return _one_line(str(reason)) or type(reason).__name__


def _read_refusal(url: str, error: urllib.error.HTTPError) -> Refusal:
    if location := error.headers.get("Location"):
        said = f"it redirects to {location}; set MANAGER_URL to where the exporter is"
    else:
        try:
            said = describe(error.read(_LARGEST_ANSWER))
        except (OSError, http.client.HTTPException):
            said = "the answer broke off"
    return refused(url, error.code, said, error.headers.get("Retry-After"))


def _read_answer(url: str, status: int, body: bytes, exporter_url: str) -> Registration | Refusal:
    try:
        answer = json.loads(body)
        return Registration(
            worker_id=_text(answer["worker_id"]),
            websocket_url=_websocket_url(answer, exporter_url),
            heartbeat_interval=_seconds(answer["heartbeat_interval"]),
            heartbeat_timeout=_seconds(answer["heartbeat_timeout"]),
        )
    except (KeyError, TypeError, ValueError, RecursionError) as error:
        cause = f"{type(error).__name__}: {error}"
        return Refusal(f"{url} did not answer as a heartbeat exporter does ({cause})", status=status)


def _websocket_url(answer: Mapping[str, object], exporter_url: str) -> str:
    """An absolute URL as it is; a path below the exporter's, which may have a prefix it does not know of."""
    if (absolute := answer.get("websocket_url")) is not None:
        url = _text(absolute)
    else:
        path = _text(answer["websocket_path"])
        if not path.startswith("/"):
            raise ValueError("websocket_path must begin with a slash")
        url = exporter_url + path
    scheme, separator, rest = url.partition("://")
    if not separator or scheme not in ("http", "https", "ws", "wss"):
        raise ValueError("websocket_url must be ws:// or wss://")
    return f"{scheme.replace('http', 'ws')}://{rest}"


def _text(value: object) -> str:
    if not isinstance(value, str) or not value:
        raise ValueError("expected a text")
    return value


def _seconds(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < math.inf:
        raise ValueError("expected a number of seconds")
    return float(value)
