"""Finding one among many, with the script and without it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.async_api import Browser, Page, expect

from tests.support.browser import is_live, visit
from tests.support.serving import Serving, exporter

pytestmark = [
    pytest.mark.slow,
    pytest.mark.servers("chromium"),
    pytest.mark.asyncio(loop_scope="module"),
]

SCRIPT = pytest.mark.parametrize("script", [True, False], ids=["with script", "without script"])


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    """120 workers in two groups that will never connect, and have all day to do so."""
    with exporter(tmp_path_factory.mktemp("many")) as serving:
        for number in range(120):
            group = "orders" if number % 3 == 0 else "mail"
            serving.register(f"w{number:03}", name=f"Worker {number:03}", group=group, heartbeat_timeout=3600)
        yield serving


async def row_of(page: Page, name: str) -> str:
    """The id of the row that a worker is in now."""
    return str(
        await page.evaluate(
            "name => Array.from(document.links).find(link => link.textContent === name).closest('tr').id",
            name,
        )
    )


async def names(page: Page) -> list[str]:
    return [text for text in await page.locator("tbody tr:not(:empty) th").all_text_contents()]


def workers(*numbers: int) -> list[str]:
    return [f"Worker {number:03}" for number in numbers]


@SCRIPT
async def test_pages(browser: Browser, many: Serving, script: bool) -> None:
    """Fifty on a page; the next ones are a link away, and so are those before."""
    async with visit(browser, many.url, java_script_enabled=script) as page:
        assert await names(page) == workers(*range(50))
        pager = page.get_by_role("navigation", name="Pages")
        await pager.get_by_role("link", name="Next").click()
        await pager.get_by_role("link", name="Next").click()
        await expect(pager).to_contain_text("Page 3 of 3")
        assert await names(page) == workers(*range(100, 120))
        await expect(pager.get_by_role("link", name="Next")).to_have_count(0)
        await pager.get_by_role("link", name="Previous").click()
        await expect(pager).to_contain_text("Page 2 of 3")
        assert await names(page) == workers(*range(50, 100))


@SCRIPT
async def test_filters(browser: Browser, many: Serving, script: bool) -> None:
    """Text, group and status are a form; what was chosen is in the address, and in the form again."""
    async with visit(browser, many.url, java_script_enabled=script) as page:
        await page.get_by_label("Find").fill("worker 01")
        await page.get_by_label("Group").select_option("orders")
        await page.get_by_role("button", name="Filter").click()
        await expect(page.locator("#extent")).to_contain_text("1 to 3 of 3 that match")
        assert await names(page) == workers(12, 15, 18)
        assert page.url.partition("?")[2].split("&") == ["q=worker+01", "status=", "group=orders"]
        await expect(page.get_by_label("Find")).to_have_value("worker 01")
        await expect(page.get_by_label("Group")).to_have_value("orders")

        await page.get_by_role("navigation", name="By status").get_by_role("link", name="Alive").click()
        await expect(page.locator("#extent")).to_have_text("No worker matches.")
        await page.get_by_role("link", name="Clear").click()
        await expect(page.locator("#extent")).to_contain_text("1 to 50 of 120 workers")
        assert "?" not in page.url


async def test_filters_as_one_types(browser: Browser, many: Serving) -> None:
    """Without Enter and without a reload; the text, its caret and the history stay as a person expects."""
    async with visit(browser, f"{many.url}/?page=2") as page:
        await is_live(page)
        await page.evaluate("window.sameDocument = true")
        length = await page.evaluate("history.length")
        find = page.get_by_role("searchbox")
        await find.press_sequentially("worker 11", delay=20)
        await expect(page.locator("#extent")).to_contain_text("1 to 10 of 10 that match")
        assert await names(page) == workers(*range(110, 120))
        await find.press("ArrowLeft")
        await find.press("Backspace")
        await expect(find).to_have_value("worker 1")
        await expect(page.locator("#extent")).to_contain_text("1 to 20 of 20 that match")
        await expect(find).to_be_focused()
        assert page.url == f"{many.url}/?q=worker+1"
        await page.get_by_label("Group").select_option("orders")
        await expect(page.locator("#extent")).to_contain_text("1 to 6 of 6 that match")
        assert await page.evaluate("[window.sameDocument, history.length]") == [True, length]
        await page.reload()
        await expect(page.locator("#extent")).to_contain_text("1 to 6 of 6 that match")


async def test_what_one_is_doing_is_left_alone(browser: Browser, many: Serving) -> None:
    """While everything on the page changes, focus stays on its worker, and the page is not scrolled."""
    async with visit(browser, many.url, viewport={"width": 1000, "height": 500}) as page:
        await is_live(page)
        link = page.get_by_role("link", name="Worker 040")
        await link.focus()
        scrolled = await page.evaluate("scrollY")
        assert scrolled > 0
        find = page.get_by_role("searchbox")
        await find.evaluate("input => { input.value = 'half a wo'; }")
        row = await row_of(page, "Worker 040")
        # Comes first, so that all move down by one.
        many.register("first", name="A first one", heartbeat_timeout=0.4, heartbeat_interval=0.1)
        await expect(page.locator("tbody th").first).to_have_text("A first one")
        await expect(link).to_be_focused()
        assert await row_of(page, "Worker 040") != row
        assert abs(await page.evaluate("scrollY") - scrolled) < 200
        await expect(find).to_have_value("half a wo")
        await page.evaluate("fetch('workers/first', {method: 'DELETE'})")
        await expect(page.locator("tbody th").first).to_have_text("Worker 000")
        await expect(link).to_be_focused()
