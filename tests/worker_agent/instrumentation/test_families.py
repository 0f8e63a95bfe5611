"""Pages of several slots made into one."""

from __future__ import annotations

import math

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
    Metric,
    Sample,
    StateSetMetricFamily,
)
from prometheus_client.openmetrics.exposition import generate_latest as generate_openmetrics

from worker_agent.instrumentation.families import Page, add, merge


class Fixed(CollectorRegistry):
    def __init__(self, families: dict[str, Metric]) -> None:
        super().__init__()
        self._families = families

    def collect(self) -> list[Metric]:
        return list(self._families.values())


def counter(name: str, **values: float) -> Metric:
    family = CounterMetricFamily(name, f"Help of {name}.", labels=["kind"])
    for kind, value in values.items():
        family.add_metric([kind], value)
    return family


def gauge(name: str, value: float) -> Metric:
    return GaugeMetricFamily(name, f"Help of {name}.", value=value)


def histogram(*counts: int, total: float) -> Metric:
    bounds = ["0.1", "1.0", "+Inf"]
    return HistogramMetricFamily(
        "took_seconds", "How long it took.", buckets=list(zip(bounds, counts, strict=True)), sum_value=total
    )


def page(*families: Metric) -> Page:
    return Page(frozenset(family.name for family in families), list(families))


PAGES = {
    1: page(counter("beats", ok=2, lost=1), gauge("connected", 0), histogram(0, 1, 3, total=9.5)),
    0: page(counter("beats", ok=40), gauge("connected", 1), histogram(5, 6, 6, total=1.25)),
    2: page(counter("python_gc", young=7), gauge("process_open_fds", 12), counter("beats", ok=100)),
}

MERGED = """\
# HELP beats_total Help of beats.
# TYPE beats_total counter
beats_total{kind="ok"} 142.0
beats_total{kind="lost"} 1.0
# HELP connected Help of connected.
# TYPE connected gauge
connected{slot="0"} 1.0
connected{slot="1"} 0.0
# HELP took_seconds How long it took.
# TYPE took_seconds histogram
took_seconds_bucket{le="0.1"} 5.0
took_seconds_bucket{le="1.0"} 7.0
took_seconds_bucket{le="+Inf"} 9.0
took_seconds_count 9.0
took_seconds_sum 10.75
# HELP python_gc_total Help of python_gc.
# TYPE python_gc_total counter
python_gc_total{kind="young",slot="2"} 7.0
# HELP process_open_fds Help of process_open_fds.
# TYPE process_open_fds gauge
process_open_fds{slot="2"} 12.0
"""


def test_merge() -> None:
    """Counters and histograms are added up; gauges and what is about a process have its slot."""
    assert generate_latest(Fixed(merge(PAGES, frozenset({0, 1, 2})))).decode() == MERGED


def test_dead_slots() -> None:
    """A dead slot's counts are still in the totals; nothing else of it is there."""
    lines = generate_latest(Fixed(merge(PAGES, frozenset({1})))).decode().splitlines()
    assert [line for line in lines if not line.startswith(("#", "took_"))] == [
        'beats_total{kind="ok"} 142.0',
        'beats_total{kind="lost"} 1.0',
        'connected{slot="1"} 0.0',
    ]


def test_a_label_of_that_name() -> None:
    """A label that an application calls `slot` gives way, as it would to one of the target."""
    family = GaugeMetricFamily("parked", "Parked cars.", labels=["slot"])
    family.add_metric(["A7"], 1)
    (merged,) = merge({3: page(family)}, frozenset({3})).values()
    assert merged.samples == [Sample("parked", {"exported_slot": "A7", "slot": "3"}, 1)]


def test_other_types() -> None:
    """Facts and states keep their types, one of each slot."""
    info = InfoMetricFamily("build", "Build.", value={"version": "1"})
    states = StateSetMetricFamily("door", "Door.", {"open": True, "shut": False})
    text = generate_openmetrics(Fixed(merge({0: page(info, states)}, frozenset({0})))).decode()
    assert text.splitlines() == [
        "# HELP build Build.",
        "# TYPE build info",
        'build_info{slot="0",version="1"} 1.0',
        "# HELP door Door.",
        "# TYPE door stateset",
        'door{door="open",slot="0"} 1.0',
        'door{door="shut",slot="0"} 0.0',
        "# EOF",
    ]


def test_releases_that_disagree() -> None:
    """Where two processes run different releases, a family has the type that the lower slot gives it."""
    pages = {0: page(gauge("size", 3)), 1: page(counter("size", kind=4))}
    (merged,) = merge(pages, frozenset({0, 1})).values()
    assert merged.samples == [Sample("size", {"slot": "0"}, 3)]


def test_instants_are_not_added() -> None:
    """When a counter was created is no part of a total."""
    family = CounterMetricFamily("beats", "Beats.", value=2, created=1.7e9)
    assert add([family, family]).samples == [Sample("beats_total", {}, 4)]


def test_a_page_survives_its_file() -> None:
    """What is read is what was written, numbers that are none and odd names included."""
    odd = GaugeMetricFamily("odd", 'Back\\slash, "quote",\nline.', labels=["path"])
    for path, value in (("/ü\n", math.inf), ('"', -math.inf), ("", 0.1)):
        odd.add_metric([path], value)
    written = page(odd, counter("beats", ok=1), histogram(1, 2, 3, total=0.5), Metric("empty", "", "counter"))
    read = Page.from_json(written.to_json())
    assert read == written
    nan = Page.from_json(page(gauge("nan", math.nan)).to_json())
    assert math.isnan(nan.families[0].samples[0].value)


def test_totals_for_a_successor() -> None:
    """A successor goes on from the totals and knows all names; what was about its predecessor is gone."""
    totals = PAGES[2].totals()
    assert totals.names == {"python_gc", "process_open_fds", "beats"}
    assert [family.name for family in totals.families] == ["beats"]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "7",
        "{}",
        '{"names": 1, "families": []}',
        '{"names": [], "families": [1]}',
        '{"names": [], "families": [["a", "", "counter", ""]]}',
        '{"names": [], "families": [["a", "", "nonsense", "", []]]}',
        '{"names": [], "families": [["a", "", "counter", "", [["a_total", 1, 1]]]]}',
        '{"names": [], "families": [["a", "", "counter", "", [["a_total", {}, "x"]]]]}',
        '{"names": [], "families": [["a", "", "counter", "", [["a_total", {}, null]]]]}',
    ],
)
def test_what_is_no_page(text: str) -> None:
    """Half a file, or somebody else's, is told by one kind of error."""
    with pytest.raises(ValueError, match=r"^not a page of metrics: "):
        Page.from_json(text)
