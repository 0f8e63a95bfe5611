"""The transition table: every pair, and every row of it as something that happens to a fleet."""

from __future__ import annotations

import textwrap
from collections.abc import Callable

import pytest

from exporter.core.lifecycle import BIRTH, POSSIBLE_CHANGES, REASONS, TRANSITIONS, Move, Outcome, Trigger
from exporter.core.model import Reason, Status
from tests.exporter.core.scene import Scene, record


def in_words(outcome: Outcome) -> str:
    if not isinstance(outcome, Move):
        return outcome.value
    return f"{outcome.to or 'forgotten'}, {outcome.reason or 'keeps its reason'}"


def test_the_table_is_total() -> None:
    """Each status names an outcome for each trigger, and nothing else."""
    pairs = [(status, trigger) for status, outcomes in TRANSITIONS.items() for trigger in outcomes]
    assert sorted(pairs) == sorted((status, trigger) for status in Status for trigger in Trigger)


def test_every_pair() -> None:
    """Each (status, trigger) moves, stays or is ignored as written here."""
    lines = []
    for status, outcomes in TRANSITIONS.items():
        lines.append(status.value)
        lines += [f"    {trigger:<62}{in_words(outcomes[trigger])}" for trigger in Trigger]
    assert "\n".join(lines) == textwrap.dedent(
        """\
        registered
            register, same or no boot_id                                  stay
            register, another boot_id                                     registered, restart
            register, another boot_id while the old socket still beats    ignore
            socket accepted                                               connected, connected
            heartbeat                                                     ignore
            goodbye                                                       ignore
            goodbye with leave                                            forgotten, leave
            socket closed                                                 ignore
            socket closed, but the exporter had stalled                   ignore
            deadline passed, socket open                                  ignore
            deadline passed, no socket                                    not_responding, never_connected
            deleted                                                       forgotten, deleted
            retention over                                                forgotten, expired
            evicted                                                       forgotten, evicted
        connected
            register, same or no boot_id                                  stay
            register, another boot_id                                     registered, restart
            register, another boot_id while the old socket still beats    ignore
            socket accepted                                               stay
            heartbeat                                                     alive, heartbeat
            goodbye                                                       disconnected, shutdown
            goodbye with leave                                            forgotten, leave
            socket closed                                                 disconnected, connection_lost
            socket closed, but the exporter had stalled                   stay
            deadline passed, socket open                                  not_responding, timeout
            deadline passed, no socket                                    not_responding, connection_lost
            deleted                                                       forgotten, deleted
            retention over                                                forgotten, expired
            evicted                                                       forgotten, evicted
        alive
            register, same or no boot_id                                  stay
            register, another boot_id                                     registered, restart
            register, another boot_id while the old socket still beats    stay
            socket accepted                                               stay
            heartbeat                                                     stay
            goodbye                                                       disconnected, shutdown
            goodbye with leave                                            forgotten, leave
            socket closed                                                 disconnected, connection_lost
            socket closed, but the exporter had stalled                   stay
            deadline passed, socket open                                  not_responding, timeout
            deadline passed, no socket                                    not_responding, connection_lost
            deleted                                                       forgotten, deleted
            retention over                                                forgotten, expired
            evicted                                                       forgotten, evicted
        disconnected
            register, same or no boot_id                                  stay
            register, another boot_id                                     registered, restart
            register, another boot_id while the old socket still beats    ignore
            socket accepted                                               connected, connected
            heartbeat                                                     ignore
            goodbye                                                       ignore
            goodbye with leave                                            forgotten, leave
            socket closed                                                 ignore
            socket closed, but the exporter had stalled                   ignore
            deadline passed, socket open                                  ignore
            deadline passed, no socket                                    not_responding, keeps its reason
            deleted                                                       forgotten, deleted
            retention over                                                forgotten, expired
            evicted                                                       forgotten, evicted
        not_responding
            register, same or no boot_id                                  stay
            register, another boot_id                                     registered, restart
            register, another boot_id while the old socket still beats    ignore
            socket accepted                                               connected, connected
            heartbeat                                                     alive, heartbeat
            goodbye                                                       stay
            goodbye with leave                                            forgotten, leave
            socket closed                                                 stay
            socket closed, but the exporter had stalled                   stay
            deadline passed, socket open                                  ignore
            deadline passed, no socket                                    ignore
            deleted                                                       forgotten, deleted
            retention over                                                forgotten, expired
            evicted                                                       forgotten, evicted"""
    )


