"""Probes against real servers, each of which goes wrong in its own way."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.server import ServerConnection, serve
from websockets.utils import accept_key

from exporter.core.probing import Failure, Phase, Result
from exporter.probes import dial
from exporter.probes.base import ProbeFailed
from exporter.probes.course import Course
from exporter.probes.varieties import VARIETIES
from tests.support.authority import Authority, Issued
from tests.support.processes import free_port
from tests.support.targets import OK, Script, answering, http, openssl_server, routing, saying, silent, target

pytestmark = pytest.mark.servers("openssl")


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """The one whom clients are told to trust."""
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="session")
def issued(authority: Authority) -> Issued:
    """A certificate of it for the loopback host."""
    return authority.issue("service", "DNS:localhost", "IP:127.0.0.1", "IP:::1")


@pytest.fixture(autouse=True)
def nothing_unforeseen(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """No library's exception came through that nobody has thought of, and the loop has no complaints."""
    yield
    assert [
        record.getMessage() for record in caplog.records if record.levelname in ("WARNING", "ERROR")
    ] == []


async def probe(kind: str, *, timeout: float = 5.0, **options: Any) -> Result:
    variety = VARIETIES[kind]
    return await variety.run(variety.options.model_validate(options), timeout)


def why(result: Result) -> tuple[Failure | None, str]:
    return result.failure, result.detail


def phases(result: Result) -> list[Phase]:
    return [phase for phase, _ in result.phases]


# HTTP


async def test_http_success() -> None:
    """A success has its status and its phases, which fill the duration."""
    before = time.time()
    async with target(answering(OK)) as server:
        result = await probe("http", host="127.0.0.1", port=server.port, path="/app/login")
        await server.left()
    assert why(result) == (None, "")
    assert result.success
    assert result.http_status == 200
    assert result.certificate_expiry is None
    assert phases(result) == [Phase.RESOLVE, Phase.CONNECT, Phase.PROCESSING, Phase.TRANSFER]
    assert before <= result.at <= time.time()
    assert sum(spent for _, spent in result.phases) == pytest.approx(result.duration, abs=0.01)


async def test_what_is_asked() -> None:
    """The request is the one that was configured, with nothing that a browser would add."""
    heard: list[str] = []
    async with target(routing({"/x?y=1": OK}, heard)) as server:
        await probe(
            *("http",),
            url=f"http://127.0.0.1:{server.port}/x?y=1",
            method="post",
            headers={"X-Probe": "yes", "User-Agent": "me"},
            body="ping\n",
        )
    assert sorted(heard[0].strip().split("\r\n")) == [
        "Accept: */*",
        "Connection: close",
        "Content-Length: 5",
        "Content-Type: text/plain; charset=utf-8",
        f"Host: 127.0.0.1:{server.port}",
        "POST /x?y=1 HTTP/1.1",
        "User-Agent: me",
        "X-Probe: yes",
    ]


async def test_secrets(tmp_path: Path) -> None:
    """Secrets are read from their files at each run, so that a new one is used; an unreadable one is said."""
    secret = tmp_path / "secret"
    secret.write_text("open sesame\n")
    heard: list[str] = []
    async with target(routing({"/": OK}, heard)) as server:
        where = {"host": "127.0.0.1", "port": server.port}
        await probe("http", **where, username="ali", password_file=secret)
        secret.write_text("simsim\n")
        await probe("http", **where, bearer_token_file=secret)
        options = VARIETIES["http"].options.model_validate({**where, "bearer_token_file": secret})
        secret.unlink()
        result = await VARIETIES["http"].run(options, 5.0)
    assert "Authorization: Basic YWxpOm9wZW4gc2VzYW1l\r\n" in heard[0]
    assert "Authorization: Bearer simsim\r\n" in heard[1]
    assert why(result) == (Failure.OTHER, f"{secret} cannot be read")


async def test_proxies_are_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    """A probe looks at the target itself, whatever the environment says about proxies."""
    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{free_port()}")
    async with target(answering(OK)) as server:
        assert (await probe("http", host="127.0.0.1", port=server.port)).success


async def test_ipv6() -> None:
    """An IPv6 address may be given with or without brackets; a name can be held to one version."""
    async with target(answering(OK), host="::1") as server:
        assert (await probe("http", url=f"http://[::1]:{server.port}/")).success
        assert (await probe("http", host="::1", port=server.port)).success
        assert (await probe("tcp", host="::1", port=server.port, ip_family=6)).success
        result = await probe("tcp", host="::1", port=server.port, ip_family=4)
    assert why(result) == (Failure.DNS, "::1 is no IPv4 address")


