"""Pages as people see them: in Debian's Chromium, driven by Playwright.

Its asynchronous interface, for the other one leaves an event loop running in the thread, with which no
asynchronous test can start any more.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Browser, ConsoleMessage, Error, Page, Request, async_playwright, expect

from .processes import program

AXE = Path(__file__).parents[1] / "browser" / "node_modules" / "axe-core" / "axe.min.js"


@contextlib.asynccontextmanager
async def chromium() -> AsyncIterator[Browser]:
    """A browser without anything of an earlier one."""
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=program("chromium"),
            # The sandbox is not to be had by root, nor in many containers; all that is opened is our own.
            args=["--no-sandbox"],
        )
        try:
            yield browser
        finally:
            await browser.close()


@contextlib.asynccontextmanager
async def visit(
    browser: Browser, url: str, *, tolerated: Sequence[str] = (), **options: Any
) -> AsyncIterator[Page]:
    """A page in a window of its own.

    AssertionError at the end if the browser complained, of the policy for content or of anything else, but
    in words that are `tolerated`; or if something was loaded from elsewhere.
    """
    complaints: list[str] = []
    origin = "/".join(url.split("/")[:3])

    def on_console(message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            complaints.append(message.text)

    def on_error(error: Error) -> None:
        complaints.append(str(error))

    def on_request(request: Request) -> None:
        if not request.url.startswith(f"{origin}/"):
            complaints.append(f"loaded {request.url}")

    context = await browser.new_context(**options)
    try:
        page = await context.new_page()
        page.on("console", on_console)
        page.on("pageerror", on_error)
        page.on("request", on_request)
        await page.goto(url)
        yield page
    finally:
        await context.close()
    assert [each for each in complaints if not any(words in each for words in tolerated)] == []


async def is_live(page: Page) -> None:
    """Wait until what the page shows is kept current."""
    await expect(page.locator("#connection")).to_have_text("Live")


async def violations(page: Page) -> list[str]:
    """What axe-core finds to be serious or worse, with the element that it found it in."""
    await page.evaluate(axe())
    found = await page.evaluate("axe.run(document, {resultTypes: ['violations'], preload: false})")
    return [
        f"{violation['id']}: {node['html']} ({node['failureSummary']})"
        for violation in found["violations"]
        if violation["impact"] in ("serious", "critical")
        for node in violation["nodes"]
    ]


def axe() -> str:
    """The source of axe-core. Where it is missing the test is skipped, or fails if none may be."""
    if AXE.exists():
        return AXE.read_text()
    reason = "axe-core is not there; `make test` fetches it where there is an npm"
    if os.environ.get("REQUIRE_SERVERS") == "1":
        pytest.fail(reason)
    pytest.skip(reason)
