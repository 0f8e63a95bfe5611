from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest
import pytest_asyncio
from playwright.async_api import Browser

from tests.support.browser import chromium
from tests.support.gallery import gallery
from tests.support.serving import Serving


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser() -> AsyncIterator[Browser]:
    """One for all tests of a file, which visit in windows of their own, in the event loop of the file."""
    async with chromium() as started:
        yield started


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    """An exporter with one of everything, which no test changes."""
    with gallery(tmp_path_factory.mktemp("gallery")) as serving:
        yield serving
