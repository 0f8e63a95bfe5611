"""Pictures of every page, to be looked at: in the directory that SCREENSHOTS names, if it does."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Browser

from tests.support.browser import is_live, visit
from tests.support.processes import eventually
from tests.support.serving import Serving

pytestmark = [
    pytest.mark.slow,
    pytest.mark.servers("chromium"),
    pytest.mark.asyncio(loop_scope="module"),
]

DESK: dict[str, Any] = {"viewport": {"width": 1280, "height": 800}}
PHONE: dict[str, Any] = {"viewport": {"width": 390, "height": 844}, "is_mobile": True}
PAGES = {
    "workers": "/",
    "worker": "/status/workers/checkout-2",
    "probes": "/status/probes",
    "probe": "/status/probes/warehouse",
    "actions": "/status/actions",
    "action": "/status/actions/pager",
}
LARGEST = 150_000
"""Bytes that the picture in README.md may have: everybody who reads that loads it."""


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return Path(os.environ.get("SCREENSHOTS", tmp_path))


async def picture(browser: Browser, url: str, file: Path, **options: Any) -> bytes:
    async with visit(browser, url, **options) as page:
        await is_live(page)
        return await page.screenshot(path=file)


async def test_status_page(browser: Browser, shown: Serving, directory: Path) -> None:
    """docs/status-page.png, which `make picture` takes again: what most people will see most of the time."""
    await asyncio.to_thread(eventually, lambda: not shown.metric("heartbeat_warming_up"), within=60)
    taken = await picture(browser, shown.url, directory / "status-page.png", **DESK)
    assert len(taken) < LARGEST


@pytest.mark.parametrize("look", ["light", "dark", "phone"])
@pytest.mark.parametrize("name", PAGES)
async def test_every_page(browser: Browser, shown: Serving, directory: Path, name: str, look: str) -> None:
    """Each in the light, in the dark and on a phone; all of it is drawn, without a complaint."""
    options = PHONE if look == "phone" else {**DESK, "color_scheme": look}
    taken = await picture(browser, f"{shown.url}{PAGES[name]}", directory / f"{name}-{look}.png", **options)
    assert taken.startswith(b"\x89PNG")
