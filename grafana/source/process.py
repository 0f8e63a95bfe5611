"""Panels of what the exporter's process spends: on its event loop, on scrapes, on open pages, of the machine.

Every program that Prometheus scrapes has series of such names. While all jobs are chosen, those of the
exporter are the ones of a job and instance that has `heartbeat_build_info`.
"""

from __future__ import annotations

from grafana_foundation_sdk.builders import timeseries as lines
from grafana_foundation_sdk.models import units

from grafana.source import frame, style
from grafana.source.frame import EXPORTER


def own(metric: str) -> str:
    """The series of `metric` of the chosen exporters."""
    return only(f"{metric}{{{EXPORTER}}}")


def only(expr: str) -> str:
    """What of `expr` is about an exporter."""
    return f"{expr} and on (job, instance) heartbeat_build_info{{{EXPORTER}}}"


def sections() -> tuple[frame.Section, ...]:
    return (
        frame.Section("Event loop", ((lag(), 12, 7), (stalls(), 12, 7))),
        frame.Section("Scrapes", ((rendering(), 8, 8), (scrapes(), 8, 8), (series(), 8, 8))),
        frame.Section("Process", ((cpu(), 8, 7), (memory(), 8, 7), (files(), 8, 7))),
        frame.Section("Status page", ((viewers(), 12, 7), (viewers_lost(), 12, 7))),
    )


def lag() -> lines.Panel:
    return by_instance(
        "Event-loop lag",
        "The largest delay of the exporter's event loop in 15 seconds. Heartbeats wait as long.",
        f"max by (instance) (heartbeat_event_loop_lag_seconds{{{EXPORTER}}})",
        units.Seconds,
    )


def stalls() -> lines.Panel:
    return by_instance(
        "Share of time stalled",
        "Time in which the exporter itself did nothing: it was suspended, starved of CPU, or its event loop "
        "was blocked. Deadlines of workers are moved by as much.",
        f"sum by (instance) (rate(heartbeat_stall_seconds_total{{{EXPORTER}}}[$__rate_interval]))",
        units.PercentUnit,
    )


def rendering() -> lines.Panel:
    return style.quantiles(
        "Time to render /metrics",
        "The time within which 50%, 95% and 99% of the answers to scrapes were rendered.",
        "heartbeat_scrape_duration_seconds",
        EXPORTER,
    ).no_value("no scrapes")


def scrapes() -> lines.Panel:
    return by_instance(
        "Duration of scrapes",
        "How long scrapes took as Prometheus saw them, the way there and back included. Beyond its "
        "scrape_timeout a scrape is lost.",
        f"max by (instance) ({own('scrape_duration_seconds')})",
        units.Seconds,
    )


def series() -> lines.Panel:
    return (
        style.curves(
            "Series",
            "Series that a scrape of the exporter returned, and those of them that were new to Prometheus. "
            "Many new ones over a long time are workers that change their identity with each start.",
            unit=units.Short,
        )
        .min(0)
        .with_target(style.query(f"sum({own('scrape_samples_scraped')})", "returned"))
        .with_target(style.query(f"sum({own('scrape_series_added')})", "new", ref="B"))
        .override_by_name("returned", [style.fixed(style.BLUE), style.line("solid")])
        .override_by_name("new", [style.fixed(style.ORANGE), style.line("dash")])
        .no_value("none answers")
    )


def cpu() -> lines.Panel:
    rate = f"rate(process_cpu_seconds_total{{{EXPORTER}}}[$__rate_interval])"
    return by_instance(
        "CPU",
        "CPU time per second, as a share of one core. The exporter has one event loop: it cannot use more "
        "than about one core.",
        f"max by (instance) ({only(rate)})",
        units.PercentUnit,
    )


def memory() -> lines.Panel:
    return by_instance(
        "Memory",
        "Resident memory of the process.",
        f"max by (instance) ({own('process_resident_memory_bytes')})",
        units.BytesIEC,
    )


def files() -> lines.Panel:
    return by_instance(
        "Open files, of those allowed",
        "Each connection of a worker is an open file. At 100% no connection is accepted.",
        f"max by (instance) (({own('process_open_fds')}) / on (job, instance) process_max_fds{{{EXPORTER}}})",
        units.PercentUnit,
    )


def viewers() -> lines.Panel:
    return by_instance(
        "Open status pages",
        "Status pages that are open in a browser and kept up to date.",
        f"sum by (instance) (heartbeat_page_viewers{{{EXPORTER}}})",
        units.Short,
    )


def viewers_lost() -> lines.Panel:
    counts = "sum(increase(heartbeat_page_viewers_{}_total{{{}}}[$__rate_interval]))"
    return style.events(
        "Status pages not kept up to date",
        "Pages refused because too many were open or the exporter was ending, and pages dropped because "
        "they did not take what was sent.",
        {name: counts.format(name, EXPORTER) for name in ("refused", "dropped")},
        {"refused": style.VERMILLION, "dropped": style.ORANGE},
        none="none",
    )


def by_instance(title: str, description: str, expr: str, unit: str) -> lines.Panel:
    """A curve per exporter, from zero."""
    return (
        style.curves(title, description, unit=unit)
        .min(0)
        .with_target(style.query(expr, "{{instance}}"))
        .no_value("none answers")
    )
