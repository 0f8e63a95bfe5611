"""Round trip and clock offset by the formula of NTP."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker_agent.roundtrip import RoundTrips

BOOT = 1_795_000_000.0
"""Unix time by a true clock when the monotonic one showed zero."""


def exchange(
    trips: RoundTrips,
    at: float,
    *,
    there: float = 0.01,
    back: float = 0.01,
    handling: float = 0.0,
    exporter_ahead: float = 0.0,
) -> float:
    """Heartbeat and answer, beginning at monotonic `at`; all in seconds."""
    arrived = at + there
    answered = arrived + handling
    clock = BOOT + exporter_ahead
    return trips.add(
        sent=at,
        received=answered + back,
        exporter_received=clock + arrived,
        exporter_sent=clock + answered,
    )


def test_nothing_known() -> None:
    """Before the first answer there is no offset."""
    assert RoundTrips().clock_offset(5.0, BOOT + 5.0) is None


def test_round_trip_excludes_the_exporter() -> None:
    """What the exporter took to answer is no part of the round trip."""
    assert exchange(RoundTrips(), 0.0, there=0.02, handling=0.5, back=0.03) == pytest.approx(0.05)


def test_round_trip_is_never_negative() -> None:
    """An exporter that claims to have taken longer than we waited makes the round trip zero."""
    trips = RoundTrips()
    rtt = trips.add(sent=0.0, received=0.1, exporter_received=BOOT, exporter_sent=BOOT + 5)
    assert rtt == 0.0


@pytest.mark.parametrize("ours_ahead", [0.0, 2.5, -3600.0])
def test_positive_when_ours_is_ahead(ours_ahead: float) -> None:
    """The offset is how far our wall clock is ahead of the exporter's."""
    trips = RoundTrips()
    exchange(trips, 10.0)
    assert trips.clock_offset(10.1, BOOT + ours_ahead + 10.1) == pytest.approx(ours_ahead, abs=1e-6)


def test_step_of_our_clock() -> None:
    """When our wall clock is set, the next offset is right without a new sample."""
    trips = RoundTrips()
    exchange(trips, 10.0)
    assert trips.clock_offset(11.0, BOOT + 11.0 + 60.0) == pytest.approx(60.0, abs=1e-6)


def test_fastest_of_eight() -> None:
    """The fastest of the last eight decides; the ninth answer pushes it out."""
    trips = RoundTrips()
    exchange(trips, 0.0, there=0.001, back=0.001)
    for n in range(1, 8):
        exchange(trips, float(n), there=0.1 * n, back=0.001)
    assert trips.clock_offset(8.0, BOOT + 8.0) == pytest.approx(0.0, abs=1e-6)
    exchange(trips, 8.0, there=0.9, back=0.001)
    # Of what is left the fastest went 0.1 s there and 0.001 s back: wrong by half of the difference.
    assert trips.clock_offset(9.0, BOOT + 9.0) == pytest.approx(-0.0495, abs=1e-6)


def test_step_of_the_exporters_clock() -> None:
    """When the exporter's clock is set, the samples from before are forgotten at once."""
    trips = RoundTrips()
    exchange(trips, 0.0, there=0.001, back=0.001)
    exchange(trips, 1.0, there=0.05, back=0.05, exporter_ahead=30.0)
    assert trips.clock_offset(2.0, BOOT + 2.0) == pytest.approx(-30.0, abs=1e-6)


@given(
    st.lists(st.tuples(st.floats(0, 2), st.floats(0, 2)), min_size=1, max_size=20),
    st.floats(-1e6, 1e6),
)
def test_error_is_at_most_half_a_round_trip(paths: list[tuple[float, float]], ours_ahead: float) -> None:
    """However lopsided the ways there and back, the offset is off by half the best round trip at most."""
    trips = RoundTrips()
    for n, (there, back) in enumerate(paths):
        exchange(trips, 10.0 * n, there=there, back=back)
    offset = trips.clock_offset(500.0, BOOT + ours_ahead + 500.0)
    assert offset is not None
    best = min(there + back for there, back in paths[-8:])
    assert abs(offset - ours_ahead) <= best / 2 + 1e-5
