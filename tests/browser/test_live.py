"""A page that is open while workers, and the exporter itself, come and go."""

from __future__ import annotations

import asyncio
import contextlib
import re
import signal
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import pytest
from playwright.async_api import Browser, Page, expect

from exporter.web.live import MOST_VIEWERS
from tests.support.browser import is_live, visit
from tests.support.processes import eventually
from tests.support.serving import Serving, exporter, stream
from tests.support.stack import Stack

pytestmark = [
    pytest.mark.slow,
    pytest.mark.servers("chromium", "redis-server"),
    pytest.mark.asyncio(loop_scope="module"),
]

NAMES = ("Orders 1", "Orders 2", "Mail", "Search")
RECENTLY, WHILE_AGO = re.compile(r"^[0-2] s ago$"), re.compile(r"^[4-9] s ago$")
AT_MOST = 2.0
"""Seconds from when the exporter knows until a person sees it."""

FAILING_ACTION = """\
defaults: {interval: 100ms, timeout: 50ms}
probes: {shop: {type: tcp, host: 127.0.0.1, port: 1, action: repair}}
actions: {repair: {demote: "sh -c 'echo trying; exit 1'", run_on_start: true, retries: 3}}
"""


@pytest.fixture
def system(tmp_path: Path) -> Iterator[Stack]:
    """An exporter and four workers, all alive."""
    with Stack(tmp_path) as stack:
        stack.start_redis()
        stack.start_exporter()
        for name in NAMES:
            stack.start_worker(name, wait=False)
        stack.wait_until_alive(*NAMES)
        yield stack


async def seen(page: Page, worker: str, words: str, *, within: float) -> float:
    """When, in Unix seconds, the status of a worker came to read so."""
    handle = await page.wait_for_function(
        """([worker, words]) => {
            const rows = Array.from(document.querySelectorAll("tbody tr"));
            const row = rows.find((row) => row.querySelector("th")?.textContent === worker);
            return row?.querySelector("[data-label=Status]").textContent.includes(words) && Date.now() / 1000;
        }""",
        arg=[worker, words],
        timeout=1000 * within,
    )
    return float(await handle.json_value())


async def known(stack: Stack, worker: str, status: str) -> float:
    """When, in Unix seconds, the exporter came to know."""
    changes = await asyncio.to_thread(stack.get, "/transitions")
    at = next(each["at"] for each in changes if (each["worker"], each["to"]) == (worker, status))
    return datetime.fromisoformat(at).timestamp()


async def is_red(page: Page, selector: str, *, has_text: str = "") -> bool:
    """Whether the shape in front of it is more red than anything else."""
    color = await page.locator(selector, has_text=has_text).first.evaluate(
        "element => getComputedStyle(element, '::before').backgroundColor"
    )
    red, green, blue = (int(part) for part in color.removeprefix("rgb(").rstrip(")").split(", "))
    return red > 2 * max(green, blue)


async def test_a_killed_worker_turns_red(browser: Browser, system: Stack) -> None:
    """Without a reload: its connection is lost at once, and after its timeout it does not respond."""
    async with visit(browser, system.exporter) as page:
        await is_live(page)
        await expect(page.locator("tbody tr th")).to_have_text(sorted(NAMES))
        await expect(page.locator("#sentence")).to_contain_text("All 4 workers are alive.")
        assert not await is_red(page, "#sentence .tone")
        await page.evaluate("window.sameDocument = true")

        system.workers["Mail"].send_signal(signal.SIGKILL)
        cut_off = await seen(page, "Mail", "Disconnected connection lost", within=10)
        assert cut_off - await known(system, "Mail", "disconnected") < AT_MOST
        await expect(page.locator("#sentence")).to_contain_text("1 of 4 workers is down")
        assert await is_red(page, "#sentence .tone")
        assert await is_red(page, "tbody .badge", has_text="Disconnected")

        lost = await seen(page, "Mail", "Not responding connection lost", within=15)
        assert lost - await known(system, "Mail", "not_responding") < AT_MOST
        assert await is_red(page, "tbody .badge", has_text="Not responding")
        # The worst is first, and its page is only a step away.
        await expect(page.locator("tbody tr th").first).to_have_text("Mail")
        assert await page.evaluate("window.sameDocument") is True


async def test_heartbeats_are_counted_from(browser: Browser, system: Stack) -> None:
    """ "1 s ago" goes on by itself while a worker is silent, and begins again when it beats."""
    async with visit(browser, system.exporter) as page:
        await is_live(page)
        last = page.locator("tbody tr", has_text="Mail").locator("[data-label='Last heartbeat']")
        await expect(last).to_have_text(RECENTLY)
        system.workers["Mail"].send_signal(signal.SIGSTOP)
        await expect(last).to_have_text(WHILE_AGO)
        system.workers["Mail"].send_signal(signal.SIGCONT)
        await expect(last).to_have_text(RECENTLY)


