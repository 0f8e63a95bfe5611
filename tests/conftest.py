"""Skips what needs a server that is not installed, and ends by naming it."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from tests.support.dependencies import PostgresServer, RabbitServer, RedisServer
from tests.support.processes import OTHERWISE, PACKAGES, find_program, redis_server

REQUIRE_SERVERS = os.environ.get("REQUIRE_SERVERS") == "1"
NOT_INSTALLED = "not installed:"

# How long an example takes says more about the machine than about the program.
settings.register_profile("untimed", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("untimed")


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
    reason = f"{NOT_INSTALLED} {', '.join(absent)}"
    if REQUIRE_SERVERS:
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Made from the reports, because the tests may have run in other processes."""
    figures = [
        f"{name}: {value}"
        for report in terminalreporter.stats.get("passed", [])
        for name, value in report.user_properties
    ]
    if figures:
        terminalreporter.section("measured")
        terminalreporter.write_line("\n".join(figures))
    missing: Counter[str] = Counter()
    for report in terminalreporter.stats.get("skipped", []):
        _, found, names = str(report.longrepr).partition(NOT_INSTALLED)
        if found:
            missing.update({PACKAGES[name] for name in names.strip("') ").split(", ")})
    if missing:
        terminalreporter.section("tests left out for want of a server")
        for package, count in sorted(missing.items()):
            how = OTHERWISE.get(package, f"apt-get install --no-install-recommends {package}")
            terminalreporter.line(f"{count} tests need {package}: {how}")


@pytest.fixture
def redis_port(tmp_path: Path) -> Iterator[int]:
    """The port of a real, empty redis-server that lives as long as the test."""
    with redis_server(tmp_path) as port:
        yield port


@pytest.fixture(scope="session")
def redis_dependency() -> Iterator[RedisServer]:
    """A real Redis, shared by tests that leave it running and mind only keys of their own."""
    with RedisServer() as server:
        yield server


@pytest.fixture(scope="session")
def postgres_dependency() -> Iterator[PostgresServer]:
    """A real PostgreSQL, shared by tests that leave it running."""
    with PostgresServer() as server:
        yield server


@pytest.fixture(scope="session")
def rabbit_dependency() -> Iterator[RabbitServer]:
    """A real RabbitMQ, shared because it starts slowly by tests that leave it running."""
    with RabbitServer() as server:
        yield server
