"""The words for workers."""

from __future__ import annotations

from typing import Any

import pytest

from exporter.core.model import SECOND, Reason, Row, Status, Totals, Wall
from exporter.web import view
from exporter.web.arrangement import Part
from exporter.web.roster import Severity, Tally, Wanted
from exporter.web.strip import State
from exporter.web.view import Badge, Change, Choice, Fact, Instant, Tone
from tests.exporter.web.rows import (
    ALIVE,
    CUT_OFF,
    HEALTHY,
    LOST,
    PENDING,
    STOPPED,
    T0,
    transitions,
    worker,
)

FOR_T0 = Instant("for", "2023-11-14T22:13:20.000Z", "2023-11-14 22:13:20 UTC")
AT_T0 = Instant("", "2023-11-14T22:13:20.000Z", "2023-11-14 22:13:20 UTC")


def tally(**counts: int) -> Tally:
    """Of severities; those of statuses are what they imply."""
    severities = {severity: counts.get(severity.name.lower(), 0) for severity in Severity}
    alive = severities[Severity.WELL] + severities[Severity.UNHEALTHY] + severities[Severity.DEGRADED]
    statuses = {
        Status.REGISTERED: severities[Severity.PENDING],
        Status.CONNECTED: 0,
        Status.ALIVE: alive,
        Status.DISCONNECTED: severities[Severity.CUT_OFF],
        Status.NOT_RESPONDING: severities[Severity.LOST] + severities[Severity.STOPPED],
    }
    return Tally(tuple(statuses.items()), tuple(severities.items()))


@pytest.mark.parametrize(
    ("counts", "tone"),
    [
        ({}, Tone("quiet", "No worker has registered yet.")),
        ({"well": 1}, Tone("good", "The only worker is alive.")),
        ({"well": 1204}, Tone("good", "All 1,204 workers are alive.")),
        ({"well": 3, "lost": 1}, Tone("bad", "1 of 4 workers is down.")),
        ({"well": 3, "lost": 1, "cut_off": 1}, Tone("bad", "2 of 5 workers are down.")),
        ({"lost": 1}, Tone("bad", "The only worker is down.")),
        ({"lost": 1, "cut_off": 2}, Tone("bad", "All 3 workers are down.")),
        ({"well": 1, "pending": 1}, Tone("wait", "1 of 2 workers is alive and 1 is starting.")),
        ({"well": 3, "stopped": 2}, Tone("good", "3 of 5 workers are alive and 2 have shut down.")),
        ({"stopped": 2}, Tone("quiet", "All 2 workers have shut down.")),
        ({"well": 1, "degraded": 1}, Tone("warn", "All 2 workers are alive and 1 has failing checks.")),
        (
            {"well": 5, "lost": 1, "pending": 2, "stopped": 1, "unhealthy": 1, "degraded": 1},
            Tone(
                "bad",
                "1 of 11 workers is down, 2 are starting, 1 has shut down and 2 have failing checks.",
            ),
        ),
    ],
)
def test_the_fleet_in_one_sentence(counts: dict[str, int], tone: Tone) -> None:
    """What is wrong comes first; what was planned is not wrong."""
    assert view.fleet(tally(**counts), warming_up=False) == tone


def test_a_fleet_that_is_just_coming_back() -> None:
    """While nobody can be missed yet, that is said, for else all would seem well."""
    assert view.fleet(tally(well=2), warming_up=True) == Tone(
        "good",
        "All 2 workers are alive. The exporter has just started; whoever is missing will show soon.",
    )


def test_statuses_to_choose_from() -> None:
    """All, and each with its count; the one that is shown is marked."""
    wanted = Wanted(status=Status.ALIVE)
    assert view.statuses(tally(well=1200, lost=3), wanted) == (
        Choice("", "All", "1,203", None, False),
        Choice("alive", "Alive", "1,200", State.ALIVE, True),
        Choice("registered", "Registered", "0", State.PENDING, False),
        Choice("connected", "Connected", "0", State.PENDING, False),
        Choice("disconnected", "Disconnected", "0", State.DISCONNECTED, False),
        Choice("not_responding", "Not responding", "3", State.NOT_RESPONDING, False),
    )
    assert view.statuses(tally(), Wanted())[0].chosen


