"""Our text against the client library: its encoder over the same rows, and its parsers."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.exposition import generate_latest
from prometheus_client.openmetrics.exposition import generate_latest as generate_openmetrics
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from exporter.core.groups import Group, GroupRow, HistogramRow
from exporter.core.lifecycle import POSSIBLE_CHANGES
from exporter.core.model import Reason, Row, Status, Totals
from tests.exporter.metrics.sources import OPENMETRICS, TEXT, Listed, rendered, row

WORKER = ["worker_id", "worker", "group"]
DOWN = {"disconnected", "not_responding"}


class Oracle:
    """The same source through the library's own families, written down without looking at the catalogue."""

    def __init__(self, source: Listed) -> None:
        self.source = source

    def collect(self) -> Iterator[Metric]:
        source, rows, groups = self.source, self.source.rows, self.source.group_rows
        yield gauge("heartbeat_warming_up", [], [([], 1 if source.warming else 0)])
        yield gauge("heartbeat_workers_limit", [], [([], source.max_workers)])

        yield gauge(
            "heartbeat_workers", ["group", "status"], [([g.name, s], n) for g in groups for s, n in g.workers]
        )
        yield counter("heartbeat_heartbeats", ["group"], [([g.name], g.heartbeats) for g in groups])
        yield counter("heartbeat_late_heartbeats", ["group"], [([g.name], g.late) for g in groups])
        yield histogram("heartbeat_latency_seconds", groups, lambda g: g.latency)
        yield histogram("heartbeat_arrival_interval_seconds", groups, lambda g: g.arrival)
        yield histogram("heartbeat_detection_delay_seconds", groups, lambda g: g.detection)
        yield counter(
            "heartbeat_registrations",
            ["group", "kind"],
            [([g.name, kind], n) for g in groups for kind, n in g.registrations],
        )
        yield counter(
            "heartbeat_status_changes",
            ["group", "from", "to", "reason"],
            [
                (
                    [
                        g.name,
                        before.value if before else "none",
                        after.value if after else "forgotten",
                        why.value,
                    ],
                    n,
                )
                for g in groups
                for (before, after, why), n in g.changes
            ],
        )
        yield counter("heartbeat_identity_conflicts", ["group"], [([g.name], g.conflicts) for g in groups])

        yield of_workers(gauge, "up", rows, lambda r: r.status.value == "alive")
        yield split_workers(
            gauge,
            "status",
            ["status"],
            rows,
            lambda r: [
                ([s], r.status.value == s)
                for s in ("registered", "connected", "alive", "disconnected", "not_responding")
            ],
        )
        yield of_workers(gauge, "status_since_timestamp_seconds", rows, lambda r: r.since)
        yield split_workers(
            gauge,
            "down_reason",
            ["reason"],
            rows,
            lambda r: [([r.reason.value], 1)] if r.status.value in DOWN else [],
        )
        yield split_workers(
            gauge,
            "info",
            ["host", "port", "version"],
            rows,
            lambda r: [([r.facts.host, str(r.facts.port), r.facts.version], 1)],
        )
        yield of_workers(gauge, "boot_timestamp_seconds", rows, lambda r: r.facts.started_at)
        yield of_workers(gauge, "timeout_seconds", rows, lambda r: r.facts.timeout)
        yield of_workers(gauge, "interval_seconds", rows, lambda r: r.facts.interval)
        yield of_workers(counter, "missed_heartbeats", rows, lambda r: r.counted.missed)
        yield of_workers(counter, "restarts", rows, lambda r: r.counted.restarts)
        yield split_workers(
            gauge, "check_up", ["check"], rows, lambda r: [([n], s != "unhealthy") for n, s in r.checks]
        )
        yield split_workers(
            gauge, "check_degraded", ["check"], rows, lambda r: [([n], s == "degraded") for n, s in r.checks]
        )
        yield of_workers(gauge, "last_heartbeat_timestamp_seconds", rows, lambda r: r.last_heartbeat)
        yield of_workers(counter, "heartbeats", rows, lambda r: r.counted.heartbeats)
        yield of_workers(counter, "up_seconds", rows, lambda r: r.counted.up / 1e9)
        yield split_workers(
            counter,
            "down_seconds",
            ["reason"],
            rows,
            lambda r: [([why.value], time / 1e9) for why, time in r.counted.down],
        )
        yield of_workers(gauge, "clock_offset_seconds", rows, lambda r: r.clock_offset)
        yield of_workers(gauge, "round_trip_seconds", rows, lambda r: r.round_trip)
        yield of_workers(gauge, "event_loop_lag_seconds", rows, lambda r: r.loop_lag)


Samples = Iterable[tuple[list[str], float]]


def gauge(name: str, labels: list[str], values: Samples) -> Metric:
    family = GaugeMetricFamily(name, "", labels=labels)
    for which, value in values:
        family.add_metric(which, value)
    return family


def counter(name: str, labels: list[str], values: Samples) -> Metric:
    family = CounterMetricFamily(name, "", labels=labels)
    for which, value in values:
        family.add_metric(which, value)
    return family


def histogram(name: str, groups: Sequence[GroupRow], of: Callable[[GroupRow], HistogramRow]) -> Metric:
    family = HistogramMetricFamily(name, "", labels=["group"])
    for group in groups:
        bounds, counts, total = of(group)
        cumulative = [sum(counts[: number + 1]) for number in range(len(counts))]
        upper = [*(str(float(bound)) for bound in bounds), "+Inf"]
        family.add_metric([group.name], list(zip(upper, cumulative, strict=True)), total)
    return family


