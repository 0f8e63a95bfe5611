"""The values: totals, transitions, rows and records."""

from __future__ import annotations

from exporter.core.model import (
    DOWN,
    DOWN_REASONS,
    NOTHING,
    SECOND,
    UP,
    Mono,
    Now,
    Reason,
    Record,
    Row,
    Status,
    Totals,
    Transition,
    Wall,
    Worker,
    WorkerId,
)
from tests.exporter.core.scene import facts

NOON = Now(Mono(100 * SECOND), Wall(1_700_000_000.0))


def later(seconds: int) -> Now:
    return Now(Mono(NOON.mono + seconds * SECOND), Wall(NOON.wall + seconds))


def worker(status: Status = Status.REGISTERED, reason: Reason = Reason.REGISTERED) -> Worker:
    return Worker(facts(), status, reason, NOON)


def test_statuses_by_colour() -> None:
    """Alive is up; disconnected and not responding are down; the others are neither."""
    assert {Status.ALIVE} == UP
    assert {Status.DISCONNECTED, Status.NOT_RESPONDING} == DOWN
    assert set(Status) - UP - DOWN == {Status.REGISTERED, Status.CONNECTED}


def test_names_on_the_wire() -> None:
    """Statuses and reasons are called as the contract calls them."""
    assert [status.value for status in Status] == [
        "registered",
        "connected",
        "alive",
        "disconnected",
        "not_responding",
    ]
    assert [reason.value for reason in DOWN_REASONS] == [
        "never_connected",
        "timeout",
        "connection_lost",
        "shutdown",
    ]
    assert [reason.value for reason in Reason if reason not in DOWN_REASONS] == [
        "registered",
        "connected",
        "heartbeat",
        "restart",
        "leave",
        "deleted",
        "expired",
        "evicted",
    ]


def test_the_ends_of_a_life_have_names() -> None:
    """A new worker comes from none, a forgotten one goes to forgotten, between them statuses are named."""

    def names(before: Status | None, after: Status | None) -> tuple[str, str]:
        change = Transition(WorkerId("w"), "W", "g", before, after, Reason.DELETED, NOON.wall)
        return change.from_name, change.to_name

    assert names(None, Status.REGISTERED) == ("none", "registered")
    assert names(Status.ALIVE, None) == ("alive", "forgotten")


def test_totals_add_up() -> None:
    """Totals add field by field and reason by reason, in the order in which reasons came."""
    one = Totals(1, 2, 3, 4, ((Reason.TIMEOUT, 5), (Reason.SHUTDOWN, 6)))
    two = Totals(10, 20, 30, 40, ((Reason.CONNECTION_LOST, 7), (Reason.SHUTDOWN, 60)))
    assert one.plus(two) == Totals(
        11, 22, 33, 44, ((Reason.TIMEOUT, 5), (Reason.SHUTDOWN, 66), (Reason.CONNECTION_LOST, 7))
    )
    assert one.plus(NOTHING) == NOTHING.plus(one) == one


def test_a_new_worker() -> None:
    """A worker starts with nothing counted, nothing measured and no heartbeat."""
    assert worker().row(NOON) == Row(
        facts=facts(),
        status=Status.REGISTERED,
        reason=Reason.REGISTERED,
        since=NOON.wall,
        last_seen=NOON.wall,
        last_heartbeat=None,
        counted=NOTHING,
        carried=NOTHING,
        history=(),
        clock_offset=None,
        round_trip=None,
        loop_lag=None,
        checks=(),
    )


def test_up_and_the_reason_of_being_down() -> None:
    """Only alive is up, and only down statuses have a reason of being down."""

    def standing(status: Status, reason: Reason) -> tuple[bool, Reason | None]:
        row = worker(status, reason).row(NOON)
        return row.up, row.down_reason

    assert standing(Status.REGISTERED, Reason.RESTART) == (False, None)
    assert standing(Status.CONNECTED, Reason.CONNECTED) == (False, None)
    assert standing(Status.ALIVE, Reason.HEARTBEAT) == (True, None)
    assert standing(Status.DISCONNECTED, Reason.SHUTDOWN) == (False, Reason.SHUTDOWN)
    assert standing(Status.NOT_RESPONDING, Reason.TIMEOUT) == (False, Reason.TIMEOUT)


def test_time_is_counted_to_the_present() -> None:
    """Time alive and time down grow with each look, and time pending counts for neither."""
    pending, up, down = (
        worker(),
        worker(Status.ALIVE, Reason.HEARTBEAT),
        worker(Status.DISCONNECTED, Reason.SHUTDOWN),
    )
    for seconds in (2, 3):
        assert pending.row(later(seconds)).counted == NOTHING
        assert up.row(later(seconds)).counted == Totals(up=seconds * SECOND)
        assert down.row(later(seconds)).counted == Totals(down=((Reason.SHUTDOWN, seconds * SECOND),))


def test_a_record_carries_everything_on() -> None:
    """A store gets what was counted before and now in one sum, and nothing that was only measured."""
    before = Totals(heartbeats=5, restarts=1, down=((Reason.TIMEOUT, 9),))
    change = Transition(WorkerId("w"), "W", "g", Status.CONNECTED, Status.ALIVE, Reason.HEARTBEAT, NOON.wall)
    one = worker(Status.ALIVE, Reason.HEARTBEAT)
    one.carried, one.heartbeats, one.round_trip, one.history = before, 2, 0.1, (change,)
    one.last_heartbeat = NOON.wall
    assert one.row(later(4)).record() == Record(
        facts=facts(),
        status=Status.ALIVE,
        reason=Reason.HEARTBEAT,
        since=NOON.wall,
        last_seen=NOON.wall,
        last_heartbeat=NOON.wall,
        totals=Totals(7, 0, 1, 4 * SECOND, ((Reason.TIMEOUT, 9),)),
        history=(change,),
    )


def test_seconds_become_whole_nanoseconds() -> None:
    """Interval and timeout are kept as integers, so that adding them to instants is exact."""
    one = worker()
    one.learn(facts(interval=0.1, timeout=0.3))
    assert (one.interval, one.timeout) == (100_000_000, 300_000_000)
