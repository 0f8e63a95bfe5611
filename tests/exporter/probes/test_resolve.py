from __future__ import annotations

import asyncio
import socket
import threading
from typing import Any

import pytest

from exporter.core.probing import Failure
from exporter.probes import resolve as resolving
from exporter.probes.base import ProbeFailed
from exporter.probes.resolve import resolve


class Resolver:
    """Stands where getaddrinfo is: counts, and answers once it is allowed to."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, int]] = []
        self.go = threading.Event()

    def __call__(self, host: str, port: None, *, family: int, type: int) -> list[Any]:
        self.asked.append((host, family))
        assert self.go.wait(5.0)
        return [(family, type, 6, "", (address, 0)) for address in ("10.0.0.1", "10.0.0.2", "10.0.0.1")]


@pytest.fixture
def resolver(monkeypatch: pytest.MonkeyPatch) -> Resolver:
    made = Resolver()
    monkeypatch.setattr(resolving.socket, "getaddrinfo", made)
    return made


async def test_addresses_need_no_resolver(resolver: Resolver) -> None:
    """An address is its own, unless it is of the wrong version."""
    assert await resolve("127.0.0.1", None) == ["127.0.0.1"]
    assert await resolve("fe80::1%eth0", 6) == ["fe80::1%eth0"]
    with pytest.raises(ProbeFailed, match="is no IPv6 address"):
        await resolve("127.0.0.1", 6)
    assert resolver.asked == []


async def test_names_are_looked_up_each_time(resolver: Resolver) -> None:
    """Nothing is remembered of a lookup that is over; each address comes once, in order."""
    resolver.go.set()
    for _ in range(2):
        assert await resolve("db", 4) == ["10.0.0.1", "10.0.0.2"]
    assert resolver.asked == [("db", socket.AF_INET)] * 2


async def test_lookups_at_the_same_time_are_one(resolver: Resolver) -> None:
    """A resolver that hangs is not asked again for the same name, whoever gave up meanwhile."""
    impatient = asyncio.create_task(resolve("db", None))
    patient = asyncio.create_task(resolve("db", None))
    await asyncio.sleep(0)
    impatient.cancel()
    with pytest.raises(asyncio.CancelledError):
        await impatient
    late = asyncio.create_task(resolve("db", None))
    await asyncio.sleep(0)
    resolver.go.set()
    assert await patient == await late == ["10.0.0.1", "10.0.0.2"]
    assert resolver.asked == [("db", socket.AF_UNSPEC)]


async def test_a_hanging_lookup_delays_no_other(resolver: Resolver) -> None:
    """Names are looked up beside each other, also those of two rounds of a hundred that time out."""
    tasks = [asyncio.create_task(resolve(f"db{number}", None)) for number in range(200)]
    async with asyncio.timeout(5.0):
        while len(resolver.asked) < 200:
            await asyncio.sleep(0.001)
    resolver.go.set()
    await asyncio.gather(*tasks)


@pytest.mark.parametrize(
    ("error", "family", "detail"),
    [
        (
            socket.gaierror(-2, "Name or service not known"),
            None,
            "db cannot be resolved: Name or service not known",
        ),
        (socket.gaierror(-5, "No address"), 6, "db cannot be resolved (as IPv6): No address"),
        (UnicodeError("label too long"), None, "db cannot be resolved: label too long"),
    ],
)
async def test_failures(error: Exception, family: Any, detail: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A name that cannot be resolved says why."""

    def fails(*_: Any, **__: Any) -> None:
        raise error

    monkeypatch.setattr(resolving.socket, "getaddrinfo", fails)
    with pytest.raises(ProbeFailed) as raised:
        await resolve("db", family)
    assert (raised.value.failure, raised.value.detail) == (Failure.DNS, detail)
