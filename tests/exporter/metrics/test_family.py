"""How a metric becomes lines."""

from __future__ import annotations

from math import inf, nan

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.openmetrics.parser import (
    text_string_to_metric_families as parse_openmetrics,
)
from prometheus_client.parser import text_string_to_metric_families as parse_text

from exporter.core.groups import HistogramRow
from exporter.metrics.family import (
    COUNT,
    DURATION,
    INSTANT,
    SETTING,
    Family,
    Kind,
    Single,
    Split,
    Spread,
    label_text,
)


def lines(family: Family[float], *things: float) -> list[str]:
    labels = [label_text(("thing",), (str(number),)) for number, _ in enumerate(things)]
    return family.lines(labels, things).splitlines()


@pytest.mark.parametrize(
    ("form", "value", "shown"),
    [
        (COUNT, 7, "7"),
        (COUNT, True, "1"),
        (COUNT, 12_345_678_901_234_567_890, "12345678901234567890"),
        (INSTANT, 1_700_000_000.1234, "1700000000.123"),
        (DURATION, 0.00000149, "0.000001"),
        (DURATION, -86_400.5, "-86400.500000"),
        (SETTING, 15.0, "15"),
        (SETTING, 0.1, "0.1"),
        (SETTING, 3599.999999, "3599.999999"),
    ],
)
def test_numbers_have_the_form_of_what_they_are(form: str, value: float, shown: str) -> None:
    """Counts are whole, instants have milliseconds, durations microseconds, settings what was set."""
    family: Family[float] = Single("m", Kind.GAUGE, "Help.", lambda thing: thing, form)
    assert lines(family, value) == [f'm{{thing="0"}} {shown}']


def test_what_has_no_value_has_no_series() -> None:
    """Neither None nor what is not a finite number makes a line, in whatever company it is."""
    single: Family[float] = Single("m", Kind.GAUGE, "Help.", lambda thing: thing or None, DURATION)
    assert lines(single, 0, nan, 1, inf, -inf) == ['m{thing="2"} 1.000000']
    split: Family[float] = Split(
        "m", Kind.GAUGE, "Help.", ("side",), lambda thing: [(("a",), thing), (("b",), 1)]
    )
    assert lines(split, nan, 2) == [
        'm{thing="0",side="b"} 1',
        'm{thing="1",side="a"} 2',
        'm{thing="1",side="b"} 1',
    ]


def test_a_histogram_is_cumulative_and_ends_with_infinity() -> None:
    """Each bucket counts what is below it too, and the last one everything."""
    family: Family[float] = Spread(
        "m", Kind.HISTOGRAM, "Help.", lambda thing: HistogramRow((0.005, 1.0, 300.0), (1, 0, 2, 4), thing)
    )
    assert lines(family, 0.25) == [
        'm_bucket{thing="0",le="0.005"} 1',
        'm_bucket{thing="0",le="1.0"} 1',
        'm_bucket{thing="0",le="300.0"} 3',
        'm_bucket{thing="0",le="+Inf"} 7',
        'm_count{thing="0"} 7',
        'm_sum{thing="0"} 0.250000',
    ]
    assert family.series == {"m_bucket": ("le",), "m_sum": (), "m_count": ()}


def test_only_openmetrics_names_a_counter_without_its_suffix() -> None:
    """The lines above the samples differ between the formats, the samples never."""
    family: Family[float] = Single("beats_total", Kind.COUNTER, "Beats.", lambda thing: thing)
    assert family.header(openmetrics=False) == "# HELP beats_total Beats.\n# TYPE beats_total counter\n"
    assert family.header(openmetrics=True) == "# HELP beats Beats.\n# TYPE beats counter\n"
    assert lines(family, 1) == ['beats_total{thing="0"} 1']


def test_the_only_thing_there_is_needs_no_labels() -> None:
    """No empty braces are shown."""
    family: Family[float] = Single("m", Kind.GAUGE, "Help.", lambda thing: thing)
    assert family.lines_without_labels(3) == "m 3\n"


@given(st.text(), st.text(alphabet='"\\\n, {}=#é✓🫀'))
def test_any_label_value_comes_back_as_it_was(name: str, odd: str) -> None:
    """Quotes, backslashes, newlines and all of UTF-8 survive the way to the parsers of both formats."""
    family: Family[float] = Single("m", Kind.GAUGE, "Help.", lambda thing: thing)
    text = family.header(openmetrics=True) + family.lines([label_text(("name", "odd"), (name, odd))], [1])
    for parse in (parse_text, parse_openmetrics):
        [metric] = parse(text + "# EOF\n")
        [sample] = metric.samples
        assert (sample.labels, sample.value) == ({"name": name, "odd": odd}, 1.0)
