"""What is generated is current, and what is linked exists."""

from __future__ import annotations

import re
import subprocess
import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

import pytest

from exporter.core.lifecycle import POSSIBLE_CHANGES
from exporter.core.model import Reason, Status
from exporter.errors import ExporterError

ROOT = Path(__file__).parents[2]
REPOSITORY = "https://github.com/heartbeat-exporter/heartbeat-exporter"
PAGES = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    ROOT / "CHANGELOG.md",
    *sorted((ROOT / "docs").rglob("*.md")),
]


def script(name: str) -> ModuleType:
    """One of scripts/, which are no modules that anything else imports."""
    spec = spec_from_file_location(name, ROOT / "scripts" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


life = script("life_of_a_worker")


def written_by(name: str) -> str:
    command = [sys.executable, str(ROOT / "scripts" / f"{name}.py")]
    return subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT).stdout


def test_the_settings_reference_is_current() -> None:
    """`make docs` would write the same file."""
    assert (ROOT / "docs" / "settings.md").read_text() == written_by("settings_reference")


def test_the_command_line_reference_is_current() -> None:
    """`make docs` would write the same file."""
    assert (ROOT / "docs" / "cli.md").read_text() == written_by("cli_reference")


def test_every_command_is_in_the_reference() -> None:
    """It has a section for whatever `--help` lists, and no other."""
    listed = subprocess.run(
        [sys.executable, "-m", "exporter", "--help"], capture_output=True, text=True, check=True, cwd=ROOT
    )
    commands = set(re.findall(r"^  ([a-z][a-z-]+)", listed.stdout.partition("Commands:")[2], re.MULTILINE))
    sections = re.findall(r"^## (\S+)", (ROOT / "docs" / "cli.md").read_text(), re.MULTILINE)
    assert {*sections} - {"Exit"} == commands


def test_every_exit_code_is_documented() -> None:
    """The table has the codes of exporter/errors.py, and that of success."""
    section = (ROOT / "docs" / "cli.md").read_text().partition("## Exit codes")[2]
    documented = {int(code) for code in re.findall(r"^\| (\d+) \|", section, re.MULTILINE)}
    kinds = [ExporterError, *ExporterError.__subclasses__()]
    assert documented == {0} | {kind.exit_code for kind in kinds if kind.__module__ == "exporter.errors"}


def test_the_life_of_a_worker_is_current() -> None:
    """The picture and the table are those of the transition table: `make docs` would write the same."""
    page = (ROOT / "docs" / "life.md").read_text()
    assert life.page(page) == page
    assert life.picture() == (ROOT / "docs" / "life.svg").read_text()


def test_every_change_is_in_the_picture() -> None:
    """Each pair of statuses that one change connects has a line, other than what all of them share."""
    shared = {(after, reason) for after, reasons in life.common().items() for reason in reasons}
    assert shared == {
        (Status.REGISTERED, Reason.RESTART),
        (None, Reason.LEAVE),
        (None, Reason.DELETED),
        (None, Reason.EXPIRED),
        (None, Reason.EVICTED),
    }
    drawn = {(*pair, reason) for pair, reasons in life.single().items() for reason in reasons}
    alone = {change for change in POSSIBLE_CHANGES if change[1:] not in shared and change[0] is not None}
    assert drawn == alone
    assert life.picture().count("url(#tip)") == len(life.single()) + 1


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_within_the_repository_lead_somewhere(page: Path) -> None:
    """Files exist, and so do the headings that anchors name."""
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text()):
        ours = re.match(rf"{REPOSITORY}/(?:blob|tree)/main/(.*)", target)
        if re.match(r"[a-z]+://|mailto:", target) and ours is None:
            continue
        path, _, anchor = (ours.group(1) if ours else target).partition("#")
        linked = ((ROOT if ours else page.parent) / path).resolve() if path else page
        assert linked.exists(), f"{page.name} links to {target}"
        if anchor:
            assert anchor in anchors(linked), f"{page.name} links to {target}"


def anchors(page: Path) -> set[str]:
    """The anchors that GitHub gives the headings of a page."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}
