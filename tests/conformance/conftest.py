"""Each test in this directory runs once for every store."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from exporter.store.base import Store
from tests.conformance.backends import Backend, RedisBackend, SQLiteBackend

BACKENDS = [pytest.param("redis", marks=pytest.mark.servers("redis-server")), "sqlite"]


@pytest.fixture(params=BACKENDS)
def backend(request: pytest.FixtureRequest, tmp_path: Path) -> Backend:
    if request.param == "redis":
        return RedisBackend(request.getfixturevalue("redis_port"))
    return SQLiteBackend(tmp_path / "heartbeat.db")


Opened = Callable[..., Awaitable[Store]]


@pytest.fixture
async def opened(backend: Backend) -> AsyncIterator[Opened]:
    """Makes opened stores, of one exporter or several, and closes them in the end."""
    stores: list[Store] = []

    async def make(name: str = "a") -> Store:
        store = backend.store(name)
        stores.append(store)
        await store.open()
        return store

    yield make
    for store in stores:
        await store.close()


@pytest.fixture
async def store(opened: Opened) -> Store:
    """A store whose lease is ours."""
    made = await opened()
    assert await made.acquire() is None
    return made