def test_the_only_way_in() -> None:
    """A worker is born registered."""
    assert Move(Status.REGISTERED, Reason.REGISTERED) == BIRTH


def test_possible_changes() -> None:
    """What can be counted is the birth, each move of the table once, and no change without a reason."""
    forgotten = [
        (status, None, reason)
        for status in Status
        for reason in (Reason.LEAVE, Reason.DELETED, Reason.EXPIRED, Reason.EVICTED)
    ]
    restarts = [(status, Status.REGISTERED, Reason.RESTART) for status in Status]
    others = [
        (None, Status.REGISTERED, Reason.REGISTERED),
        (Status.REGISTERED, Status.CONNECTED, Reason.CONNECTED),
        (Status.REGISTERED, Status.NOT_RESPONDING, Reason.NEVER_CONNECTED),
        (Status.CONNECTED, Status.ALIVE, Reason.HEARTBEAT),
        (Status.CONNECTED, Status.DISCONNECTED, Reason.SHUTDOWN),
        (Status.CONNECTED, Status.DISCONNECTED, Reason.CONNECTION_LOST),
        (Status.CONNECTED, Status.NOT_RESPONDING, Reason.TIMEOUT),
        (Status.CONNECTED, Status.NOT_RESPONDING, Reason.CONNECTION_LOST),
        (Status.ALIVE, Status.DISCONNECTED, Reason.SHUTDOWN),
        (Status.ALIVE, Status.DISCONNECTED, Reason.CONNECTION_LOST),
        (Status.ALIVE, Status.NOT_RESPONDING, Reason.TIMEOUT),
        (Status.ALIVE, Status.NOT_RESPONDING, Reason.CONNECTION_LOST),
        (Status.DISCONNECTED, Status.CONNECTED, Reason.CONNECTED),
        (Status.DISCONNECTED, Status.NOT_RESPONDING, Reason.CONNECTION_LOST),
        (Status.DISCONNECTED, Status.NOT_RESPONDING, Reason.SHUTDOWN),
        (Status.NOT_RESPONDING, Status.CONNECTED, Reason.CONNECTED),
        (Status.NOT_RESPONDING, Status.ALIVE, Reason.HEARTBEAT),
    ]
    assert len(POSSIBLE_CHANGES) == len(set(POSSIBLE_CHANGES))
    assert set(POSSIBLE_CHANGES) == {*forgotten, *restarts, *others}


def test_reasons_by_status() -> None:
    """A status can be had for these reasons only."""
    assert {
        Status.REGISTERED: {Reason.REGISTERED, Reason.RESTART},
        Status.CONNECTED: {Reason.CONNECTED},
        Status.ALIVE: {Reason.HEARTBEAT},
        Status.DISCONNECTED: {Reason.SHUTDOWN, Reason.CONNECTION_LOST},
        Status.NOT_RESPONDING: {
            Reason.NEVER_CONNECTED,
            Reason.TIMEOUT,
            Reason.CONNECTION_LOST,
            Reason.SHUTDOWN,
        },
    } == REASONS


Step = Callable[[Scene], object]


def none(scene: Scene) -> None:
    """Nobody has registered yet."""


def registered(scene: Scene) -> None:
    scene.register(boot_id="one")


def connected(scene: Scene) -> None:
    registered(scene)
    scene.connect(1)


def alive(scene: Scene) -> None:
    connected(scene)
    scene.beat(1)


def alive_restored(scene: Scene) -> None:
    scene.restore(record(Status.ALIVE, Reason.HEARTBEAT, seen=scene.wall - 1, boot_id="one"))


def connected_restored(scene: Scene) -> None:
    scene.restore(record(Status.CONNECTED, Reason.CONNECTED, seen=scene.wall - 1, boot_id="one"))


def cut(scene: Scene) -> None:
    """Alive, but the exporter stalled so long that the agent hung up."""
    alive(scene)
    scene.stall(5)
    scene.close(1)


def stopped(scene: Scene) -> None:
    alive(scene)
    scene.goodbye(1)


