"""HttpCheck and a small service in the same process."""

from __future__ import annotations

import asyncio
import contextlib
import re
import ssl
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientConnectorCertificateError, ClientConnectorError, web

from tests.support.processes import free_port, program
from tests.worker_agent.health.checks.outcomes import told
from worker_agent.health.checks.http import HttpCheck

TIMED: dict[str, object] = {"latency_seconds": "seconds"}


class Service:
    """Answers as its path says, and remembers who asked."""

    def __init__(self) -> None:
        self.asked: list[web.Request] = []
        self.peers: list[object] = []
        self.url = ""

    async def answer(self, request: web.Request) -> web.StreamResponse:
        self.asked.append(request)
        assert request.transport is not None
        self.peers.append(request.transport.get_extra_info("peername"))
        match request.path.strip("/").split("/"):
            case ["status", status]:
                return web.Response(status=int(status), text="all is well")
            case ["slow"]:
                await asyncio.sleep(0.02)
                return web.Response(text="all is well")
            case ["hanging"] if len(self.asked) == 1:
                await asyncio.sleep(60.0)
            case ["from", count] if int(count) > 0:
                raise web.HTTPFound(f"/from/{int(count) - 1}?token=sesame")
            case ["charset"]:
                return web.Response(body=b"all is well", headers={"Content-Type": "text/plain; charset=none"})
            case ["endless"]:
                return await self._endless(request)
        return web.Response(text="all is well")

    async def _endless(self, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        with contextlib.suppress(ConnectionError):
            while True:
                await response.write(b"still " * 1000)
        return response


@contextlib.asynccontextmanager
async def serving(tls: ssl.SSLContext | None = None) -> AsyncIterator[Service]:
    service = Service()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", service.answer)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls)
    await site.start()
    try:
        port = runner.addresses[0][1]
        service.url = f"{'https' if tls else 'http'}://127.0.0.1:{port}"
        yield service
    finally:
        await runner.cleanup()


@pytest.fixture
async def service() -> AsyncIterator[Service]:
    async with serving() as service:
        yield service


async def outcome(url: str, **given: Any) -> tuple[str, dict[str, object], str | None]:
    check = HttpCheck("api", url=url, **given)
    try:
        return told(await check.run())
    finally:
        await check.close()
        await check.close()


@pytest.mark.parametrize(
    ("path", "given", "error"),
    [
        ("/status/204", {}, None),
        ("/status/503", {}, "answered 503, expected 200 to 299"),
        ("/status/503", {"expect": 503}, None),
        ("/status/200", {"expect": {503, 401}}, "answered 200, expected 401 or 503"),
        ("/status/401", {"expect": (401, 403)}, None),
        ("/status/200", {"body": "is w"}, None),
        ("/status/200", {"body": "I.*w"}, "answered 200 with a body that does not match 'I.*w'"),
        ("/status/200", {"body": re.compile("^ALL.*well$", re.I)}, None),
        ("/status/200", {"body": re.compile("ill$")}, "answered 200 with a body that does not match 'ill$'"),
        ("/status/503", {"body": "ill"}, "answered 503, expected 200 to 299"),
        ("/status/200", {"method": "HEAD"}, None),
        ("/charset", {"body": "well"}, None),
        ("/endless", {"body": "still"}, None),
        ("/endless", {"body": "well"}, "answered 200 with a body that does not match 'well'"),
        ("/endless", {}, None),
        ("/from/1", {}, "answered 302, expected 200 to 299; it redirects to /from/0"),
        ("/from/1", {"redirects": 1}, None),
        ("/from/2", {"redirects": 2}, None),
    ],
)
async def test_answers(service: Service, path: str, given: dict[str, Any], error: str | None) -> None:
    """An answer is judged by its status, then by the beginning of its body; redirects are not followed
    unless that is asked for."""
    state, details, found = await outcome(f"{service.url}{path}", **given)
    assert (state, found) == ("healthy" if error is None else "unhealthy", error)
    assert sorted(details) == ["http_status", "latency_seconds"]


async def test_details(service: Service) -> None:
    """What is told of an answer is its status and how long it took."""
    assert await outcome(f"{service.url}/status/202") == ("healthy", {"http_status": 202, **TIMED}, None)


async def test_too_many_redirects(service: Service) -> None:
    """A circle ends."""
    assert await outcome(f"{service.url}/from/3", redirects=2) == (
        "unhealthy",
        {},
        "redirected more than 2 times",
    )
    assert len(service.asked) == 3


async def test_a_slow_answer(service: Service) -> None:
    """An answer that is right but late is degraded."""
    state, details, error = await outcome(f"{service.url}/slow", max_latency=0.01)
    assert (state, details) == ("degraded", {"http_status": 200, **TIMED})
    assert re.fullmatch(r"answered after 0\.\d{3} s, above 0\.01 s", str(error))


async def test_what_is_asked(service: Service) -> None:
    """Headers and the credentials of the URL are sent, and nothing is kept from one run to the next."""
    check = HttpCheck(
        "api",
        url=service.url.replace("://", "://user:pa%2Fss@") + "/status/200?deep=1",
        method="OPTIONS",
        headers={"Host": "api.example", "X-Token": "sesame"},
    )
    for _ in range(2):
        await check.run()
    await check.close()
    asked = service.asked[-1]
    assert (asked.method, asked.path_qs) == ("OPTIONS", "/status/200?deep=1")
    sent = {name: asked.headers.get(name) for name in ("Host", "X-Token", "User-Agent", "Authorization")}
    assert sent == {
        "Host": "api.example",
        "X-Token": "sesame",
        "User-Agent": "heartbeat-exporter",
        "Authorization": "Basic dXNlcjpwYS9zcw==",
    }
    assert len(set(service.peers)) == 2


async def test_a_run_that_is_cancelled(service: Service) -> None:
    """The next run of the same check works."""
    check = HttpCheck("api", url=f"{service.url}/hanging")
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(check.run(), 0.05)
    assert told(await check.run()) == ("healthy", {"http_status": 200, **TIMED}, None)
    await check.close()


async def test_its_own_timeout(service: Service) -> None:
    """Whoever runs a check by hand is not kept longer than its timeout."""
    with pytest.raises(TimeoutError):
        await outcome(f"{service.url}/hanging", timeout=0.05)


async def test_nobody_listens() -> None:
    """A refused connection is raised, and named with its address but not with credentials."""
    port = free_port()
    with pytest.raises(ClientConnectorError) as refused:
        await outcome(f"http://user:sesame@127.0.0.1:{port}/x?token=sesame")
    assert str(refused.value).startswith(f"Cannot connect to host 127.0.0.1:{port} ")
    assert "sesame" not in str(refused.value)


@pytest.mark.servers("openssl")
async def test_certificates(tmp_path: Path) -> None:
    """A certificate that nobody vouches for is an error, unless a context does, or nobody asks."""
    certificate, key = tmp_path / "certificate.pem", tmp_path / "key.pem"
    subprocess.run(
        [
            *(program("openssl"), "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"),
            *("-nodes", "-days", "2", "-subj", "/CN=service", "-addext", "subjectAltName=IP:127.0.0.1"),
            *("-keyout", str(key), "-out", str(certificate)),
        ],
        check=True,
        capture_output=True,
    )
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(certificate, key)
    healthy = ("healthy", {"http_status": 200, **TIMED}, None)
    async with serving(tls) as service:
        with pytest.raises(ClientConnectorCertificateError, match="self-signed certificate"):
            await outcome(service.url)
        assert await outcome(service.url, verify=ssl.create_default_context(cafile=certificate)) == healthy
        assert await outcome(service.url, verify=False) == healthy


URL = "the url of check api must be a URL like https://payments/health"
STATUS = "expect of check api must be a status from 100 to 599, or a collection of them, not"


@pytest.mark.parametrize(
    ("given", "error", "text"),
    [
        ({"url": 80}, TypeError, f"{URL}, not a int"),
        ({"url": "api/health"}, ValueError, f"{URL}: it does not begin with http:// or https://"),
        ({"url": "http://:80/health"}, ValueError, f"{URL}: it names no host"),
        ({"method": "get"}, ValueError, "the method of check api must be like GET, not 'get'"),
        ({"method": "GET / HTTP/1.1\r\n"}, ValueError, None),
        ({"expect": 20}, ValueError, f"{STATUS} 20"),
        ({"expect": []}, ValueError, f"{STATUS} []"),
        ({"expect": "200"}, ValueError, f"{STATUS} '200'"),
        ({"expect": [200, "204"]}, ValueError, f"{STATUS} [200, '204']"),
        ({"body": b"ok"}, TypeError, "the body of check api must be a text or a compiled pattern, not b'ok'"),
        (
            {"body": re.compile(b"ok")},
            TypeError,
            "the body of check api must be a text or a compiled pattern, not re.compile(b'ok')",
        ),
        ({"body": ""}, TypeError, "the body of check api must be a text or a compiled pattern, not ''"),
        (
            {"body": "ok", "method": "HEAD"},
            ValueError,
            "check api expects a body, which an answer to HEAD does not have",
        ),
        (
            {"max_latency": 2.0},
            ValueError,
            "max_latency of check api must be above 0 and below the timeout of 2 s, not 2.0",
        ),
        (
            {"max_latency": "1"},
            TypeError,
            "max_latency of check api must be a number of seconds or None, not '1'",
        ),
        ({"redirects": -1}, ValueError, "the redirects of check api must be a number, 0 or more, not -1"),
        ({"redirects": True}, ValueError, "the redirects of check api must be a number, 0 or more, not True"),
        ({"headers": {"X-Number": 5}}, TypeError, "the headers of check api must be texts by name"),
        (
            {"headers": {"X-Token": "sesame\r\n"}},
            ValueError,
            "the headers of check api hold characters that a header cannot have",
        ),
        (
            {"headers": {"X Token": "sesame"}},
            ValueError,
            "the headers of check api hold characters that a header cannot have",
        ),
        (
            {"verify": "ca.pem"},
            TypeError,
            "verify of check api must be a bool or an SSLContext, not 'ca.pem'",
        ),
    ],
)
def test_what_cannot_be_meant(given: dict[str, Any], error: type[Exception], text: str | None) -> None:
    """Bad arguments are refused when the check is made, headers without showing them."""
    with pytest.raises(error) as refused:
        HttpCheck("api", **{"url": "http://api/health", **given})
    assert str(refused.value) == (
        text or f"the method of check api must be like GET, not {given['method']!r}"
    )
