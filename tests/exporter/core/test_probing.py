"""When a target is up or down, and what is remembered of it."""

from __future__ import annotations

import pytest

from exporter.core.model import Wall
from exporter.core.probing import KEPT, Debounce, Failure, History, Result


def result(number: int, failure: Failure | None = None) -> Result:
    return Result(Wall(float(number)), 0.01, failure)


def ups(debounce: Debounce, results: str) -> str:
    """What is known after each result: `+` and `-` go in and come out."""
    seen = ""
    for each in results:
        debounce.observe(each == "+")
        seen += "+" if debounce.up else "-"
    return seen


@pytest.mark.parametrize("success", [True, False])
def test_the_first_result_settles_the_start(success: bool) -> None:
    """Whatever the thresholds: nobody waits three intervals to learn how things are."""
    debounce = Debounce(failure_threshold=3, success_threshold=2)
    assert debounce.up is None
    assert debounce.observe(success)
    assert debounce.up is success


@pytest.mark.parametrize(
    ("results", "known"),
    [
        ("+--+--+", "+++++++"),
        ("+---", "+++-"),
        ("+---+-+-", "+++-----"),
        ("+---++", "+++--+"),
        ("-+-++---", "----+++-"),
    ],
)
def test_a_change_takes_so_many_results_in_a_row(results: str, known: str) -> None:
    """Three failures to go down, two successes to come up; one the other way begins the count anew."""
    assert ups(Debounce(failure_threshold=3, success_threshold=2), results) == known


def test_thresholds_of_one_follow_each_result() -> None:
    """As the daemon did that knew none."""
    assert ups(Debounce(1, 1), "+-+-") == "+-+-"


def test_only_the_deciding_result_is_a_change() -> None:
    """Those before it and those after it are none."""
    debounce = Debounce(failure_threshold=2, success_threshold=1)
    assert [debounce.observe(each == "+") for each in "++---+"] == [True, False, False, True, False, True]


def test_other_thresholds_leave_what_is_known() -> None:
    """They count from the next result on, with those before it."""
    debounce = Debounce(failure_threshold=5, success_threshold=1)
    ups(debounce, "+--")
    debounce.require(failure_threshold=3, success_threshold=2)
    assert debounce.up is True
    assert ups(debounce, "-++") == "--+"


def test_a_result_is_a_success_unless_something_failed() -> None:
    """There is no third kind."""
    assert result(1).success
    assert not result(1, Failure.DNS).success


def test_failures_outlive_successes() -> None:
    """After any number of successes the last failures are still there to be asked about."""
    history = History()
    for number in range(2 * KEPT):
        history = history.plus(result(number, Failure.TIMEOUT))
    for number in range(2 * KEPT, 5 * KEPT):
        history = history.plus(result(number))
    assert [each.at for each in history.latest] == list(range(4 * KEPT, 5 * KEPT))
    assert [each.at for each in history.failures] == list(range(KEPT, 2 * KEPT))
    assert not any(each.success for each in history.failures)
