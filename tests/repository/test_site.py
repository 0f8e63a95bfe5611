"""The documentation as a site."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

import pytest

from tests.support.processes import free_port

ROOT = Path(__file__).parents[2]

pytestmark = pytest.mark.slow


class Built:
    """The site, and what was said while it was built."""

    def __init__(self, directory: Path, process: subprocess.CompletedProcess[str]) -> None:
        self.directory = directory
        self.process = process

    def pages(self) -> Iterator[tuple[str, str]]:
        for path in sorted(self.directory.rglob("*.html")):
            yield str(path.relative_to(self.directory)), path.read_text()


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    """Built where nothing else can be reached: every proxy is a port that nobody listens on."""
    directory = tmp_path_factory.mktemp("site")
    nowhere = f"http://127.0.0.1:{free_port()}"
    process = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(directory)],
        cwd=ROOT,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1", "HTTP_PROXY": nowhere, "HTTPS_PROXY": nowhere},
        capture_output=True,
        text=True,
        check=False,
    )
    return Built(directory, process)


def test_it_is_built_without_a_warning(built: Built) -> None:
    """Links and their anchors lead somewhere, and every page has its place in the navigation."""
    said = [line for line in built.process.stderr.splitlines() if not line.startswith("INFO ")]
    assert (built.process.returncode, said) == (0, [])


def test_every_page_of_the_documentation_is_there(built: Built) -> None:
    """One for each source, and the one that says that there is none."""
    sources = {path.relative_to(ROOT / "docs") for path in (ROOT / "docs").rglob("*.md")}
    expected = {str(page_of(path)) for path in sources} | {"404.html"}
    assert {name for name, _ in built.pages()} == expected


def page_of(source: Path) -> Path:
    if source.stem in ("index", "README"):
        return source.with_name("index.html")
    return source.with_suffix("") / "index.html"


class Loaded(HTMLParser):
    """What a browser fetches by itself when it shows a page."""

    FETCHED = ("stylesheet", "preload", "preconnect", "prefetch", "dns-prefetch", "icon", "modulepreload")

    def __init__(self, page: str) -> None:
        super().__init__()
        self.addresses: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        attributes = dict(attrs)
        self.addresses += [attributes[name] or "" for name in ("src", "srcset") if name in attributes]
        if tag == "link" and set(self.FETCHED) & set((attributes.get("rel") or "").split()):
            self.addresses.append(attributes["href"] or "")
        # The theme's script asks a code host about this one, and a script server to draw that one.
        if attributes.get("data-md-component") == "source" or attributes.get("class") == "mermaid":
            self.addresses.append(f"by its script, for {tag}")


def test_readers_load_nothing_from_elsewhere(built: Built) -> None:
    """Neither fonts nor scripts nor pictures: who reads the documentation is nobody else's business."""
    loaded = [(name, address) for name, page in built.pages() for address in Loaded(page).addresses]
    assert len(loaded) > len(list(built.pages()))
    elsewhere = re.compile(r"[a-z]+:|//|by its script")
    assert [one for one in loaded if elsewhere.match(one[1])] == []


def test_pages_are_shown_as_on_the_code_host(built: Built) -> None:
    """No list or table is left as text: the two read Markdown by rules that differ."""
    left = re.compile(r"<p>(?:(?!</p>).)*?\n((?:- |\d+\. |\| |```).{0,40})", re.DOTALL)
    assert [(name, text) for name, page in built.pages() for text in left.findall(page)] == []
