"""Panels of heartbeats as they arrive, and of workers that come and go.

All of it is counted by group, so that no query depends on the number of workers but that of restarts.
"""

from __future__ import annotations

from grafana_foundation_sdk.builders import heatmap
from grafana_foundation_sdk.builders import timeseries as lines
from grafana_foundation_sdk.models import units

from grafana.source import frame, style
from grafana.source.frame import WORKERS


def sections() -> tuple[frame.Section, ...]:
    return (
        frame.Section(
            "Heartbeats",
            (
                (latency_map(), 12, 8),
                (arrival_map(), 12, 8),
                (latency(), 8, 7),
                (on_time(), 8, 7),
                (detection(), 8, 7),
            ),
        ),
        frame.Section("Coming and going", ((registrations(), 12, 7), (restarts(), 12, 7))),
    )


def latency_map() -> heatmap.Panel:
    return style.buckets(
        "Latencies of heartbeats",
        "Heartbeats by the time from sending to receipt, corrected for the worker's clock; only those with "
        "a fresh measurement of that clock count.",
        "heartbeat_latency_seconds",
        WORKERS,
    ).no_value("no heartbeats")


def arrival_map() -> heatmap.Panel:
    return style.buckets(
        "Intervals between heartbeats",
        "Heartbeats by the time since the one before of the same worker. A fleet at rest is one line at its "
        "interval; what lies above came late.",
        "heartbeat_arrival_interval_seconds",
        WORKERS,
    ).no_value("no heartbeats")


def latency() -> lines.Panel:
    return style.quantiles(
        "Latency of most heartbeats",
        "The time within which 50%, 95% and 99% of the heartbeats came.",
        "heartbeat_latency_seconds",
        WORKERS,
    )


def on_time() -> lines.Panel:
    late = f"sum(rate(heartbeat_late_heartbeats_total{{{WORKERS}}}[$__rate_interval]))"
    every = f"sum(rate(heartbeat_heartbeats_total{{{WORKERS}}}[$__rate_interval]))"
    return (
        style.curves(
            "Share of heartbeats on time",
            "Heartbeats that came no later than one and a half intervals after the one before.",
            unit=units.PercentUnit,
        )
        .max(1)
        .axis_soft_min(0.9)
        .with_target(style.query(f"1 - {late} / ({every} > 0)", "on time"))
        .override_by_name("on time", [style.fixed(style.UP)])
        .no_value("no heartbeats")
    )


def detection() -> lines.Panel:
    return style.quantiles(
        "Detection delay",
        "Time from the deadline of a silent worker, without what stalls of the exporter added, to its being "
        "declared down. Empty while none falls silent.",
        "heartbeat_detection_delay_seconds",
        WORKERS,
    ).no_value("no worker fell silent")


def registrations() -> lines.Panel:
    return style.events(
        "Registrations",
        "Registrations accepted within each step of the graph, of new workers and of those that return. A "
        "conflict is one under the identity of a worker that was still sending heartbeats.",
        {
            "{{kind}}": "sum by (kind) "
            f"(increase(heartbeat_registrations_total{{{WORKERS}}}[$__rate_interval]))",
            "conflict": f"sum(increase(heartbeat_identity_conflicts_total{{{WORKERS}}}[$__rate_interval]))",
        },
        {"new": style.SKY, "returning": style.BLUE, "conflict": style.BAD},
        none="no registrations",
    )


def restarts() -> lines.Panel:
    return style.events(
        "Restarts",
        "Workers that came back as a new process within each step of the graph.",
        {"restarts": f"sum(increase(heartbeat_worker_restarts_total{{{WORKERS}}}[$__rate_interval]))"},
        {"restarts": style.STOPPED},
        none="no restarts",
    ).max_data_points(240)
