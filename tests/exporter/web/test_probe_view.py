"""The words for probes."""

from __future__ import annotations

import pytest

from exporter.core.probing import Failure, Phase, ProbeRow
from exporter.web import probe_view
from exporter.web.probe_view import DOWN, UNKNOWN, UP, Run, Standing, Wanted
from exporter.web.strip import State
from exporter.web.view import Badge, Choice, Fact, Instant, Tone
from tests.exporter.web.rows import T0, probe, result

FOR_T0 = Instant("for", "2023-11-14T22:13:20.000Z", "2023-11-14 22:13:20 UTC")
FAILED, WENT_WELL = result(T0, Failure.TIMEOUT), result(T0)


@pytest.mark.parametrize(
    ("counts", "tone"),
    [
        ({}, Tone("quiet", "No probe is configured.")),
        ({UP: 1}, Tone("good", "The only target is up.")),
        ({UP: 3}, Tone("good", "All 3 targets are up.")),
        ({UP: 3, UNKNOWN: 1}, Tone("wait", "1 of 4 targets is not known yet.")),
        ({UP: 3, UNKNOWN: 1, DOWN: 2}, Tone("bad", "2 of 6 targets are down.")),
        ({DOWN: 1}, Tone("bad", "1 of 1 target is down.")),
    ],
)
def test_all_of_them_in_one_sentence(counts: dict[Standing, int], tone: Tone) -> None:
    """What is wrong comes first."""
    assert probe_view.probes({UP: 0, UNKNOWN: 0, DOWN: 0, **counts}) == tone


@pytest.mark.parametrize(
    ("row", "badge", "tone"),
    [
        (
            probe(up=None),
            Badge(State.PENDING, "Not known yet", "", None),
            Tone("wait", "shop has no result yet."),
        ),
        (probe(), Badge(State.ALIVE, "Up", "", FOR_T0), Tone("good", "The target of shop is up.")),
        (
            probe("shop", True, WENT_WELL, FAILED),
            Badge(State.ALIVE, "Up", "last run failed: timeout", FOR_T0),
            Tone("warn", "The target of shop is up, but its last run failed (timeout)."),
        ),
        (
            probe("shop", False, FAILED),
            Badge(State.NOT_RESPONDING, "Down", "timeout", FOR_T0),
            Tone("bad", "The target of shop is down (timeout)."),
        ),
        (
            probe("shop", False, FAILED, WENT_WELL),
            Badge(State.NOT_RESPONDING, "Down", "last run succeeded", FOR_T0),
            Tone("bad", "The target of shop is down, though its last run succeeded."),
        ),
    ],
)
def test_one_of_them(row: ProbeRow, badge: Badge, tone: Tone) -> None:
    """How its target stands, and what its thresholds still forgive."""
    assert (probe_view.badge(row), probe_view.probe(row)) == (badge, tone)


def test_the_worst_first() -> None:
    """What is down, what is not known, what failed last time, and then all others by name."""
    rows = [
        probe("b"),
        probe("A"),
        probe("z failing", True, FAILED),
        probe("unknown", None),
        probe("down", False),
    ]
    ordered = [row.name for row in sorted(rows, key=probe_view.key)]
    assert ordered == ["down", "unknown", "z failing", "A", "b"]


@pytest.mark.parametrize(
    ("wanted", "matches"),
    [
        (Wanted(), True),
        (Wanted("SHO"), True),
        (Wanted("example.org"), True),
        (Wanted("mail"), False),
        (Wanted("shop", UP), True),
        (Wanted("shop", DOWN), False),
    ],
)
def test_filters(wanted: Wanted, matches: bool) -> None:
    """Part of a name or of a target; how it stands."""
    assert wanted.matches(probe("shop")) is matches


def test_choices() -> None:
    """All, and each way to stand with its count."""
    assert probe_view.choices({UP: 1200, UNKNOWN: 0, DOWN: 2}, Wanted(standing=DOWN)) == (
        Choice("", "All", "1,202", None, False),
        Choice("up", "Up", "1,200", State.ALIVE, False),
        Choice("unknown", "Not known yet", "0", State.PENDING, False),
        Choice("down", "Down", "2", State.NOT_RESPONDING, True),
    )


def test_a_line() -> None:
    """Its last run, and how the last twenty went."""
    line = probe_view.line(probe("shop", False, WENT_WELL, FAILED))
    assert line[:3] == ("shop", "http", "http://shop.example.org/")
    assert (line.last, line.duration) == (Instant("ago", *FOR_T0[1:]), "12 ms")
    assert line.strip.text == "1 of the last 2 runs failed"
    assert probe_view.line(probe(up=None)).last is None
    assert hash(line)


def test_facts() -> None:
    """What is probed, since when it stands as it does, and what came of all runs."""
    row = probe(
        "shop", True, FAILED, FAILED, result(T0, Failure.DNS), result(T0, certificate_expiry=T0 + 86400)
    )
    assert probe_view.facts(row) == (
        Fact("Kind", "http"),
        Fact("Target", "http://shop.example.org/", code=True),
        Fact("Since", "", Instant("ago", *FOR_T0[1:])),
        Fact("Runs", "4"),
        Fact("Failures", "1 dns, 2 timeout"),
        Fact("Certificate expires", "2023-11-15 22:13:20 UTC"),
    )
    unknown = {fact.name: fact.text for fact in probe_view.facts(probe(up=None))}
    assert (unknown["Since"], unknown["Failures"]) == ("no result yet", "none")


def test_runs() -> None:
    """Newest first, with what is known of each."""
    runs = [
        result(T0 - 1, phases=((Phase.RESOLVE, 0.001), (Phase.CONNECT, 0.02)), http_status=204),
        result(T0, Failure.STATUS, detail="503", http_status=503),
    ]
    assert probe_view.runs(runs) == (
        Run(
            Instant("", *FOR_T0[1:]),
            Badge(State.NOT_RESPONDING, "Failure", "status"),
            "503",
            "12 ms",
            "",
            "503",
        ),
        Run(
            Instant("", "2023-11-14T22:13:19.000Z", "2023-11-14 22:13:19 UTC"),
            Badge(State.ALIVE, "Success"),
            "",
            "12 ms",
            "resolve 1.0 ms, connect 20 ms",
            "204",
        ),
    )


def test_earlier_failures() -> None:
    """Those that the latest results have not room for any more; no failure is shown twice."""
    row = probe("shop", True, *(result(T0 + at, Failure.DNS if at < 3 else None) for at in range(21)))
    assert [failure.at - T0 for failure in probe_view.earlier_failures(row)] == [0]
    assert probe_view.earlier_failures(probe(up=None)) == []
