from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.support.application import Exporter, running


@pytest.fixture
async def exporter() -> AsyncIterator[Exporter]:
    """A running exporter with default settings and an empty store."""
    async with running() as started:
        yield started
