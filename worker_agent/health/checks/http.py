"""Whether an HTTP service answers as it should."""

from __future__ import annotations

import re
import ssl
import time
from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING

from worker_agent.health.check import BREAKER, CACHE, TIMEOUT, Breaker, Check
from worker_agent.health.checks.address import checked_url
from worker_agent.health.result import Outcome, Result

if TYPE_CHECKING:
    from aiohttp import ClientResponse, ClientSession

_MOST = 65536
"""Bytes of a body that are read in search of what is expected."""

_SUCCESS = range(200, 300)
_METHOD = re.compile(r"[A-Z][A-Z-]{0,31}")
_HEADER = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")


class HttpCheck(Check):
    """Makes a request, on a connection of its own each time: name, network and certificate are tested too.

    Details: `http_status`, and `latency_seconds` until all that is looked at had come.

    Args:
        url: http:// or https://.
        method: of the request, which has no body.
        expect: the status that is all right, or a collection of them.
        body: what has to be in the first 64 KiB of the answer: a text, or a compiled pattern.
        max_latency: seconds, above which the check is degraded.
        headers: of the request, such as Authorization or Host.
        redirects: how many are followed. None by default: a login page is no sign of health.
        verify: whether a certificate is; or a context that says how.

    Raises:
        TypeError, ValueError: an argument that cannot be meant.
    """

    def __init__(
        self,
        name: str,
        *,
        url: str,
        method: str = "GET",
        expect: int | Collection[int] = _SUCCESS,
        body: str | re.Pattern[str] | None = None,
        max_latency: float | None = None,
        headers: Mapping[str, str] | None = None,
        redirects: int = 0,
        verify: bool | ssl.SSLContext = True,
        timeout: float = TIMEOUT,
        cache: float = CACHE,
        critical: bool = True,
        breaker: Breaker | None = BREAKER,
    ) -> None:
        super().__init__(name, timeout=timeout, cache=cache, critical=critical, breaker=breaker)
        self._url = checked_url(
            f"the url of check {name}", url, ("http", "https"), example="https://payments/health"
        )
        if not isinstance(method, str) or not _METHOD.fullmatch(method):
            raise ValueError(f"the method of check {name} must be like GET, not {method!r}")
        if body is not None and method == "HEAD":
            raise ValueError(f"check {name} expects a body, which an answer to HEAD does not have")
        wanted = body.pattern if isinstance(body, re.Pattern) else body
        if wanted is not None and not (isinstance(wanted, str) and wanted):
            raise TypeError(f"the body of check {name} must be a text or a compiled pattern, not {body!r}")
        if type(redirects) is not int or redirects < 0:
            raise ValueError(f"the redirects of check {name} must be a number, 0 or more, not {redirects!r}")
        self._method = method
        self._expected = _checked_statuses(f"expect of check {name}", expect)
        self._body = re.compile(re.escape(body)) if isinstance(body, str) else body
        self._wanted = wanted
        self._max_latency = _checked_latency(f"max_latency of check {name}", max_latency, self.timeout)
        self._headers = _checked_headers(f"the headers of check {name}", headers)
        self._redirects = redirects
        if not isinstance(verify, bool | ssl.SSLContext):
            raise TypeError(f"verify of check {name} must be a bool or an SSLContext, not {verify!r}")
        self._verify = verify
        self._session: ClientSession | None = None

    async def run(self) -> Outcome:
        from aiohttp import TooManyRedirects

        try:
            return await self._ask()
        except TooManyRedirects:
            return Result.unhealthy(f"redirected more than {self._redirects} times")

    async def _ask(self) -> Outcome:
        if self._session is None or self._session.closed:
            self._session = self._open()
        began = time.perf_counter()
        async with self._session.request(
            self._method,
            self._url,
            allow_redirects=self._redirects > 0,
            max_redirects=self._redirects + 1,  # aiohttp counts the one too many
        ) as response:
            text = "" if self._body is None else await _beginning(response)
            latency = time.perf_counter() - began
            status = response.status
            location = response.headers.get("Location") if 300 <= status < 400 else None
        details: dict[str, object] = {"http_status": status, "latency_seconds": round(latency, 6)}
        if status not in self._expected:
            # Without its query, which is long and holds tokens.
            elsewhere = "" if location is None else f"; it redirects to {location.partition('?')[0]}"
            return Result.unhealthy(
                f"answered {status}, expected {_in_words(self._expected)}{elsewhere}", **details
            )
        if self._body is not None and not self._body.search(text):
            return Result.unhealthy(
                f"answered {status} with a body that does not match {self._wanted!r}", **details
            )
        if self._max_latency is not None and latency > self._max_latency:
            return Result.degraded(
                f"answered after {latency:.3f} s, above {self._max_latency:g} s", **details
            )
        return details

    async def close(self) -> None:
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    def _open(self) -> ClientSession:
        from aiohttp import ClientSession, ClientTimeout, DummyCookieJar, TCPConnector

        return ClientSession(
            connector=TCPConnector(ssl=self._verify, force_close=True, use_dns_cache=False),
            cookie_jar=DummyCookieJar(),
            headers=self._headers,
            timeout=ClientTimeout(total=self.timeout),
        )


async def _beginning(response: ClientResponse) -> str:
    """The first 64 KiB of a body. What follows is not waited for."""
    received = bytearray()
    while len(received) < _MOST and (chunk := await response.content.read(_MOST - len(received))):
        received += chunk
    try:
        return received.decode(response.charset or "utf-8", errors="replace")
    except LookupError:  # a charset that nobody knows
        return received.decode(errors="replace")


def _checked_statuses(what: str, expect: object) -> Collection[int]:
    statuses = [expect] if isinstance(expect, int) else expect
    if (
        not isinstance(statuses, Collection)
        or not statuses
        or not all(type(status) is int and 100 <= status <= 599 for status in statuses)
    ):
        raise ValueError(f"{what} must be a status from 100 to 599, or a collection of them, not {expect!r}")
    return statuses


def _checked_headers(what: str, headers: Mapping[str, str] | None) -> dict[str, str]:
    """Never shows one: they hold tokens."""
    given = dict(headers or {})
    for header, value in given.items():
        if not isinstance(header, str) or not isinstance(value, str):
            raise TypeError(f"{what} must be texts by name")
        if not _HEADER.fullmatch(header) or not value.isprintable():
            raise ValueError(f"{what} hold characters that a header cannot have")
    return {"User-Agent": "heartbeat-exporter", **given}


def _checked_latency(what: str, seconds: object, timeout: float) -> float | None:
    if seconds is None:
        return None
    if isinstance(seconds, bool) or not isinstance(seconds, int | float):
        raise TypeError(f"{what} must be a number of seconds or None, not {seconds!r}")
    if not 0 < seconds < timeout:
        raise ValueError(f"{what} must be above 0 and below the timeout of {timeout:g} s, not {seconds!r}")
    return float(seconds)


def _in_words(statuses: Collection[int]) -> str:
    if isinstance(statuses, range) and statuses.step == 1 and len(statuses) > 1:
        return f"{statuses[0]} to {statuses[-1]}"
    return " or ".join(str(status) for status in sorted(statuses))