def test_groups_to_choose_from() -> None:
    """In the order of people, and with the one of a stale bookmark."""
    assert view.groups(["b", "A", "c"], Wanted(group="gone")) == ["A", "b", "c", "gone"]
    assert view.groups(["b"], Wanted(group="b")) == ["b"]


@pytest.mark.parametrize(
    ("part", "total", "said"),
    [
        (Part([], 0, 0, 1, 1), 0, ""),
        (Part([], 0, 0, 1, 1), 5, "No worker matches."),
        (Part([1], 1, 1, 1, 1), 1, "1 of 1 worker"),
        (Part([1] * 50, 51, 1200, 2, 24), 1200, "51 to 100 of 1,200 workers"),
        (Part([1] * 20, 51, 70, 2, 2), 1200, "51 to 70 of 70 that match, of 1,200 workers in all"),
    ],
)
def test_the_extent(part: Part[Any], total: int, said: str) -> None:
    """Where one is, and in how much."""
    assert view.extent(part, total, "worker", "workers") == said


@pytest.mark.parametrize(
    ("standing", "badge"),
    [
        (ALIVE, Badge(State.ALIVE, "Alive", "", FOR_T0)),
        (PENDING, Badge(State.PENDING, "Registered", "", FOR_T0)),
        ((Status.REGISTERED, Reason.RESTART), Badge(State.PENDING, "Registered", "restarted", FOR_T0)),
        (CUT_OFF, Badge(State.DISCONNECTED, "Disconnected", "connection lost", FOR_T0)),
        (LOST, Badge(State.NOT_RESPONDING, "Not responding", "timeout", FOR_T0)),
        (STOPPED, Badge(State.STOPPED, "Not responding", "shut down", FOR_T0)),
    ],
)
def test_a_badge(standing: tuple[Status, Reason], badge: Badge) -> None:
    """Status and reason; none where the status says it all. A planned end does not look like a failure."""
    assert view.badge(worker(standing=standing)) == badge


@pytest.mark.parametrize(
    ("row", "tone"),
    [
        (worker(), Tone("good", "W1 is alive.")),
        (worker(checks=HEALTHY), Tone("good", "W1 is alive.")),
        (
            worker(checks=(("db", "unhealthy"), ("mail", "degraded"))),
            Tone("warn", "W1 is alive, but unhealthy: db."),
        ),
        (worker(standing=STOPPED), Tone("quiet", "W1 has shut down.")),
        (worker(standing=PENDING), Tone("wait", "W1 is registered, and has not sent a heartbeat since.")),
        (worker(standing=CUT_OFF), Tone("bad", "W1 is disconnected: connection lost.")),
        (worker(standing=LOST), Tone("bad", "W1 is not responding: timeout.")),
    ],
)
def test_a_worker_in_one_sentence(row: Row, tone: Tone) -> None:
    """Whether all is well with it, and if not, why."""
    assert view.worker(row) == tone


def test_checks() -> None:
    """In a line the worst of them, by name as far as there is room; on its page each."""
    some = (("a", "healthy"), ("b", "degraded"), ("c", "unhealthy"))
    assert view.checks_badge(worker()) is None
    assert view.checks_badge(worker(checks=HEALTHY)) == Badge(State.ALIVE, "2 healthy")
    assert view.checks_badge(worker(checks=some)) == Badge(State.NOT_RESPONDING, "Unhealthy", "c")
    assert view.checks_badge(worker(checks=some[:2])) == Badge(State.DEGRADED, "Degraded", "b")
    many = worker(checks=tuple((name, "unhealthy") for name in "abcd"))
    assert view.checks_badge(many) == Badge(State.NOT_RESPONDING, "Unhealthy", "a, b and 2 more")
    assert view.check_badges(worker(checks=some)) == (
        Badge(State.NOT_RESPONDING, "Unhealthy", "c"),
        Badge(State.DEGRADED, "Degraded", "b"),
        Badge(State.ALIVE, "Healthy", "a"),
    )