def of_workers(
    kind: Callable[..., Metric], name: str, rows: Sequence[Row], value: Callable[[Row], float | None]
) -> Metric:
    return split_workers(kind, name, [], rows, lambda r: [] if value(r) is None else [([], value(r))])


def split_workers(
    kind: Callable[..., Metric],
    name: str,
    labels: list[str],
    rows: Sequence[Row],
    values: Callable[[Row], Samples],
) -> Metric:
    return kind(
        f"heartbeat_worker_{name}",
        [*WORKER, *labels],
        [
            ([r.facts.worker_id, r.facts.name, r.facts.group, *more], value)
            for r in rows
            for more, value in values(r)
        ],
    )


def seen(metrics: Iterable[Metric]) -> list[Any]:
    """All of a text but its help: names, types and samples, in order."""
    return [
        (metric.name, metric.type, [(s.name, s.labels, s.value) for s in metric.samples])
        for metric in metrics
    ]


def thousandths(least: float, most: float) -> st.SearchStrategy[float]:
    return st.integers(round(least * 1e3), round(most * 1e3)).map(lambda number: number / 1e3)


def millionths(least: float, most: float) -> st.SearchStrategy[float]:
    return st.integers(round(least * 1e6), round(most * 1e6)).map(lambda number: number / 1e6)


nanoseconds = st.integers(0, 10**12).map(lambda microseconds: microseconds * 1000)
instants = thousandths(0, 4e9)
totals = st.builds(
    Totals,
    st.integers(0, 2**53),
    st.integers(0, 2**53),
    st.integers(0, 1000),
    nanoseconds,
    st.dictionaries(st.sampled_from(Reason), nanoseconds).map(lambda down: tuple(down.items())),
)


checks = st.dictionaries(
    st.text(max_size=8), st.sampled_from(["healthy", "degraded", "unhealthy"]), max_size=3
).map(lambda states: tuple(sorted(states.items())))


@st.composite
def worker_rows(draw: st.DrawFn) -> list[Row]:
    ids = draw(st.lists(st.text(max_size=8), unique=True, max_size=5))
    return [
        row(
            worker_id,
            about={
                "name": draw(st.text(max_size=8)),
                "group": draw(st.text(max_size=8)),
                "host": draw(st.text(max_size=8)),
                "port": draw(st.integers(1, 65535)),
                "version": draw(st.text(max_size=8)),
                "interval": draw(millionths(0.1, 3600)),
                "timeout": draw(millionths(0.1, 3600)),
                "started_at": draw(st.none() | instants),
            },
            status=draw(st.sampled_from(Status)),
            reason=draw(st.sampled_from(Reason)),
            since=draw(instants),
            last_heartbeat=draw(st.none() | instants),
            counted=draw(totals),
            carried=draw(totals),
            clock_offset=draw(st.none() | millionths(-100_000, 100_000)),
            round_trip=draw(st.none() | millionths(0, 10)),
            loop_lag=draw(st.none() | millionths(0, 10)),
            checks=draw(checks),
        )
        for worker_id in ids
    ]


@st.composite
def group_rows(draw: st.DrawFn) -> list[GroupRow]:
    rows = []
    for name in draw(st.lists(st.text(max_size=8), unique=True, max_size=2)):
        group = Group(name)
        counts = st.integers(0, 2**40)
        group.workers = {status: draw(counts) for status in Status}
        group.heartbeats, group.late, group.new, group.returning, group.conflicts = (
            draw(counts) for _ in range(5)
        )
        for change in draw(st.lists(st.sampled_from(POSSIBLE_CHANGES))):
            group.changes[change] += draw(counts)
        for each in (group.latency, group.arrival, group.detection):
            each.counts = draw(st.lists(counts, min_size=len(each.counts), max_size=len(each.counts)))
            each.sum = draw(millionths(0, 1e6))
        rows.append(group.row())
    return rows


@given(worker_rows(), group_rows(), st.booleans(), st.integers(1, 10**6))
@settings(max_examples=20, deadline=None)
def test_parses_to_what_the_clients_encoder_says_of_the_same_rows(
    rows: list[Row], groups: list[GroupRow], warming: bool, limit: int
) -> None:
    """In both formats: the same families in the same order, the same samples with the same values."""
    source = Listed(rows, groups, warming, limit)
    registry = CollectorRegistry()
    registry.register(Oracle(source))  # type: ignore[arg-type]  # it is a Collector in all but name
    for accept, parse, encode in (
        (TEXT, parse_text, generate_latest),
        (OPENMETRICS, parse_openmetrics, generate_openmetrics),
    ):
        ours = asyncio.run(rendered(source, accept))
        assert seen(parse(ours)) == seen(parse(encode(registry).decode()))


@pytest.mark.parametrize("count", [0, 1, 199, 200, 201, 450])
async def test_every_slice_ends_up_in_its_family(count: int) -> None:
    """However many slices a fleet has, a family stays in one piece and in the order of the workers."""
    rows = [row(f"w{number}", status=Status.ALIVE) for number in range(count)]
    groups = [Group(f"g{number}").row() for number in range(count // 10)]
    families = {metric.name: metric for metric in parse_text(await rendered(Listed(rows, groups)))}
    up = [sample.labels["worker_id"] for sample in families["heartbeat_worker_up"].samples]
    assert up == [f"w{number}" for number in range(count)]
    heartbeats = [sample.labels["group"] for sample in families["heartbeat_heartbeats"].samples]
    assert heartbeats == [f"g{number}" for number in range(count // 10)]
