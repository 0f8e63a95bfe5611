"""Many rows in order, a page at a time."""

from __future__ import annotations

import asyncio

import pytest

from exporter.web.arrangement import PAGE, Arrangement, Part


def arrangement(count: int, slices: int = 3) -> Arrangement[int]:
    """The numbers from 0, dealt out like cards."""
    return Arrangement([[((number,), number) for number in range(count)[at::slices]] for at in range(slices)])


@pytest.mark.parametrize(
    ("asked", "part"),
    [
        (1, Part(list(range(50)), 1, 120, 1, 3)),
        (2, Part(list(range(50, 100)), 51, 120, 2, 3)),
        (3, Part(list(range(100, 120)), 101, 120, 3, 3)),
        (4, Part(list(range(100, 120)), 101, 120, 3, 3)),
        (0, Part(list(range(50)), 1, 120, 1, 3)),
    ],
)
async def test_pages(asked: int, part: Part[int]) -> None:
    """Each row is on one page; beyond the last one is the last one."""
    assert PAGE == 50
    assert await arrangement(120).part(asked) == part


async def test_nothing() -> None:
    """There is always a page to show, if only an empty one."""
    assert await Arrangement[int]([]).part(1) == Part([], 0, 0, 1, 1)


async def test_in_any_order() -> None:
    """Who asks for a late page first gets the early ones as well, also both at once."""
    many = arrangement(5000, 25)
    late, early = await asyncio.gather(many.part(100), many.part(2))
    assert (list(late.rows), list(early.rows)) == (list(range(4950, 5000)), list(range(50, 100)))


async def test_some_of_them() -> None:
    """Those that match, in the same order, from a few or from many."""
    even = await arrangement(5000).only(lambda number: number % 2 == 0)
    assert await even.part(50) == Part(list(range(4900, 5000, 2)), 2451, 2500, 50, 50)
    assert await (await even.only(lambda number: number < 3)).part(1) == Part([0, 2], 1, 2, 1, 1)


async def test_others_have_their_turn() -> None:
    """Neither to filter nor to get to the last page holds the event loop until it is done."""
    turns = 0

    async def other() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    task = asyncio.create_task(other())
    await (await arrangement(10_000, 50).only(lambda number: True)).part(200)
    task.cancel()
    assert turns > 10_000 / 200