async def test_a_name() -> None:
    """A name is resolved for each run."""
    async with target(answering(OK)) as server:
        result = await probe("http", host="localhost", port=server.port, ip_family=4)
    assert why(result) == (None, "")


@pytest.mark.parametrize("kind", ["http", "tcp", "websocket"])
async def test_nobody_listens(kind: str) -> None:
    """A closed port is refused."""
    port = free_port()
    result = await probe(kind, host="127.0.0.1", port=port)
    assert why(result) == (Failure.REFUSED, f"127.0.0.1:{port}: Connection refused")
    assert phases(result) == [Phase.RESOLVE, Phase.CONNECT]


@pytest.mark.parametrize("kind", ["http", "tcp", "websocket"])
async def test_no_such_name(kind: str) -> None:
    """A name that does not exist is a matter of DNS."""
    result = await probe(kind, host="nowhere.invalid", port=80)
    assert result.failure is Failure.DNS
    assert result.detail.startswith("nowhere.invalid cannot be resolved: ")
    assert phases(result) == [Phase.RESOLVE]


@pytest.mark.parametrize("kind", ["http", "tcp", "websocket"])
async def test_no_way_there(kind: str) -> None:
    """An address that this machine cannot reach is neither refused nor late."""
    result = await probe(kind, host="255.255.255.255", port=80)
    assert result.failure is Failure.CONNECT
    assert result.detail.startswith("255.255.255.255:80: ")


@contextlib.contextmanager
def overwhelmed() -> Iterator[int]:
    """The port of a server that has so many connections waiting that it takes no more."""
    with socket.socket() as listener, contextlib.ExitStack() as stack:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for _ in range(4):
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(listener.getsockname())
        yield listener.getsockname()[1]


@pytest.mark.parametrize("kind", ["http", "tcp", "websocket"])
async def test_nobody_answers(kind: str) -> None:
    """An address from which nothing comes at all times out while it is connected to."""
    with overwhelmed() as port:
        result = await probe(kind, host="127.0.0.1", port=port, timeout=0.4)
    assert why(result) == (
        Failure.TIMEOUT,
        "after 0.4 s nobody has answered at the address (phase connect)",
    )


async def test_several_addresses(monkeypatch: pytest.MonkeyPatch) -> None:
    """A name with several addresses is up if one of them answers, though others are closed or silent."""
    addresses: list[str] = []

    async def resolved(host: str, family: object) -> list[str]:
        return addresses

    monkeypatch.setattr(dial, "resolve", resolved)
    async with target(answering(OK)) as server:
        addresses[:] = ["127.0.0.2", "127.0.0.1"]
        assert why(await probe("http", host="several", port=server.port)) == (None, "")
        addresses[:] = ["127.0.0.2", "127.0.0.3"]
        result = await probe("http", host="several", port=server.port)
    refused = "; ".join(f"{address}:{server.port}: Connection refused" for address in addresses)
    assert why(result) == (Failure.REFUSED, refused)
    with overwhelmed() as port:
        addresses[:] = ["127.0.0.1", "127.0.0.2"]
        result = await probe("http", host="several", port=port, timeout=0.8)
        assert why(result) == (
            Failure.REFUSED,
            f"127.0.0.1:{port}: no answer; 127.0.0.2:{port}: Connection refused",
        )
        assert result.duration > 0.398


async def test_never_answers() -> None:
    """A server that accepts and is silent times out while it is to answer."""
    async with target(silent) as server:
        result = await probe("http", host="127.0.0.1", port=server.port, timeout=0.4)
        await server.left()
    assert why(result) == (
        Failure.TIMEOUT,
        "after 0.4 s the server has not answered (phase processing)",
    )
    assert result.duration > 0.398  # uvloop counts whole milliseconds, and may be one early


async def test_slow_body() -> None:
    """A body that drips times out although something comes all the time."""

    async def drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while not reader.at_eof():
            writer.write(b".")
            await asyncio.sleep(0.02)

    head = b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n"
    async with target(answering(head, then=drip)) as server:
        result = await probe("http", host="127.0.0.1", port=server.port, timeout=0.4)
        await server.left()
    assert why(result) == (Failure.TIMEOUT, "after 0.4 s the answer is not complete (phase transfer)")
    assert result.http_status == 200


