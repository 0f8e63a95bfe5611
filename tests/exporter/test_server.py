"""How the exporter listens, and the options that it is served with."""

from __future__ import annotations

import gc
import resource
import signal
import socket
from collections.abc import Iterator
from typing import Any

import pytest
import uvicorn
from fastapi import FastAPI

from exporter.errors import CannotListen, UsageError
from exporter.http import AbruptHTTP
from exporter.server import listen, serve
from exporter.websocket import DirectWebSocket

IPV6 = socket.has_dualstack_ipv6()


@pytest.mark.parametrize(
    ("address", "reached_by"),
    [
        ("127.0.0.1:0", ["127.0.0.1"]),
        ("localhost:0", ["127.0.0.1"]),
        (":0", ["127.0.0.1", "::1"] if IPV6 else ["127.0.0.1"]),
        ("0.0.0.0:0", ["127.0.0.1"]),
        *([("[::1]:0", ["::1"]), ("[::]:0", ["::1", "127.0.0.1"])] if IPV6 else []),
    ],
)
def test_listens_where_it_is_told(address: str, reached_by: list[str]) -> None:
    """Without a host on every interface, IPv6 and IPv4."""
    with listen(address) as listener:
        port = listener.getsockname()[1]
        for host in reached_by:
            socket.create_connection((host, port), timeout=5.0).close()


@pytest.mark.parametrize(
    "address", ["", "8000", "localhost", "localhost:", ":http", ":65536", ":-1", "::", ": 80"]
)
def test_what_is_no_address(address: str) -> None:
    """The flag, its value and what is expected instead."""
    with pytest.raises(UsageError) as wrong:
        listen(address)
    assert str(wrong.value) == (
        f"--web.listen-address={address}: must be host:port or :port, with a port up to 65535"
    )


@pytest.mark.parametrize("name", ["x" * 64, "ü" * 64, "a..b"])
def test_what_is_no_host(name: str) -> None:
    """A name that cannot even be looked up is a mistake in the flag, too."""
    with pytest.raises(UsageError, match=rf"^--web.listen-address={name}:80: '{name}' is no name of a host$"):
        listen(f"{name}:80")


def test_a_port_that_is_taken() -> None:
    """The sentence names the address and the flag that sets another."""
    with listen("127.0.0.1:0") as first:
        address = f"127.0.0.1:{first.getsockname()[1]}"
        with pytest.raises(CannotListen) as refused:
            listen(address)
    assert str(refused.value) == (
        f"cannot listen on {address}: the address is already in use (--web.listen-address sets another)"
    )


@pytest.mark.parametrize(
    ("address", "why"),
    [
        ("192.0.2.1:80", "cannot assign requested address"),
        ("no-such-host.invalid:80", "name or service not known"),
    ],
)
def test_an_address_that_is_not_ours(address: str, why: str) -> None:
    """One of another machine, and one of no machine."""
    with pytest.raises(CannotListen) as refused:
        listen(address)
    assert refused.value.address == address
    # Without a resolver the system says that it failed for now instead of for good.
    assert refused.value.why in (why, "temporary failure in name resolution")


class Recorded(uvicorn.Server):
    """A server that notes how it would have run."""

    runs: list[tuple[uvicorn.Config, list[socket.socket]]]

    def run(self, sockets: list[socket.socket] | None = None) -> None:
        assert sockets is not None
        Recorded.runs.append((self.config, sockets))


@pytest.fixture
def handlers_as_found() -> Iterator[None]:
    """As a terminal has them, and afterwards as they were."""
    numbers = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
    before = {number: signal.signal(number, signal.SIG_DFL) for number in numbers}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.fixture
def nohup(handlers_as_found: None) -> None:
    """What `nohup` does before it runs a command."""
    signal.signal(signal.SIGHUP, signal.SIG_IGN)


@pytest.fixture
def served(handlers_as_found: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[uvicorn.Config]:
    """What the server was told, after `serve` returned."""
    thresholds = gc.get_threshold()
    monkeypatch.setattr(uvicorn, "Server", Recorded)
    Recorded.runs = []
    serve(FastAPI(), "127.0.0.1:0")
    ((config, sockets),) = Recorded.runs
    yield config
    gc.set_threshold(*thresholds)
    for one in sockets:
        one.close()


def test_options(served: uvicorn.Config) -> None:
    """Small frames, no compression, no pings of the server's own, and a bounded time to end."""
    expected: dict[str, Any] = {
        "http": AbruptHTTP,
        "ws": DirectWebSocket,
        "ws_max_size": 4096,
        "ws_per_message_deflate": False,
        "ws_ping_interval": None,
        "ws_ping_timeout": None,
        "timeout_graceful_shutdown": 5,
        "lifespan": "on",
        "log_config": None,
        "access_log": False,
        "server_header": False,
        "limit_concurrency": None,
        "workers": 1,
    }
    assert {name: getattr(served, name) for name in expected} == expected


def test_the_garbage_collector_lets_the_old_alone(served: uvicorn.Config) -> None:
    """To look through 10,000 connections would stop everything for most of a second."""
    young, middle, old = gc.get_threshold()
    assert (young, middle) == (700, 1)
    assert old > 10**6


def test_as_many_connections_as_the_system_allows(
    monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    """The soft limit on open files, often 1024, is raised to the hard one."""
    limits: list[tuple[int, tuple[int, int]]] = []
    monkeypatch.setattr(resource, "getrlimit", lambda what: (1024, 50_000))
    monkeypatch.setattr(resource, "setrlimit", lambda what, both: limits.append((what, both)))
    request.getfixturevalue("served")
    assert limits == [(resource.RLIMIT_NOFILE, (50_000, 50_000))]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_that_is_over_and_done_with_is_no_failure(
    served: uvicorn.Config, number: signal.Signals
) -> None:
    """Uvicorn raises it again at its end; the process then ends with 0."""
    with pytest.raises(SystemExit) as ended:
        signal.raise_signal(number)
    assert ended.value.code == 0


def test_nohup_is_respected(nohup: None, served: uvicorn.Config) -> None:
    """A terminal that is closed does not end what was started to outlive it."""
    signal.raise_signal(signal.SIGHUP)
    assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