def test_a_line() -> None:
    """Equal lines are equal whatever the time, as long as the strip has not moved on."""
    row = worker(checks=HEALTHY, round_trip=0.0014, history=transitions([(T0 - 1000, *ALIVE)]))
    line = view.line(row, Wall(T0))
    assert line[:5] == ("w1", "W1", "default", view.badge(row), True)
    assert (line.strip.text, line.round_trip) == ("Alive throughout the last 5 min", "1.4 ms")
    assert line.checks == Badge(State.ALIVE, "2 healthy")
    assert view.line(row._replace(last_heartbeat=Wall(T0 + 4)), Wall(T0 + 4.9)) == line
    assert hash(line) == hash(view.line(row, Wall(T0)))
    silent = view.line(worker(standing=PENDING, last_heartbeat=None), Wall(T0))
    assert (silent.beaten, silent.round_trip, silent.checks) == (False, "", None)


def test_facts() -> None:
    """What it says of itself; what it has not told is said to be so."""
    told = worker(
        about={
            "host": "fe80::1",
            "version": "2.1",
            "started_at": T0,
            "metrics_path": "/metrics",
            "metrics_scheme": "https",
            "labels": (("zone", "eu"),),
        }
    )
    assert view.facts(told) == (
        Fact("Id", "w1", code=True),
        Fact("Group", "default"),
        Fact("Address", "[fe80::1]:8001", code=True),
        Fact("Version", "2.1"),
        Fact("Started", "", Instant("ago", *FOR_T0[1:])),
        Fact("Interval and timeout", "5 s and 15 s"),
        Fact("Metrics", "https://[fe80::1]:8001/metrics", code=True),
        Fact("Label zone", "eu"),
    )
    untold = {fact.name: fact.text for fact in view.facts(worker())}
    assert (untold["Version"], untold["Started"], untold["Metrics"]) == (
        "not told",
        "not told",
        "none of its own",
    )


def test_figures() -> None:
    """Counts since it was first seen; a planned end does not lower its availability."""
    row = worker(
        carried=Totals(heartbeats=1000, missed=2, up=3000 * SECOND),
        counted=Totals(
            heartbeats=234,
            restarts=1,
            up=6000 * SECOND,
            down=((Reason.SHUTDOWN, 7200 * SECOND), (Reason.TIMEOUT, SECOND)),
        ),
        round_trip=0.0123,
        clock_offset=-0.004,
    )
    assert [(fact.name, fact.text) for fact in view.figures(row)] == [
        ("Availability", "99.98 %"),
        ("Time up", "2 h"),
        ("Time down", "2 h"),
        ("Heartbeats", "1,234"),
        ("Missed", "2"),
        ("Restarts", "1"),
        ("Round trip", "12 ms"),
        ("Clock offset", "-4.0 ms"),
        ("Event loop lag", "–"),
    ]
    assert view.figures(worker())[0].text == "not known yet"
    assert view.figures(worker(counted=Totals(up=SECOND)))[0].text == "100 %"


def test_changes() -> None:
    """Newest first, each with how long it lasted; the first led from nothing, and the last still lasts."""
    history = transitions(
        [(T0 - 92, *PENDING), (T0 - 90, *ALIVE), (T0 - 1, None, Reason.DELETED), (T0, *STOPPED)]
    )
    told = view.changes(history)
    assert told[0] == Change(
        AT_T0,
        Badge(State.UNKNOWN, "new"),
        Badge(State.STOPPED, "Not responding"),
        "shut down",
        "",
        FOR_T0,
    )
    assert [(change.before.name, change.after.name, change.reason, change.lasted) for change in told[1:]] == [
        ("Alive", "forgotten", "deleted", "1.0 s"),
        ("Registered", "Alive", "heartbeat", "1 min 29 s"),
        ("new", "Registered", "registered", "2.0 s"),
    ]


def test_every_status_and_reason_has_a_name() -> None:
    """A new one is given words before it is seen."""
    assert set(view.STATUS_NAMES) == set(Status)
    assert set(view.REASON_NAMES) == set(Reason)
