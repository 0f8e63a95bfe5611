from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest
import uvloop

from tests.support.stack import Stack


def pytest_asyncio_loop_factories(
    config: pytest.Config, item: pytest.Item
) -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Probes meet the network, and commands the system, through whichever event loop the program has."""
    factories = {"asyncio": asyncio.new_event_loop}
    both = item.path.stem in ("test_actions", "test_probes")
    return {**factories, "uvloop": uvloop.new_event_loop} if both else factories


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[Stack]:
    """A system with nothing started yet."""
    with Stack(tmp_path) as started:
        yield started
