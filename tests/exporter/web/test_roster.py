"""The whole fleet, worst first, shared by all who look."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence

import pytest

from exporter.core.model import Now, Reason, Row, Status
from exporter.web.roster import SHARED, Roster, Severity, Tally, Wanted, severity
from tests.exporter.web.rows import (
    CUT_OFF,
    HEALTHY,
    LOST,
    PENDING,
    STOPPED,
    T0,
    worker,
)
from tests.support.clock import FakeClock


class Walked:
    """A fleet of given rows, three at a time, that counts how often it was walked."""

    def __init__(self, *rows: Row) -> None:
        self.rows = rows
        self.walks = 0
        self.clock = FakeClock()

    def now(self) -> Now:
        return self.clock.now()

    async def walk(self) -> AsyncIterator[Sequence[Row]]:
        self.walks += 1
        for start in range(0, len(self.rows), 3):
            yield self.rows[start : start + 3]
            await asyncio.sleep(0)


async def order(*rows: Row, wanted: Wanted = Wanted()) -> list[str]:  # noqa: B008  # a tuple
    snapshot = await Roster(Walked(*rows)).snapshot()
    return [row.facts.worker_id for row in (await snapshot.part(wanted)).rows]


@pytest.mark.parametrize(
    ("row", "how"),
    [
        (worker(standing=LOST), Severity.LOST),
        (worker(standing=(Status.NOT_RESPONDING, Reason.NEVER_CONNECTED)), Severity.LOST),
        (worker(standing=CUT_OFF), Severity.CUT_OFF),
        (worker(checks=(("a", "degraded"), ("b", "unhealthy"))), Severity.UNHEALTHY),
        (worker(standing=PENDING), Severity.PENDING),
        (worker(standing=(Status.CONNECTED, Reason.CONNECTED)), Severity.PENDING),
        (worker(checks=(("a", "degraded"), ("b", "healthy"))), Severity.DEGRADED),
        (worker(standing=STOPPED), Severity.STOPPED),
        (worker(standing=(Status.DISCONNECTED, Reason.SHUTDOWN)), Severity.STOPPED),
        (worker(checks=HEALTHY), Severity.WELL),
        (worker(), Severity.WELL),
    ],
)
def test_severity(row: Row, how: Severity) -> None:
    """What was not planned comes before what was, and what is down before what only complains."""
    assert severity(row) is how


async def test_the_worst_first() -> None:
    """By severity; among the lost who was lost last, among all others by name, whatever its capitals."""
    assert await order(
        worker("b", about={"name": "beta"}),
        worker("a", about={"name": "Alpha"}),
        worker("stopped", STOPPED),
        worker("degraded", checks=(("db", "degraded"),)),
        worker("pending", PENDING),
        worker("unhealthy", checks=(("db", "unhealthy"),)),
        worker("cut off", CUT_OFF),
        worker("lost before", LOST, since=T0 - 10),
        worker("lost last", LOST, since=T0),
        worker("same name 2", about={"name": "same"}),
        worker("same name 1", about={"name": "same"}),
    ) == [
        *("lost last", "lost before", "cut off", "unhealthy", "pending", "degraded", "stopped"),
        *("a", "b", "same name 1", "same name 2"),
    ]


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        (Wanted(), ["w2", "w1", "w3"]),
        (Wanted("CHECK"), ["w1"]),
        (Wanted("w3"), ["w3"]),
        (Wanted("10.0"), ["w2"]),
        (Wanted(status=Status.ALIVE), ["w1", "w3"]),
        (Wanted(group="mail"), ["w3"]),
        (Wanted("w", Status.ALIVE, "shop"), ["w1"]),
        (Wanted("nothing like it"), []),
    ],
)
async def test_filters(wanted: Wanted, found: list[str]) -> None:
    """Part of a name, an id or a host in any case; a status; a group; all that is given holds."""
    fleet = (
        worker("w1", about={"name": "Checkout", "group": "shop"}),
        worker("w2", LOST, about={"name": "Search", "host": "10.0.0.1", "group": "shop"}),
        worker("w3", about={"name": "Mailer", "group": "mail"}),
    )
    assert await order(*fleet, wanted=wanted) == found


async def test_the_tally() -> None:
    """Every status and every severity is counted, those that nobody has with 0."""
    rows = (worker("a"), worker("b"), worker("c", LOST), worker("d", STOPPED), worker("e", PENDING))
    tally = (await Roster(Walked(*rows)).snapshot()).tally
    assert tally == Tally(
        (
            (Status.REGISTERED, 1),
            (Status.CONNECTED, 0),
            (Status.ALIVE, 2),
            (Status.DISCONNECTED, 0),
            (Status.NOT_RESPONDING, 2),
        ),
        (
            (Severity.LOST, 1),
            (Severity.CUT_OFF, 0),
            (Severity.UNHEALTHY, 0),
            (Severity.PENDING, 1),
            (Severity.DEGRADED, 0),
            (Severity.STOPPED, 1),
            (Severity.WELL, 2),
        ),
    )
    assert (tally.total, tally.of(Severity.LOST, Severity.STOPPED)) == (5, 2)


async def test_many_viewers_cost_one_walk() -> None:
    """All who come while it is under way, and for a short time after it began, share a snapshot."""
    fleet = Walked(*(worker(f"w{number}") for number in range(10)))
    roster = Roster(fleet)
    taken = await asyncio.gather(*(roster.snapshot() for _ in range(50)))
    fleet.clock.move(SHARED / 1e9 - 0.001)
    assert {*taken, await roster.snapshot()} == {taken[0]}
    assert fleet.walks == 1
    fleet.clock.move(0.001)
    assert await roster.snapshot() is not taken[0]
    assert fleet.walks == 2


async def test_a_viewer_that_leaves_takes_nothing_from_others() -> None:
    """Who no longer waits for a walk does not end it for those who do."""
    roster = Roster(Walked(worker()))
    first = asyncio.ensure_future(roster.snapshot())
    second = asyncio.ensure_future(roster.snapshot())
    await asyncio.sleep(0)
    first.cancel()
    assert (await second).tally.total == 1


async def test_a_walk_that_fails_is_not_the_last() -> None:
    """It fails for those who waited for it, and the next one starts anew."""

    class Failing(Walked):
        async def walk(self) -> AsyncIterator[Sequence[Row]]:
            if not self.walks:
                self.walks += 1
                raise OSError("once")
            async for rows in super().walk():
                yield rows

    roster = Roster(Failing(worker()))
    with pytest.raises(OSError, match="once"):
        await roster.snapshot()
    assert (await roster.snapshot()).tally.total == 1


async def test_filters_without_end() -> None:
    """However much is asked for within a snapshot, all of it is answered and not all of it is kept."""
    snapshot = await Roster(Walked(*(worker(f"w{number}") for number in range(40)))).snapshot()
    answers = [await snapshot.part(Wanted(f"w{number}")) for number in range(40)]
    assert [len(part.rows) for part in answers] == [1, 11, 11, 11, *[1] * 36]
    assert await snapshot.part(Wanted("w39")) == answers[39]
