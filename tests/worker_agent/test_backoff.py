"""The delays between attempts."""

from __future__ import annotations

from itertools import islice

from hypothesis import given
from hypothesis import strategies as st

from worker_agent.backoff import delays


def test_range_doubles_up_to_the_largest() -> None:
    """Each delay is drawn from all of one second to a ceiling that doubles up to fifteen seconds."""
    ranges: list[tuple[float, float]] = []

    def uniform(low: float, high: float) -> float:
        ranges.append((low, high))
        return high

    assert list(islice(delays(uniform), 6)) == [2.0, 4.0, 8.0, 15.0, 15.0, 15.0]
    assert ranges == [(1.0, 2.0), (1.0, 4.0), (1.0, 8.0), (1.0, 15.0), (1.0, 15.0), (1.0, 15.0)]


@given(st.randoms(use_true_random=False))
def test_bounds(random: object) -> None:
    """No delay is below one second or above fifteen."""
    uniform = random.uniform  # type: ignore[attr-defined]
    assert all(1.0 <= delay <= 15.0 for delay in islice(delays(uniform), 50))
