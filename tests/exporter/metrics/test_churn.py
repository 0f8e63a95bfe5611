"""Workers that come and go leave nothing behind."""

from __future__ import annotations

import gc
import sys

import pytest
from prometheus_client import CollectorRegistry

from exporter.core.events import Goodbye
from exporter.core.model import SECOND, Connection, WorkerId
from exporter.metrics.render import Renderer
from tests.exporter.metrics.sources import TEXT, Watched, rendered
from tests.support.fleets import beat, connect, register

WORKERS, GROUPS = 20_000, 200
RETENTION, STOPPED = 3600, 600


def blocks() -> int:
    """Memory blocks that live objects hold: exact, and not subject to what the allocator keeps."""
    gc.collect()
    return sys.getallocatedblocks()


async def come_and_go(watched: Watched, renderer: Renderer) -> int:
    """A fleet comes, beats, and goes in every way there is; returns how many lines it had at its largest."""
    ids = [f"worker-{number}" for number in range(WORKERS)]
    for number, worker_id in enumerate(ids):
        watched.happen(register(worker_id, group=f"group-{number % GROUPS}"), connect(worker_id, number))
    await rendered(watched, TEXT, renderer)
    for number, worker_id in enumerate(ids):
        watched.happen(beat(worker_id, number))
    largest = (await rendered(watched, TEXT, renderer)).count("\n")
    for number, worker_id in enumerate(ids[: WORKERS // 2]):
        watched.happen(Goodbye(WorkerId(worker_id), Connection(number), leave=number % 2 == 0))
    watched.after(20)  # the other half is silent
    await rendered(watched, TEXT, renderer)
    watched.after(STOPPED)
    watched.after(RETENTION)  # of the workers
    watched.after(RETENTION + 1)  # of their groups
    return largest


@pytest.mark.slow
async def test_series_and_memory_return_to_where_they_were() -> None:
    """20,000 ids in 200 groups come and leave; nothing of them is left in the fleet, the text or memory."""
    watched = Watched(
        max_workers=WORKERS,
        max_groups=GROUPS,
        retention=RETENTION * SECOND,
        stopped_retention=STOPPED * SECOND,
    )
    renderer = Renderer(CollectorRegistry())
    empty = await rendered(watched, TEXT, renderer)
    await come_and_go(watched, renderer)  # so that what grows once has grown
    assert await rendered(watched, TEXT, renderer) == empty
    watched.fleet.take_forgotten()  # as a store does
    before = blocks()
    largest = await come_and_go(watched, renderer)
    assert await rendered(watched, TEXT, renderer) == empty
    watched.fleet.take_forgotten()
    assert largest > 15 * WORKERS
    assert (len(watched.fleet), watched.fleet.group_names()) == (0, [])
    assert abs(blocks() - before) < WORKERS // 100
