"""For everybody: in the light and in the dark, on a phone, without a mouse, eyes, or a script."""

from __future__ import annotations

import pytest
from playwright.async_api import Browser, Page, expect

from tests.support.browser import is_live, violations, visit
from tests.support.gallery import FLEET
from tests.support.serving import Serving

pytestmark = [
    pytest.mark.slow,
    pytest.mark.servers("chromium"),
    pytest.mark.asyncio(loop_scope="module"),
]

PAGES = {
    "workers": "/",
    "worker": "/status/workers/refunds",
    "probes": "/status/probes",
    "probe": "/status/probes/warehouse",
    "actions": "/status/actions",
    "action": "/status/actions/failover",
    "no such worker": "/status/workers/nobody",
}
EVERY_PAGE = pytest.mark.parametrize("path", PAGES.values(), ids=PAGES)
PHONE = {"viewport": {"width": 360, "height": 740}, "is_mobile": True, "has_touch": True}


@EVERY_PAGE
@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_nothing_keeps_people_out(browser: Browser, shown: Serving, path: str, scheme: str) -> None:
    """axe-core finds nothing that is serious, on a desk and on a phone."""
    tolerated = ["404 (Not Found)"]
    for options in ({}, PHONE):
        async with visit(
            browser, f"{shown.url}{path}", tolerated=tolerated, color_scheme=scheme, **options
        ) as page:
            assert await violations(page) == []


@EVERY_PAGE
async def test_a_phone_is_wide_enough(browser: Browser, shown: Serving, path: str) -> None:
    """Nothing is beyond the right edge, and what is to be touched is large enough for a finger."""
    async with visit(browser, f"{shown.url}{path}", tolerated=["404 (Not Found)"], **PHONE) as page:
        assert await page.evaluate("document.documentElement.scrollWidth") == 360
        controls = page.locator("input, select, button")
        for box in [await control.bounding_box() for control in await controls.all()]:
            assert box is not None
            assert box["height"] >= 38


async def test_the_api(browser: Browser, shown: Serving) -> None:
    """Shown without anything from elsewhere, under the policy of the pages."""
    async with visit(browser, f"{shown.url}/docs") as page:
        operation = page.locator(".opblock", has_text="/register")
        await operation.locator(".opblock-summary").click()
        await expect(operation).to_contain_text("heartbeat_interval")


async def test_the_dark_is_dark(browser: Browser, shown: Serving) -> None:
    """The page goes by what the system prefers, and by nothing else."""
    brightness = {}
    for scheme in ("light", "dark"):
        async with visit(browser, shown.url, color_scheme=scheme) as page:
            color = await page.evaluate("getComputedStyle(document.body).backgroundColor")
            brightness[scheme] = sum(int(part) for part in color.removeprefix("rgb(").rstrip(")").split(", "))
    assert brightness["dark"] < 150 < 600 < brightness["light"]


async def test_by_keyboard_alone(browser: Browser, shown: Serving) -> None:
    """Past the head to what matters, along everything in its order, visibly; and into a worker's page."""
    async with visit(browser, shown.url) as page:
        await is_live(page)
        await page.keyboard.press("Tab")
        await expect(page.get_by_role("link", name="Skip to content")).to_be_focused()
        await page.keyboard.press("Enter")
        counts = [await tab(page) for _ in range(6)]
        assert counts[0].startswith(f"{len(FLEET)} All")
        assert [await tab(page) for _ in range(5)] == ["Find", "Status", "Group", "Filter", "Clear"]
        worker = await tab(page)
        assert worker in {exhibit.name for exhibit in FLEET}
        assert await page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
        await page.keyboard.press("Enter")
        await expect(page.get_by_role("heading", level=1)).to_have_text(worker)


async def tab(page: Page) -> str:
    """Go on with the Tab key; returns what has the focus then: its label, or what it says."""
    await page.keyboard.press("Tab")
    return str(
        await page.evaluate(
            """() => {
                const focused = document.activeElement;
                return (focused.labels?.[0]?.firstChild ?? focused).textContent.trim();
            }"""
        )
    )


@EVERY_PAGE
async def test_without_a_script(browser: Browser, shown: Serving, path: str) -> None:
    """The page is whole, and says what it is a picture of."""
    async with visit(
        browser, f"{shown.url}{path}", tolerated=["404 (Not Found)"], java_script_enabled=False
    ) as page:
        await expect(page.get_by_role("heading", level=1)).not_to_be_empty()
        await expect(page.locator("#connection")).to_be_hidden()
        await expect(page.locator("noscript p")).to_be_visible()
        assert "Reload the page for news." in await page.locator("noscript p").inner_text()
        for text in await page.locator("time[data-ago], time[data-for], time[data-beat]").all_text_contents():
            assert text.endswith((" ago", " s", " min", " h", " d")), text
