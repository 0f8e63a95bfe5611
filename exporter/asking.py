"""What another program asks of a running exporter, over HTTP: the commands at a terminal do."""

from __future__ import annotations

import http.client
import ipaddress
import json
import re
import urllib.error
import urllib.request
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from typing import Any, NamedTuple
from urllib.parse import quote, urlencode, urlsplit

from exporter import __version__
from exporter.core.model import Status
from exporter.errors import ExporterError, UsageError

TIMEOUT = 10.0
"""Seconds for one answer. A fleet of 20,000 takes a second or two."""


_SAID = {"worker_id", "name", "group", "status", "reason", "since", "last_heartbeat_timestamp"}
"""What every exporter says of a worker, and a table needs."""

_STATUSES = tuple(status.value for status in Status)
_NO_EXPORTER = "what answers there is no exporter"


class NoAnswer(ExporterError):
    """Nobody is there, or it is not an exporter; the text says which."""

    def __init__(self, url: str, why: str) -> None:
        super().__init__(url, why)
        self.url = url
        self.why = why

    def __str__(self) -> str:
        return f"no answer from {self.url}: {self.why} (--exporter.url names another exporter)"


class Refused(ExporterError):
    """The exporter answered, and would not. `status` is that of HTTP."""

    def __init__(self, status: int, why: str) -> None:
        super().__init__(status, why)
        self.status = status
        self.why = why

    def __str__(self) -> str:
        return f"the exporter says: {self.why}"


class Workers(NamedTuple):
    """`rows` as `GET /workers` has them, and `now` by the exporter's clock, in Unix seconds."""

    rows: list[dict[str, Any]]
    now: float


class AskedExporter:
    """`url` is where it is, a path prefix included.

    Raises:
        UsageError: that is no URL of HTTP.
        NoAnswer, Refused: by every method that does not say otherwise.
    """

    def __init__(self, url: str) -> None:
        host = _host(url)
        if host is None:
            # Not with the URL: where there should be none, there may be a password in it.
            raise UsageError(
                "--exporter.url must be http://host:port or https://host:port/path, and nothing more"
            )
        self.url = url.rstrip("/")
        # A proxy of the environment is not for what is on this machine.
        proxies = urllib.request.ProxyHandler({}) if _is_here(host) else urllib.request.ProxyHandler()
        self._opener = urllib.request.build_opener(proxies)

    def workers(self, filters: Mapping[str, str | list[str]]) -> Workers:
        """Those that match `status`, `group` and `q`, in the exporter's order."""
        asked = urlencode({name: value for name, value in filters.items() if value}, doseq=True)
        body, date = self._ask("GET", f"/workers?{asked}")
        try:
            rows = json.loads(body)
            now = parsedate_to_datetime(date).timestamp()
        except (ValueError, TypeError, RecursionError):  # TypeError: without a date
            raise NoAnswer(self.url, _NO_EXPORTER) from None
        if not isinstance(rows, list) or not all(map(_is_worker, rows)):
            raise NoAnswer(self.url, _NO_EXPORTER)
        return Workers(rows, now)

    def forget(self, worker_id: str) -> None:
        self._ask("DELETE", f"/workers/{quote(worker_id, safe='')}")

    def forgets(self, worker_id: str) -> bool:
        """Whether it does not know that worker any more. Raises nothing."""
        try:
            self.forget(worker_id)
        except Refused as refused:
            return refused.status == 404
        except NoAnswer:
            return False
        return True

    def ready(self, timeout: float) -> None:
        """Raises Refused while it loads its registry or ends."""
        self._ask("GET", "/health/ready", timeout)

    def _ask(self, method: str, path: str, timeout: float = TIMEOUT) -> tuple[bytes, str]:
        """The body of the answer, and its date."""
        request = urllib.request.Request(self.url + path, method=method)
        request.add_header("User-Agent", f"heartbeat-exporter/{__version__}")
        try:
            with self._opener.open(request, timeout=timeout) as answer:
                return answer.read(), answer.headers["Date"]
        except urllib.error.HTTPError as refused:
            with refused:
                raise Refused(refused.code, _reason(refused)) from None
        except OSError as error:
            reason = getattr(error, "reason", error)
            raise NoAnswer(self.url, str(getattr(reason, "strerror", None) or reason).lower()) from None
        except http.client.IncompleteRead:
            raise NoAnswer(self.url, "the answer broke off") from None
        except (http.client.HTTPException, UnicodeError):  # UnicodeError: a redirection to no host
            raise NoAnswer(self.url, _NO_EXPORTER) from None


def _is_worker(row: object) -> bool:
    return isinstance(row, dict) and row.keys() >= _SAID and row["status"] in _STATUSES


def _host(url: str) -> str | None:
    """None if it is not the base URL of an exporter."""
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
        host.encode("idna")  # the first thing that a look-up would do
        valid = parts.scheme in ("http", "https") and parts.port != 0
    except ValueError:
        return None
    extra = parts.query or parts.fragment or parts.username is not None
    valid = valid and not extra and re.fullmatch("[!-~]*", parts.path) is not None
    return host if valid and host else None


def _reason(refused: urllib.error.HTTPError) -> str:
    """In the exporter's words, if they are an exporter's."""
    try:
        body = json.loads(refused.read())
        detail = body.get("detail") or body.get("error")
        return detail if isinstance(detail, str) else f"{refused.code} {refused.reason}"
    except (ValueError, AttributeError, OSError, RecursionError, http.client.HTTPException):
        return f"{refused.code} {refused.reason}"


def _is_here(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
