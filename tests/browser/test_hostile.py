"""Names from a store that somebody else wrote to, and what becomes of them in a browser."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.async_api import Browser, expect

from exporter.core.model import WorkerId
from tests.support.browser import is_live, visit
from tests.support.gallery import ALIVE, SILENT, Exhibit, gallery
from tests.support.serving import Serving

pytestmark = [
    pytest.mark.slow,
    pytest.mark.servers("chromium"),
    pytest.mark.asyncio(loop_scope="module"),
]

HOSTILE = [
    "<script>window.harm = 1</script>",
    "<img src=x onerror='window.harm = 2'>",
    '"><svg onload="window.harm = 3">',
    "</title></td><script>window.harm = 4</script>",
    "javascript:window.harm=5",
    "{{ 7 * 7 }}{% raw %}",
    "&lt;b&gt;&amp;quot;",
    '<time data-beat="w"></time>',
    "\u202egnihton\u2066",
    "\U0001f600 \u0300\u0301\u0302 " + "W" * 200,
]


class Named(Exhibit):
    """A worker whose id is as bad as its name, but that a path can lead to it."""

    @property
    def worker_id(self) -> WorkerId:
        return WorkerId(self.name.replace("/", "|"))


@pytest.fixture(scope="module")
def haunted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    workers = [Named(name, name, [(900, ALIVE), (300, SILENT)], version=name) for name in HOSTILE]
    with gallery(tmp_path_factory.mktemp("haunted"), workers) as serving:
        yield serving


async def test_names_are_text(browser: Browser, haunted: Serving) -> None:
    """Each is shown as it is, before the script replaces it and after; nothing runs and nothing is broken."""
    async with visit(browser, haunted.url) as page:
        assert sorted(await page.locator("tbody tr:not(:empty) th").all_text_contents()) == sorted(HOSTILE)
        await is_live(page)
        haunted.register("one-more", heartbeat_timeout=600)
        await expect(page.locator("tbody tr:not(:empty) th")).to_have_count(len(HOSTILE) + 1)
        after = await page.locator("tbody tr:not(:empty) th").all_text_contents()
        assert sorted(after) == sorted([*HOSTILE, "ONE-MORE"])
        assert await page.evaluate("window.harm") is None
        assert await page.locator("main script, main img, main svg[onload]").count() == 0


@pytest.mark.parametrize("name", HOSTILE)
async def test_each_has_its_page(browser: Browser, haunted: Serving, name: str) -> None:
    """The link in the table leads to it, whatever is in the id, and nothing runs there either."""
    async with visit(browser, haunted.url) as page:
        links = page.locator("tbody th a")
        texts = await links.all_text_contents()
        await links.nth(texts.index(name)).click()
        await is_live(page)
        await expect(page.get_by_role("heading", level=1)).to_have_text(name)
        assert await page.evaluate("window.harm") is None


async def test_a_filter_is_text_too(browser: Browser, haunted: Serving) -> None:
    """What is searched for comes back in the form, and only there."""
    async with visit(browser, haunted.url) as page:
        await is_live(page)
        await page.get_by_role("searchbox").fill(HOSTILE[2])
        await page.get_by_role("button", name="Filter").click()
        await expect(page.get_by_role("searchbox")).to_have_value(HOSTILE[2])
        assert await page.evaluate("window.harm") is None


async def test_nothing_but_our_own_runs(browser: Browser, haunted: Serving) -> None:
    """The policy holds even if a name got through: the browser refuses, and says so, what is not ours."""
    tolerated = ["Content Security Policy", "404 (Not Found)"]
    async with visit(browser, haunted.url, tolerated=tolerated) as page:
        refused = await page.evaluate(
            """() => new Promise((resolve) => {
                const refused = [];
                document.addEventListener("securitypolicyviolation", (event) => {
                    refused.push(event.effectiveDirective);
                    if (refused.length === 2) resolve(refused.sort());
                });
                document.body.insertAdjacentHTML("beforeend", "<img src=x onerror='window.harm = 1'>");
                const script = document.createElement("script");
                script.textContent = "window.harm = 2";
                document.body.append(script);
            })"""
        )
        assert refused == ["script-src-attr", "script-src-elem"]
        assert await page.evaluate("window.harm") is None
