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
    """Probes meet the network through whichever event loop the program was started with."""
    factories = {"asyncio": asyncio.new_event_loop}
    return {**factories, "uvloop": uvloop.new_event_loop} if item.path.stem == "test_probes" else factories


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[Stack]:
    """A system with nothing started yet."""
    with Stack(tmp_path) as started:
        yield started
