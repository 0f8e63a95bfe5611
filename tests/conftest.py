"""Skips what needs a server that is not installed, and ends by naming it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.processes import PACKAGES, find_program, redis_server

REQUIRE_SERVERS = os.environ.get("REQUIRE_SERVERS") == "1"
_missing: dict[str, int] = {}


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Measurements run only when asked for by name: `make bench`. What mostly waits is started first."""
    items.sort(key=lambda item: "integration" not in item.path.parts)
    if "benchmark" in (config.option.markexpr or ""):
        return
    measuring = [item for item in items if item.get_closest_marker("benchmark")]
    config.hook.pytest_deselected(items=measuring)
    items[:] = [item for item in items if item not in set(measuring)]


def pytest_runtest_setup(item: pytest.Item) -> None:
    marker = item.get_closest_marker("servers")
    absent = [name for name in (marker.args if marker else ()) if find_program(name) is None]
    if not absent:
        return
    for name in absent:
        _missing[PACKAGES[name]] = _missing.get(PACKAGES[name], 0) + 1
    reason = f"{', '.join(absent)} not installed"
    if REQUIRE_SERVERS:
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if _missing:
        terminalreporter.section("tests left out for want of a server")
        for package, count in sorted(_missing.items()):
            terminalreporter.line(
                f"{count} tests need {package}: apt-get install --no-install-recommends {package}"
            )


@pytest.fixture
def redis_port(tmp_path: Path) -> Iterator[int]:
    """The port of a real, empty redis-server that lives as long as the test."""
    with redis_server(tmp_path) as port:
        yield port