def lost(scene: Scene) -> None:
    alive(scene)
    scene.close(1)


def silent(scene: Scene) -> None:
    """Not responding with its socket still open."""
    alive(scene)
    scene.after(3)


def gone(scene: Scene) -> None:
    """Not responding without a socket."""
    lost(scene)
    scene.after(3)


def register(scene: Scene) -> list[str]:
    return scene.register(boot_id="one")


def socket_accepted(scene: Scene) -> list[str]:
    return scene.connect(2)


def heartbeat(scene: Scene) -> list[str]:
    return scene.beat(1)


def goodbye(scene: Scene) -> list[str]:
    return scene.goodbye(1)


def goodbye_with_leave(scene: Scene) -> list[str]:
    return scene.goodbye(1, leave=True)


def socket_closed(scene: Scene) -> list[str]:
    return scene.close(1)


def deadline_passed(scene: Scene) -> list[str]:
    return scene.after(18)


STAYS = ""

ROWS = [
    # from            in               becomes
    (none, register, "none -> registered, registered"),
    (registered, socket_accepted, "registered -> connected, connected"),
    (stopped, socket_accepted, "disconnected -> connected, connected"),
    (lost, socket_accepted, "disconnected -> connected, connected"),
    (gone, socket_accepted, "not_responding -> connected, connected"),
    (silent, socket_accepted, "not_responding -> connected, connected", "close 1: replaced"),
    (connected, socket_accepted, STAYS, "close 1: replaced"),
    (alive, socket_accepted, STAYS, "close 1: replaced"),
    (alive_restored, socket_accepted, STAYS),
    (cut, socket_accepted, STAYS),
    (connected, heartbeat, "connected -> alive, heartbeat"),
    (silent, heartbeat, "not_responding -> alive, heartbeat"),
    (alive, heartbeat, STAYS),
    (connected, goodbye, "connected -> disconnected, shutdown"),
    (alive, goodbye, "alive -> disconnected, shutdown"),
    (connected, socket_closed, "connected -> disconnected, connection_lost"),
    (alive, socket_closed, "alive -> disconnected, connection_lost"),
    (silent, goodbye, STAYS),
    (silent, socket_closed, STAYS),
    (connected, deadline_passed, "connected -> not_responding, timeout"),
    (alive, deadline_passed, "alive -> not_responding, timeout"),
    (alive_restored, deadline_passed, "alive -> not_responding, connection_lost"),
    (connected_restored, deadline_passed, "connected -> not_responding, connection_lost"),
    (cut, deadline_passed, "alive -> not_responding, connection_lost"),
    (stopped, deadline_passed, "disconnected -> not_responding, shutdown"),
    (lost, deadline_passed, "disconnected -> not_responding, connection_lost"),
    (registered, deadline_passed, "registered -> not_responding, never_connected"),
    (silent, deadline_passed, STAYS),
    (gone, deadline_passed, STAYS),
]

WAYS_TO: dict[Step, tuple[str, list[str]]] = {
    # how to get there: what it is called there, and what goodbye to the socket it has there
    registered: ("registered, registered", []),
    connected: ("connected, connected", ["close 1: {cause}"]),
    alive: ("alive, heartbeat", ["close 1: {cause}"]),
    alive_restored: ("alive, heartbeat", []),
    cut: ("alive, heartbeat", []),
    stopped: ("disconnected, shutdown", []),
    lost: ("disconnected, connection_lost", []),
    silent: ("not_responding, timeout", ["close 1: {cause}"]),
    gone: ("not_responding, connection_lost", []),
}


def name(value: object) -> str | None:
    return getattr(value, "__name__", None)


@pytest.mark.parametrize(
    ("way", "happens", "change", "sockets"), [(*row[:3], list(row[3:])) for row in ROWS], ids=name
)
def test_rows(way: Step, happens: Step, change: str, sockets: list[str]) -> None:
    """Each row of the table holds in a fleet: what is told, and how the worker stands then."""
    scene = Scene()
    way(scene)
    before = scene.state() if "w" in scene.fleet else ""
    assert happens(scene) == sockets + ([f"w: {change}"] if change else [])
    assert scene.state() == (change.split(" -> ")[1] if change else before)