PROTOCOL = Failure.PROTOCOL


@pytest.mark.parametrize(
    ("script", "detail"),
    [
        (
            answering(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf"),
            "the answer broke off: Not enough data to satisfy content length header (received 4 of 100",
        ),
        (
            answering(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n10\r\nhalf"),
            "the answer broke off: Not enough data to satisfy transfer length header",
        ),
        (
            answering(b"HTTP/1.1 200 OK\r\nContent-Le"),
            "the server closed the connection before it had answered",
        ),
        (answering(b""), "the server closed the connection before it had answered"),
        (
            saying(b"SSH-2.0-OpenSSH_9.2p1\r\n", then=silent),
            "the answer is not HTTP: Bad status line: Expected HTTP/, RTSP/ or ICE/: b'SSH-2.0-Open",
        ),
        (answering(b"\x15\x03\x01\x00\x02\x02\x16"), "the answer is not HTTP"),
        (
            answering(b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 4\r\n\r\nhalf"),
            "the answer broke off: Can not decode content-encoding: gzip",
        ),
    ],
)
async def test_broken_answers(script: Script, detail: str) -> None:
    """Half an answer, none, and garbage are against the protocol; none is asked for a second time."""
    async with target(script) as server:
        result = await probe("http", host="127.0.0.1", port=server.port)
        await server.left()
    assert result.failure is PROTOCOL
    assert result.detail.startswith(detail)
    assert server.accepted == 1


@pytest.mark.parametrize(
    ("expected", "ok"), [(503, True), ([200, "500-599"], True), ("200-299", False), ([200, 502], False)]
)
async def test_status(expected: object, ok: bool) -> None:
    """The status is compared with a list of statuses and ranges."""
    async with target(answering(http("503 Service Unavailable"))) as server:
        result = await probe("http", host="127.0.0.1", port=server.port, expect={"status": expected})
    words = " or ".join(str(each) for each in (expected if isinstance(expected, list) else [expected]))
    wrong = (Failure.STATUS, f"answered 503 Service Unavailable; expected {words}")
    assert why(result) == ((None, "") if ok else wrong)
    assert result.http_status == 503


@pytest.mark.parametrize(
    ("expect", "detail"),
    [
        ({"body": "database: ok"}, None),
        ({"body": "/^cache: \\w+$/"}, None),
        ({"not_body": "FATAL"}, None),
        (
            {"body": "/cache: OK/"},
            "the body has no '/cache: OK/'; it begins 'database: ok\\ncache: error\\n'",
        ),
        (
            {"body": "database: ok "},
            "the body has no 'database: ok '; it begins 'database: ok\\ncache: error\\n'",
        ),
        ({"not_body": "/err\\w+/"}, "the body has 'error', which it must not"),
    ],
)
async def test_body(expect: dict[str, str], detail: str | None) -> None:
    """A text has to be in the body as it is, a /regex/ to match; or neither."""
    answer = http("200 OK", body="database: ok\ncache: error\n")
    async with target(answering(answer)) as server:
        result = await probe("http", host="127.0.0.1", port=server.port, expect=expect)
    assert why(result) == ((None, "") if detail is None else (Failure.BODY, detail))


async def test_endless_body() -> None:
    """Of a body no more is read than was allowed."""

    async def flood(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            writer.write(b"x" * 65536)
            await writer.drain()

    head = b"HTTP/1.1 200 OK\r\n\r\n"
    async with target(answering(head, then=flood)) as server:
        where = {"host": "127.0.0.1", "port": server.port, "max_body": 100_000}
        assert (await probe("http", **where)).success
        result = await probe("http", **where, expect={"body": "y"})
        await server.left()
    assert why(result) == (Failure.BODY, f"the body has no 'y'; it begins {'x' * 80!r}")


async def test_unknown_charset() -> None:
    """A charset that nobody knows is read as UTF-8."""
    answer = http("200 OK", "Content-Type: text/plain; charset=klingon", body="qapla")
    async with target(answering(answer)) as server:
        assert (await probe("http", host="127.0.0.1", port=server.port, expect={"body": "qapla"})).success


@pytest.mark.parametrize(
    ("redirects", "status", "detail"),
    [
        ("follow", 200, ""),
        (2, 200, ""),
        (1, 302, "answered 302 Found, a redirect to /end, after another; expected 200-299"),
        ("none", 301, "answered 301 Moved, a redirect to /next; expected 200-299"),
    ],
)
async def test_redirects(redirects: object, status: int, detail: str) -> None:
    """Redirects are followed as far as allowed; the answer at which that ends is the one that counts."""
    paths = {
        "/": http("301 Moved", "Location: /next?token=sesame"),
        "/next?token=sesame": http("302 Found", "Location: /end?token=sesame"),
        "/end?token=sesame": OK,
    }
    async with target(routing(paths, [])) as server:
        result = await probe("http", host="127.0.0.1", port=server.port, redirects=redirects)
        await server.left()
    assert why(result) == (Failure.STATUS if detail else None, detail)
    assert result.http_status == status


async def test_redirect_loop() -> None:
    """A circle of redirects ends."""
    async with target(routing({"/": http("302 Found", "Location: /")}, [])) as server:
        result = await probe("http", host="127.0.0.1", port=server.port)
    assert why(result) == (
        Failure.STATUS,
        "answered 302 Found, a redirect to /, after 10 others; expected 200-299",
    )
    assert server.accepted == 11


async def test_a_redirect_that_is_expected() -> None:
    """A redirect that is not followed can be what is wanted."""
    async with target(answering(http("302 Found", "Location: /login"))) as server:
        where = {"host": "127.0.0.1", "port": server.port, "redirects": "none"}
        assert (await probe("http", **where, expect={"status": [302]})).success


async def test_redirect_to_nothing() -> None:
    """A redirect to what is not on the web is against the protocol, one to a closed port is refused."""
    port = free_port()
    async with target(answering(http("302 Found", "Location: mailto:me"))) as server:
        result = await probe("http", host="127.0.0.1", port=server.port)
    assert why(result) == (PROTOCOL, "redirects to what is no http:// or https:// URL")
    async with target(answering(http("302 Found", f"Location: http://127.0.0.1:{port}/"))) as server:
        result = await probe("http", host="127.0.0.1", port=server.port)
    assert why(result) == (Failure.REFUSED, f"127.0.0.1:{port}: Connection refused")


async def test_secrets_stay_at_home(tmp_path: Path) -> None:
    """The Authorization is not sent to another server that the first one redirects to."""
    secret = tmp_path / "token"
    secret.write_text("sesame")
    there: list[str] = []
    async with target(routing({"/": OK}, there)) as other:
        here = http("307 Moved", f"Location: http://127.0.0.1:{other.port}/")
        async with target(answering(here)) as server:
            result = await probe("http", host="127.0.0.1", port=server.port, bearer_token_file=secret)
    assert result.success
    assert len(there) == 1
    assert "sesame" not in there[0]


async def test_a_host_is_for_one_server() -> None:
    """A Host header goes with a redirect on the same server, and not to another one."""
    here: list[str] = []
    there: list[str] = []
    async with target(routing({"/": OK}, there)) as other:
        to_the_other = http("302 Found", f"Location: http://127.0.0.1:{other.port}/")
        paths = {"/": http("302 Found", "Location: /next"), "/next": to_the_other}
        async with target(routing(paths, here)) as server:
            result = await probe("http", host="127.0.0.1", port=server.port, headers={"host": "shop.example"})
    assert result.success
    assert ["host: shop.example" in head.splitlines() for head in here] == [True, True]
    assert [line for line in there[0].splitlines() if line.lower().startswith("host:")] == [
        f"Host: 127.0.0.1:{other.port}"
    ]


# HTTPS


async def test_https(authority: Authority, issued: Issued) -> None:
    """A success over TLS has that phase, and the certificate's end."""
    async with target(answering(OK), tls=issued.server()) as server:
        result = await probe("https", host="localhost", port=server.port, tls={"ca_file": authority.ca_file})
        await server.left()
    assert why(result) == (None, "")
    assert result.certificate_expiry == issued.expiry
    assert phases(result) == [Phase.RESOLVE, Phase.CONNECT, Phase.TLS, Phase.PROCESSING, Phase.TRANSFER]


async def test_expired_certificate(authority: Authority) -> None:
    """An expired certificate is said with its day, and its end is known although it was not accepted."""
    expired = authority.issue("service", "DNS:localhost", days=-1)
    async with target(answering(OK), tls=expired.server()) as server:
        where = {"host": "localhost", "port": server.port}
        result = await probe("https", **where, tls={"ca_file": authority.ca_file})
        trusting = await probe("https", **where, tls={"verify": False})
        await server.left()
    day = time.strftime("%Y-%m-%d", time.gmtime(expired.expiry))
    assert why(result) == (Failure.TLS, f"certificate has expired on {day}")
    assert result.certificate_expiry == expired.expiry
    assert phases(result) == [Phase.RESOLVE, Phase.CONNECT, Phase.TLS]
    assert why(trusting) == (None, "")
    assert trusting.certificate_expiry == expired.expiry


async def test_wrong_names(authority: Authority, issued: Issued) -> None:
    """A certificate has to be for the host, or for the server_name that is given instead."""
    tls = {"ca_file": authority.ca_file}
    other = authority.issue("other", "DNS:other.example", "DNS:*.other.example")
    async with target(answering(OK), tls=other.server()) as server:
        by_name = await probe("https", host="localhost", port=server.port, tls=tls)
        by_address = await probe("https", host="127.0.0.1", port=server.port, tls=tls)
        named = {**tls, "server_name": "www.other.example"}
        assert (await probe("https", host="localhost", port=server.port, tls=named)).success
    assert why(by_name) == (
        Failure.TLS,
        "certificate is for other.example, *.other.example, not for localhost",
    )
    assert why(by_address) == (
        Failure.TLS,
        "certificate is for other.example, *.other.example, not for 127.0.0.1",
    )
    assert by_name.certificate_expiry == other.expiry
    async with target(answering(OK), tls=issued.server()) as server:
        result = await probe(
            "https", host="localhost", port=server.port, tls={**tls, "server_name": "www.example"}
        )
    assert result.detail == "certificate is for localhost, 127.0.0.1, 0:0:0:0:0:0:0:1, not for www.example"


async def test_unknown_authorities(authority: Authority, issued: Issued) -> None:
    """A certificate that nobody vouches for, or somebody unknown, says which of the two."""
    async with target(answering(OK), tls=issued.server()) as server:
        result = await probe("https", host="localhost", port=server.port)
    assert why(result) == (Failure.TLS, "certificate comes from an authority that is not trusted")
    assert result.certificate_expiry == issued.expiry
    alone = authority.self_signed("localhost")
    async with target(answering(OK), tls=alone.server()) as server:
        result = await probe("https", host="localhost", port=server.port)
    assert why(result) == (Failure.TLS, "certificate is self-signed")
    assert result.certificate_expiry == alone.expiry


@pytest.mark.parametrize(
    ("version", "detail"),
    [
        ("-tls1_3", "the server requires a client certificate"),
        ("-tls1_2", "the server refuses the handshake; it may require a client certificate"),
    ],
)
async def test_client_certificate(
    version: str, detail: str, authority: Authority, issued: Issued, tmp_path: Path
) -> None:
    """A server that wants to know its clients is satisfied with a certificate, and without refuses."""
    client = authority.issue("prober")
    tls = {"ca_file": authority.ca_file}
    shown = {**tls, "cert_file": client.cert_file, "key_file": client.key_file}
    strict = ("-CAfile", str(authority.ca_file), "-Verify", "1", "-verify_return_error", version)
    with openssl_server(tmp_path, issued, *strict) as port:
        assert why(await probe("https", url=f"https://localhost:{port}/", tls=shown)) == (None, "")
        for result in (
            await probe("https", url=f"https://localhost:{port}/", tls=tls),
            await probe("websocket", url=f"wss://localhost:{port}/", tls=tls),
            await probe("tcp", host="localhost", port=port, tls=tls, send="?", expect="!"),
        ):
            assert why(result) == (Failure.TLS, detail)


async def test_old_versions(authority: Authority, issued: Issued, tmp_path: Path) -> None:
    """A version of TLS below the least that is accepted is refused."""
    tls = {"ca_file": authority.ca_file}
    with openssl_server(tmp_path, issued, "-tls1_2") as port:
        assert (await probe("https", host="localhost", port=port, tls=tls)).success
        result = await probe("https", host="localhost", port=port, tls={**tls, "min_version": 1.3})
    assert why(result) == (Failure.TLS, "the server speaks no version of TLS that is allowed here")


@pytest.mark.parametrize(
    ("script", "detail"),
    [
        (saying(b"220 mail.example ESMTP\r\n"), "the server does not speak TLS"),
        (saying(OK, then=silent), "the server does not speak TLS"),
        (saying(b""), "the server closed the connection during the TLS handshake"),
    ],
)
async def test_no_tls(script: Script, detail: str) -> None:
    """A server that does not speak TLS is a matter of TLS."""
    async with target(script) as server:
        result = await probe("https", host="127.0.0.1", port=server.port, timeout=2.0)
        await server.left()
    assert result.failure is Failure.TLS, result
    assert result.detail == detail


async def test_silent_handshake() -> None:
    """A handshake that is never answered times out in its phase."""
    async with target(silent) as server:
        result = await probe("https", host="127.0.0.1", port=server.port, timeout=0.4)
        await server.left()
    assert why(result) == (Failure.TIMEOUT, "after 0.4 s the TLS handshake is not over (phase tls)")


async def test_redirect_to_https(authority: Authority, issued: Issued) -> None:
    """The TLS options hold for where a redirect leads; the phases of both requests add up."""
    async with target(answering(OK), tls=issued.server()) as secure:
        there = http("301 Moved", f"Location: https://localhost:{secure.port}/")
        async with target(answering(there)) as plain:
            result = await probe(
                "http", host="127.0.0.1", port=plain.port, tls={"ca_file": authority.ca_file}
            )
    assert why(result) == (None, "")
    assert result.certificate_expiry == issued.expiry
    assert sum(spent for _, spent in result.phases) == pytest.approx(result.duration, abs=0.01)


async def test_new_certificates_are_used(authority: Authority, issued: Issued, tmp_path: Path) -> None:
    """A file that changed is read again, and one that broke is said, without a restart."""
    ca_file = tmp_path / "ca.pem"
    ca_file.write_text(authority.self_signed("other").cert_file.read_text())
    variety = VARIETIES["https"]
    async with target(answering(OK), tls=issued.server()) as server:
        given = {"host": "localhost", "port": server.port, "tls": {"ca_file": ca_file}}
        options = variety.options.model_validate(given)
        assert (await variety.run(options, 5.0)).failure is Failure.TLS
        ca_file.write_text(authority.ca_file.read_text())
        assert why(await variety.run(options, 5.0)) == (None, "")
        ca_file.write_text("scrap")
        assert why(await variety.run(options, 5.0)) == (
            Failure.OTHER,
            f"{ca_file} cannot be used: no certificate or crl found",
        )
        ca_file.unlink()
        assert why(await variety.run(options, 5.0)) == (
            Failure.OTHER,
            f"{ca_file} cannot be read: No such file or directory",
        )


# Leaving


@pytest.mark.parametrize("secure", [False, True])
@pytest.mark.parametrize("kind", ["http", "tcp", "websocket"])
async def test_cancelled(kind: str, secure: bool, authority: Authority, issued: Issued) -> None:
    """A run that is cancelled leaves no connection behind, wherever it was."""
    tls = {"tls": {"ca_file": authority.ca_file}} if secure else {}
    async with target(silent, tls=issued.server() if secure else None) as server:
        options: dict[str, Any] = {"host": "127.0.0.1", "port": server.port, **tls}
        if secure and kind != "tcp":
            scheme = "https" if kind == "http" else "wss"
            options = {"url": f"{scheme}://127.0.0.1:{server.port}/", **tls}
            kind = "https" if kind == "http" else kind
        elif kind == "tcp":
            options["expect"] = "word"
        for turns in (0, 1, 3, 10, 200):
            run = asyncio.create_task(probe(kind, **options))
            for _ in range(turns):
                await asyncio.sleep(0.0005)
            run.cancel()
            with pytest.raises(asyncio.CancelledError):
                await run
        await server.left()


@pytest.mark.parametrize(
    ("kind", "script"),
    [
        ("http", None),
        ("http", answering(b"what?\n")),
        ("http", answering(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhe")),
        ("https", saying(b"hello\n")),
        ("websocket", answering(http("200 OK"))),
    ],
)
async def test_failures_leave_no_garbage(kind: str, script: Script | None) -> None:
    """A failed run needs no garbage collector, which never looks at what has become old."""
    async with target(script or silent) as server:
        port = free_port() if script is None else server.port
        await probe(kind, host="127.0.0.1", port=port)  # what is made once for all
        gc.collect()
        gc.disable()
        gc.set_debug(gc.DEBUG_SAVEALL)
        try:
            assert not (await probe(kind, host="127.0.0.1", port=port)).success
            await server.left()
            gc.collect()
            left = [each for each in gc.garbage if isinstance(each, Course | ProbeFailed)]
        finally:
            gc.set_debug(0)
            gc.garbage.clear()
            gc.enable()
    assert left == []


# TCP


async def test_tcp_success() -> None:
    """A connection is enough where nothing else is asked for."""
    async with target(silent) as server:
        result = await probe("tcp", host="127.0.0.1", port=server.port)
        await server.left()
    assert why(result) == (None, "")
    assert phases(result) == [Phase.RESOLVE, Phase.CONNECT]


@pytest.mark.parametrize("expect", ["ESMTP", "220 mail", "/^220 .*ESMTP/", r"ESMTP\r\n", r"/\r\n/"])
async def test_banner(expect: str) -> None:
    """A banner has what is expected."""

    async def rest(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(0.02)
        writer.write(b"ESMTP\r\n")
        await silent(reader, writer)

    async with target(saying(b"220 mail ", then=rest)) as server:
        result = await probe("tcp", host="127.0.0.1", port=server.port, expect=expect)
        await server.left()
    assert why(result) == (None, "")
    assert phases(result) == [Phase.RESOLVE, Phase.CONNECT, Phase.PROCESSING]


async def test_dialogue() -> None:
    """Something is sent, with escapes, and something else expected."""

    async def redis(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        said = await reader.readline()
        writer.write(b"+PONG\r\n" if said == b"PING\r\n" else b"-ERR\r\n")
        await silent(reader, writer)

    async with target(redis) as server:
        where = {"host": "127.0.0.1", "port": server.port, "expect": "+PONG"}
        assert (await probe("tcp", **where, send=r"PING\r\n")).success
        assert (await probe("tcp", **where, send="PING\r\n")).success
        result = await probe("tcp", **where, send=r"HALLO\r\n", timeout=0.4)
        await server.left()
    assert why(result) == (Failure.BODY, r"no '+PONG' within 0.4 s; the server said '-ERR\r\n'")


@pytest.mark.parametrize(
    ("script", "failure", "detail"),
    [
        (
            saying(b"554 go away\r\n"),
            Failure.BODY,
            r"no '220' before the server closed the connection; the server said '554 go away\r\n'",
        ),
        (saying(b""), PROTOCOL, "the server closed the connection without a word"),
        (silent, Failure.TIMEOUT, "after 0.4 s the server has not answered (phase processing)"),
        (
            saying(b"x" * 70_000, then=silent),
            Failure.BODY,
            f"no '220' in the first 65536 bytes; the server said {'x' * 80!r}",
        ),
    ],
)
async def test_wrong_banner(script: Script, failure: Failure, detail: str) -> None:
    """Something else than what is expected is a wrong body; nothing is a timeout, or against the protocol."""
    async with target(script) as server:
        result = await probe("tcp", host="127.0.0.1", port=server.port, expect="220", timeout=0.4)
        await server.left()
    assert why(result) == (failure, detail)


async def test_tcp_tls(authority: Authority, issued: Issued) -> None:
    """TLS is spoken from the start, with the same options and verdicts."""
    async with target(saying(b"* OK IMAP\r\n", then=silent), tls=issued.server()) as server:
        where = {"host": "localhost", "port": server.port}
        result = await probe("tcp", **where, tls={"ca_file": authority.ca_file}, expect="* OK")
        untrusted = await probe("tcp", **where, tls={})
        await server.left()
    assert why(result) == (None, "")
    assert result.certificate_expiry == issued.expiry
    assert phases(result) == [Phase.RESOLVE, Phase.CONNECT, Phase.TLS, Phase.PROCESSING]
    assert why(untrusted) == (Failure.TLS, "certificate comes from an authority that is not trusted")


# WebSocket


async def test_websocket(authority: Authority, issued: Issued) -> None:
    """A handshake succeeds, in the clear and over TLS; the server is told that it is over."""
    ended: list[int | None] = []
    agents: list[str] = []

    async def serving(connection: ServerConnection) -> None:
        assert connection.request is not None
        agents.append(connection.request.headers["User-Agent"])
        await connection.wait_closed()
        ended.append(connection.close_code)

    for context in (None, issued.server()):
        async with serve(serving, "127.0.0.1", 0, ssl=context) as server:
            port = next(iter(server.sockets)).getsockname()[1]
            scheme = "ws" if context is None else "wss"
            url = f"{scheme}://localhost:{port}/live?x=1"
            tls = {"ca_file": authority.ca_file}
            result = await probe("websocket", url=url, tls=tls, ip_family=4)
            assert why(result) == (None, "")
            assert result.http_status == 101
            assert (result.certificate_expiry == issued.expiry) is (context is not None)
            while not ended:
                await asyncio.sleep(0.01)
        assert ended.pop() == 1000
    assert agents[0].startswith("heartbeat-exporter/")


async def test_headers_of_a_handshake() -> None:
    """Headers that are configured take the place of the probe's own."""
    heard: list[str] = []
    async with target(routing({"/": http("403 Forbidden")}, heard)) as server:
        headers = {"host": "chat.example", "user-agent": "me"}
        await probe("websocket", host="127.0.0.1", port=server.port, headers=headers)
    lines = heard[0].splitlines()
    assert sorted(line for line in lines if line.lower().startswith(("host:", "user-agent:"))) == [
        "host: chat.example",
        "user-agent: me",
    ]


@pytest.mark.parametrize("words", [b"\x88\x02\x03\xf0", b"\xff\xff"], ids=["close", "nonsense"])
async def test_a_server_that_is_quick_to_end_it(words: bytes) -> None:
    """A handshake is a success, also when a close frame or nonsense comes with it in one piece."""

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        key = next(line.split()[1] for line in head.splitlines() if line.startswith("Sec-WebSocket-Key"))
        answer = ["HTTP/1.1 101 Switching Protocols", "Upgrade: websocket", "Connection: Upgrade"]
        answer += [f"Sec-WebSocket-Accept: {accept_key(key)}", "", ""]
        writer.write("\r\n".join(answer).encode() + words)
        await writer.drain()

    async with target(script) as server:
        result = await probe("websocket", host="127.0.0.1", port=server.port)
        await server.left()
    assert why(result) == (None, "")


async def test_subprotocol() -> None:
    """The subprotocol that is offered has to be chosen."""

    async def serving(connection: ServerConnection) -> None:
        await connection.wait_closed()

    async with serve(serving, "127.0.0.1", 0, subprotocols=["chat"]) as server:  # type: ignore[list-item]
        port = next(iter(server.sockets)).getsockname()[1]
        assert (await probe("websocket", host="127.0.0.1", port=port, subprotocol="chat")).success
    async with serve(serving, "127.0.0.1", 0) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        result = await probe("websocket", host="127.0.0.1", port=port, subprotocol="chat")
    assert why(result) == (PROTOCOL, "the server did not choose subprotocol chat")


async def test_expected_close() -> None:
    """A server can be expected to close by itself, with a certain code."""

    async def serving(connection: ServerConnection) -> None:
        await connection.send("who are you?")
        if connection.request is not None and connection.request.path == "/gone":
            connection.transport.abort()
        await connection.close(4401)

    async with serve(serving, "127.0.0.1", 0) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        where = {"host": "127.0.0.1", "port": port}
        closed = await probe("websocket", **where, expect={"close": 4401})
        wrong = await probe("websocket", **where, expect={"close": 1000})
        gone = await probe("websocket", **where, path="/gone", expect={"close": 1000})
    assert why(closed) == (None, "")
    assert why(wrong) == (PROTOCOL, "the server closed with 4401; expected 1000")
    assert why(gone) == (PROTOCOL, "the server went away without a close frame; expected 1000")
    assert phases(closed) == [Phase.RESOLVE, Phase.CONNECT, Phase.PROCESSING, Phase.TRANSFER]


@pytest.mark.parametrize(
    ("script", "failure", "detail", "status"),
    [
        (
            answering(http("403 Forbidden")),
            Failure.STATUS,
            "answered 403 Forbidden; expected 101, a WebSocket",
            403,
        ),
        (answering(OK), Failure.STATUS, "answered 200 OK; expected 101, a WebSocket", 200),
        (
            answering(b"HTTP/1.1 101 Switching Protocols\r\n\r\n"),
            PROTOCOL,
            "the answer is no WebSocket handshake: missing Connection header",
            101,
        ),
        (answering(b"garbage\r\n\r\n"), PROTOCOL, "the answer is no WebSocket handshake: ", None),
        (answering(b""), PROTOCOL, "the server closed the connection before it had answered", None),
        (silent, Failure.TIMEOUT, "after 0.4 s the server has not answered (phase processing)", None),
    ],
)
async def test_no_websocket(script: Script, failure: Failure, detail: str, status: int | None) -> None:
    """A server that refuses, or does something else, says so by its status or breaks the protocol."""
    async with target(script) as server:
        result = await probe("websocket", host="127.0.0.1", port=server.port, timeout=0.4)
        await server.left()
    assert result.failure is failure
    assert result.detail.startswith(detail)
    assert result.http_status == status
