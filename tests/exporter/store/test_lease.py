"""Waiting for a lease that somebody has."""

from __future__ import annotations

import asyncio

import pytest

from exporter.store.base import LEASE_SECONDS, LeaseHeld, Owner, StoreError
from exporter.store.lease import EXTEND, Lease
from tests.support.clock import FakeClock
from tests.support.stores import MemoryStore

OTHER = Owner("db2", 99, "token")


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore()


@pytest.fixture
def lease(store: MemoryStore, clock: FakeClock) -> Lease:
    return Lease(store, clock)


async def test_a_free_lease_is_taken_at_once(lease: Lease, clock: FakeClock) -> None:
    """It is held then, and has to be extended after a while."""
    await lease.take(asyncio.Event())
    assert (lease.held, lease.runs_out) == (True, False)
    clock.move(EXTEND)
    assert lease.runs_out
    lease.extended()
    assert not lease.runs_out


async def test_a_dead_holders_lease_is_waited_for(
    lease: Lease, store: MemoryStore, clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    """An exporter that was killed leaves a lease that runs out; its successor says so, and starts then."""
    caplog.set_level("INFO")
    store.holder = OTHER
    taking = asyncio.create_task(lease.take(asyncio.Event()))
    await clock.jump(LEASE_SECONDS - 1.0)
    assert not taking.done()
    store.holder = None
    await clock.jump(1.0)
    await taking
    assert lease.held
    assert caplog.messages == [
        f"{store.where} is held by another exporter (pid 99 on db2); waiting up to 10 s for it to end"
    ]


async def test_a_living_holders_lease_is_not_had(lease: Lease, store: MemoryStore, clock: FakeClock) -> None:
    """Somebody who extended it meanwhile is alive, and is named."""
    store.holder = OTHER
    taking = asyncio.create_task(lease.take(asyncio.Event()))
    await clock.jump(LEASE_SECONDS)
    with pytest.raises(LeaseHeld) as caught:
        await taking
    assert str(caught.value) == (
        "memory is in use by another exporter (pid 99 on db2), and a store serves one only:"
        " stop that one, or give this one a store of its own (REDIS_DB, REDIS_URL or SQLITE_PATH)"
    )
    assert not lease.held


async def test_who_is_about_to_stop_does_not_wait(lease: Lease, store: MemoryStore) -> None:
    """There is no use for the lease any more."""
    store.holder = OTHER
    stopping = asyncio.Event()
    stopping.set()
    with pytest.raises(LeaseHeld):
        await lease.take(stopping)


async def test_a_store_that_is_away_has_no_lease_to_give(lease: Lease, store: MemoryStore) -> None:
    """The error is the store's."""
    store.away = True
    with pytest.raises(StoreError, match="memory cannot be opened or claimed: it does not answer"):
        await lease.take(asyncio.Event())
    assert not lease.held