@pytest.mark.parametrize("boot_id", ["one", None])
@pytest.mark.parametrize("way", WAYS_TO)
def test_registering_again(way: Step, boot_id: str | None) -> None:
    """In any status, the same or no boot_id changes nothing but the facts."""
    scene = Scene()
    way(scene)
    assert scene.register(boot_id=boot_id, version="2") == []
    assert scene.state() == WAYS_TO[way][0]
    assert scene.row().facts.version == "2"


@pytest.mark.parametrize("way", [way for way in WAYS_TO if way is not alive])
def test_restarting(way: Step) -> None:
    """In any status, another boot_id is a restart, and the old socket goes."""
    scene = Scene()
    way(scene)
    state, socket = WAYS_TO[way]
    status = state.split(",")[0]
    assert scene.register(boot_id="two") == [
        f"w: {status} -> registered, restart",
        *(text.format(cause="replaced") for text in socket),
    ]
    assert scene.state() == "registered, restart"
    assert scene.row().counted.restarts == 1


def test_another_process_while_the_old_one_beats() -> None:
    """Another boot_id while the old socket still beats is a conflict, counted, and no restart."""
    scene = Scene()
    alive(scene)
    assert scene.register(boot_id="two") == ["conflict: w"]
    assert scene.state() == "alive, heartbeat"
    assert scene.row().counted.restarts == 0
    assert scene.group().conflicts == 1
    assert scene.beat(1) == []


@pytest.mark.parametrize("way", WAYS_TO)
def test_deleting(way: Step) -> None:
    """A worker in any status can be deleted; its socket is closed."""
    scene = Scene()
    way(scene)
    state, socket = WAYS_TO[way]
    assert scene.delete() == [
        *(text.format(cause="forgotten") for text in socket),
        f"w: {state.split(',')[0]} -> forgotten, deleted",
    ]
    assert scene.fleet.ids() == []


@pytest.mark.parametrize("way", [connected, alive, silent])
def test_leaving(way: Step) -> None:
    """A goodbye with leave makes the fleet forget a worker in any status that has a socket."""
    scene = Scene()
    way(scene)
    status = WAYS_TO[way][0].split(",")[0]
    assert scene.goodbye(1, leave=True) == [f"w: {status} -> forgotten, leave"]
    assert scene.fleet.ids() == []


@pytest.mark.parametrize(("way", "kept"), [(gone, 86_400), (silent, 86_400), (stopped, 3_600)])
def test_expiring(way: Step, kept: int) -> None:
    """Retention over, a worker is forgotten; a socket that it still has is closed."""
    scene = Scene()
    way(scene)
    scene.after(3)
    socket = [text.format(cause="forgotten") for text in WAYS_TO[way][1]]
    assert scene.after(kept) == [*socket, "w: not_responding -> forgotten, expired"]
    assert scene.fleet.ids() == []


@pytest.mark.parametrize("way", [stopped, lost, silent, gone])
def test_being_evicted(way: Step) -> None:
    """A worker that is down makes room for a newcomer."""
    scene = Scene(max_workers=1)
    way(scene)
    state, socket = WAYS_TO[way]
    assert scene.register("newcomer") == [
        *(text.format(cause="forgotten") for text in socket),
        f"w: {state.split(',')[0]} -> forgotten, evicted",
        "newcomer: none -> registered, registered",
    ]


LATE = [heartbeat, goodbye, goodbye_with_leave, socket_closed]


@pytest.mark.parametrize("late", LATE)
@pytest.mark.parametrize("way", [registered, stopped, lost, gone, alive_restored, cut])
def test_late_news_without_a_socket(way: Step, late: Step) -> None:
    """What comes from a socket that a worker no longer has is ignored and counted, in every status."""
    scene = Scene()
    way(scene)
    before = scene.row()
    assert late(scene) == ["discarded: stale_connection"]
    assert scene.row() == before


@pytest.mark.parametrize("late", LATE)
def test_late_news_of_a_replaced_socket(late: Step) -> None:
    """What comes from a replaced socket harms nobody."""
    scene = Scene()
    alive(scene)
    scene.connect(2)
    before = scene.row()
    assert late(scene) == ["discarded: stale_connection"]
    assert scene.row() == before
    assert scene.beat(2) == []