async def test_the_exporter_goes_and_comes_back(browser: Browser, tmp_path: Path) -> None:
    """The page says that it is no longer current, and how old it is; then it is current again."""
    tolerated = ("ERR_CONNECTION_REFUSED", "ERR_INCOMPLETE_CHUNKED_ENCODING", "ERR_CONNECTION_RESET")
    with exporter(tmp_path) as first:
        beat(first)
        async with visit(browser, first.url, tolerated=tolerated) as page:
            await is_live(page)
            first.process.terminate()
            first.process.wait(60.0)  # the port is needed again, and an interpreter takes its time
            connection = page.locator("#connection")
            await expect(connection).to_contain_text("The connection is lost; trying again. Shown as of 20")
            last = page.locator("tbody [data-label='Last heartbeat']")
            before, at = await last.text_content(), await last.locator("time").get_attribute("datetime")
            await asyncio.sleep(2.0)
            assert await last.text_content() == before  # who knows whether it still beats
            with exporter(tmp_path, name="next", port=first.port) as second:
                await is_live(page)
                beat(second)
                await expect(last.locator("time")).not_to_have_attribute("datetime", str(at))


async def test_a_worker_is_forgotten(browser: Browser, tmp_path: Path) -> None:
    """Whoever looks at its page is told, and keeps what was last known."""
    with exporter(tmp_path) as serving:
        serving.register("w")
        async with visit(browser, f"{serving.url}/status/workers/w") as page:
            await is_live(page)
            await page.evaluate("fetch('../../workers/w', {method: 'DELETE'})")
            await expect(page.locator("#connection")).to_contain_text("It is no longer there. Shown as of 20")
            await expect(page.get_by_role("heading", level=1)).to_have_text("W")
            viewers_become(serving, 0)


async def test_a_hidden_page_asks_for_nothing(browser: Browser, tmp_path: Path) -> None:
    """Browsers allow six connections to a host: a tab that nobody looks at must not hold one."""
    with exporter(tmp_path) as serving:
        async with visit(browser, serving.url) as page:
            await is_live(page)
            await hide(page, True)
            viewers_become(serving, 0)
            await hide(page, False)
            viewers_become(serving, 1)


async def test_no_room(browser: Browser, tmp_path: Path) -> None:
    """Where too many look on the page is there, says that it is not kept current, and can be filtered."""
    with exporter(tmp_path) as serving, contextlib.ExitStack() as stack:
        serving.register("w")
        for _ in range(MOST_VIEWERS):
            stack.enter_context(stream(serving))
        viewers_become(serving, MOST_VIEWERS)
        async with visit(browser, serving.url, tolerated=["503 (Service Unavailable)"]) as page:
            await expect(page.locator("#connection")).to_contain_text("Not kept current. Shown as of 20")
            await page.get_by_role("searchbox").press_sequentially("no such")
            await page.get_by_role("searchbox").press("Enter")
            await page.wait_for_url("**/?q=no+such*")
            await expect(page.locator("#extent")).to_have_text("No worker matches.")


async def test_refused_for_a_moment(browser: Browser, tmp_path: Path) -> None:
    """What a proxy, or an exporter that still loads, answers in between does not keep the page waiting."""
    with exporter(tmp_path) as serving:
        tolerated = ["503 (Service Unavailable)"]
        async with visit(browser, serving.url, tolerated=tolerated) as page:
            await is_live(page)
            await page.route(serving.url + "/", lambda route: route.fulfill(status=503))
            await hide(page, True)
            await hide(page, False)
            await expect(page.locator("#connection")).to_contain_text("Not kept current.")
            await page.unroute(serving.url + "/")
            await is_live(page)


async def test_what_is_read_stays_open(browser: Browser, tmp_path: Path) -> None:
    """The output of a run, and the focus on it, while further runs come in above it."""
    configuration = tmp_path / "exporter.yml"
    configuration.write_text(FAILING_ACTION)
    registry = tmp_path / "registry.db"
    with exporter(tmp_path, SQLITE_PATH=registry, CONFIG_FILE=configuration) as serving:
        async with visit(browser, f"{serving.url}/status/actions/repair") as page:
            first, rows = page.locator("summary").last, page.locator("#runs tr")
            await first.click()
            await expect(first).to_be_focused()
            await expect(page.locator("pre").last).to_be_visible()
            runs = await rows.count()
            await expect(rows).not_to_have_count(runs, timeout=10_000)
            await expect(page.locator("pre").last).to_be_visible()
            await expect(first).to_be_focused()


def beat(serving: Serving) -> None:
    """A heartbeat of a worker that comes and goes for it."""
    serving.register("w", heartbeat_timeout=600)
    with serving.connect("w") as connection:
        connection.send('{"type": "heartbeat", "ack": true}')
        connection.recv(timeout=5.0)


def viewers_become(serving: Serving, number: int) -> None:
    eventually(lambda: serving.metric("heartbeat_page_viewers") == number, within=5)


async def hide(page: Page, hidden: bool) -> None:
    """What a browser does when another tab is chosen; without windows there are no tabs to choose from."""
    await page.evaluate(
        """hidden => {
            Object.defineProperty(document, "hidden", {value: hidden, configurable: true});
            document.dispatchEvent(new Event("visibilitychange"));
        }""",
        hidden,
    )
