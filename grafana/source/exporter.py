"""Is the exporter itself well: whom it hears, what it turns away, what it keeps, and what that costs.

There are few exporters, so curves are by instance; what has a reason is summed over them.
"""

from __future__ import annotations

from collections.abc import Mapping

from grafana_foundation_sdk.builders import dashboard, stat
from grafana_foundation_sdk.builders import timeseries as lines
from grafana_foundation_sdk.models import units
from grafana_foundation_sdk.models.common import BigValueTextMode

from grafana.source import frame, process, style
from grafana.source.frame import EXPORTER

UID = "heartbeat-exporter"

CLOSED_COLORS = {
    "goodbye": style.GREEN,
    "lost": style.ORANGE,
    "replaced": style.SKY,
    "forgotten": style.GREY,
    "abuse": style.VERMILLION,
    "size": style.BLUE,
    "shutdown": style.PINK,
}
REFUSED_COLORS = {
    "unknown": style.ORANGE,
    "loading": style.SKY,
    "full": style.VERMILLION,
    "invalid": style.PINK,
    "groups": style.BLUE,
}
REJECTED_COLORS = {
    "json": style.ORANGE,
    "type": style.SKY,
    "field": style.PINK,
    "size": style.BLUE,
    "stale_connection": style.GREY,
    "latency": style.GREEN,
}
FAILURE_COLORS = {
    "load": style.BLUE,
    "save": style.ORANGE,
    "forget": style.SKY,
    "lease": style.VERMILLION,
    "quarantined": style.PINK,
    "dropped": style.GREY,
}


def build() -> dashboard.Dashboard:
    made = frame.board(
        UID, "Exporter", "Whether the exporter itself is well, and what it costs.", refresh="30s"
    ).annotation(frame.firing_marks('group=""'))
    return frame.fill(
        made,
        frame.Section(
            "Now",
            (
                (answering(), 3, 4),
                (version(), 3, 4),
                (running(), 3, 4),
                (judging(), 3, 4),
                (store(), 3, 4),
                (configuration(), 3, 4),
                (configuration_age(), 3, 4),
                (filled(), 3, 4),
            ),
        ),
        frame.Section("Connections", ((connections(), 8, 8), (closed(), 8, 8), (refused(), 8, 8))),
        frame.Section(
            "Messages", ((heartbeats(), 8, 8), (rejected(), 8, 8), (registrations_refused(), 8, 8))
        ),
        frame.Section("Store", ((pending(), 8, 8), (flushes(), 8, 8), (failures(), 8, 8))),
        *process.sections(),
    )


def answering() -> stat.Panel:
    return (
        value("Exporters", "Exporters that answered the last scrape.")
        .mappings(style.states({0: ("none answers", style.BAD)}))
        .thresholds(style.steps((None, style.BAD), (1, style.GOOD)))
        .with_target(style.instant(f"sum(heartbeat_build_info{{{EXPORTER}}}) or vector(0)"))
    )


def version() -> stat.Panel:
    return (
        style.numbers("Version", "The version of the exporter and that of Python under it.")
        .text_mode(BigValueTextMode.NAME)
        .with_target(
            style.instant(
                f"sum by (version, python_version) (heartbeat_build_info{{{EXPORTER}}})",
                "{{version}} on Python {{python_version}}",
            )
        )
        .no_value("none answers")
    )


def running() -> stat.Panel:
    started = process.own("process_start_time_seconds")
    return (
        value("Running for", "Time since the exporter that started last did so.", unit=units.Seconds)
        .with_target(style.instant(style.elapsed(f"time() - max({started})")))
        .no_value("none answers")
    )


def judging() -> stat.Panel:
    return state(
        "Judgement",
        "While it warms up after a start, restored workers have time to come back before they are judged.",
        f"max(heartbeat_warming_up{{{EXPORTER}}})",
        {0: ("as usual", style.GOOD), 1: ("warming up", style.WARN)},
    )


def store() -> stat.Panel:
    return state(
        "Store",
        "Whether the last attempt to reach the store succeeded.",
        f"min(heartbeat_store_up{{{EXPORTER}}})",
        {1: ("up", style.GOOD), 0: ("down", style.BAD)},
    )


def configuration() -> stat.Panel:
    return state(
        "Configuration",
        "Whether the configuration file was good when it was last read. One that is not is left aside, and "
        "the one before stays in force.",
        f"min(heartbeat_config_last_reload_successful{{{EXPORTER}}})",
        {1: ("in force", style.GOOD), 0: ("left aside", style.BAD)},
    )


def configuration_age() -> stat.Panel:
    read = f"max(heartbeat_config_last_reload_success_timestamp_seconds{{{EXPORTER}}} > 0)"
    return (
        value("Configuration read", "When the one in force was read.", unit=units.DateTimeFromNow)
        .with_target(style.instant(f"1000 * {read}"))
        .no_value("never")
    )


def filled() -> stat.Panel:
    return (
        value(
            "Registry filled",
            "Workers that are known, of those that the registry has room for. A full one refuses new "
            "workers.",
            unit=units.PercentUnit,
        )
        .decimals(1)
        .thresholds(style.steps((None, style.GOOD), (0.8, style.WARN), (0.95, style.BAD)))
        .with_target(
            style.instant(
                f"(sum(heartbeat_workers{{{EXPORTER}}}) or vector(0))"
                f" / sum(heartbeat_workers_limit{{{EXPORTER}}})"
            )
        )
        .no_value("none answers")
    )


def connections() -> lines.Panel:
    panel = (
        style.curves(
            "Open connections",
            "Connections of workers that are open, workers that are alive, and connections accepted within "
            "each step of the graph. Each worker that is alive has a connection.",
            unit=units.Short,
        )
        .min(0)
        .interval(style.COUNTED_EVERY)
        .with_target(style.query(f"sum(heartbeat_connections{{{EXPORTER}}})", "open"))
        .with_target(
            style.query(f'sum(heartbeat_workers{{{EXPORTER}, status="alive"}})', "workers alive", ref="B")
        )
        .with_target(
            style.query(
                f"sum(increase(heartbeat_connections_opened_total{{{EXPORTER}}}[$__rate_interval]))",
                "opened",
                ref="C",
            )
        )
        .override_by_name("open", [style.fixed(style.BLUE), style.line("solid")])
        .override_by_name("workers alive", [style.fixed(style.GREEN), style.line("dash")])
        .override_by_name("opened", [style.fixed(style.ORANGE), style.line("dot")])
    )
    return panel.no_value("none answers")


def closed() -> lines.Panel:
    return by_reason(
        "Connections closed, by reason",
        "Connections that ended within each step of the graph: by a goodbye of the worker, lost, replaced by "
        "a newer one, with a worker that was forgotten, for abuse, for the size of a message, or by the end "
        "of the exporter.",
        "heartbeat_connections_closed_total",
        CLOSED_COLORS,
        none="none was closed",
    )


def refused() -> lines.Panel:
    return by_reason(
        "Connections refused, by reason",
        "Connections that were not accepted: of a worker that is not registered, while the registry was "
        "being loaded, or because there were too many.",
        "heartbeat_connections_refused_total",
        REFUSED_COLORS,
        none="none was refused",
    )


def heartbeats() -> lines.Panel:
    return (
        style.curves(
            "Heartbeats per second",
            "Heartbeats received per second. A fleet of 1,000 workers that send one every 5 s makes 200.",
            unit=units.MessagesPerSecond,
        )
        .min(0)
        .with_target(
            style.query(
                f"sum by (instance) (rate(heartbeat_heartbeats_total{{{EXPORTER}}}[$__rate_interval]))",
                "{{instance}}",
            )
        )
        .no_value("no heartbeats")
    )


def rejected() -> lines.Panel:
    return by_reason(
        "Rejected messages, by reason",
        "Messages of workers, or fields of messages, that were left out of account within each step of the "
        "graph.",
        "heartbeat_messages_rejected_total",
        REJECTED_COLORS,
        none="none was rejected",
    )


def registrations_refused() -> lines.Panel:
    return by_reason(
        "Registrations refused, by reason",
        "Registrations that were not valid, or for which there was no room for a worker or a group, or that "
        "came while the registry was being loaded.",
        "heartbeat_registration_failures_total",
        REFUSED_COLORS,
        none="none was refused",
    )


def pending() -> lines.Panel:
    return (
        style.curves(
            "Changes to be written",
            "Changes that the store has still to learn of. It grows while the store is away.",
            unit=units.Short,
        )
        .min(0)
        .with_target(
            style.query(f"sum by (instance) (heartbeat_store_pending_writes{{{EXPORTER}}})", "{{instance}}")
        )
        .no_value("none answers")
    )


def flushes() -> lines.Panel:
    return style.quantiles(
        "Time to write to the store",
        "The time within which 50%, 95% and 99% of the batches of changes were written.",
        "heartbeat_store_flush_duration_seconds",
        EXPORTER,
    ).no_value("nothing was written")


def failures() -> lines.Panel:
    counts = "sum(increase(heartbeat_store_{}_total{{{}}}[$__rate_interval]))"
    return style.events(
        "Store failures",
        "Operations that failed, records put aside because they could not be read (quarantined), and "
        "transitions that never reached the store because too many were waiting (dropped).",
        {
            "{{operation}}": counts.replace("sum", "sum by (operation) ").format("failures", EXPORTER),
            "quarantined": counts.format("quarantined", EXPORTER),
            "dropped": counts.format("dropped", EXPORTER),
        },
        FAILURE_COLORS,
        none="nothing failed",
    )


def by_reason(
    title: str, description: str, counter: str, colors: Mapping[str, str], *, none: str
) -> lines.Panel:
    counts = f"sum by (reason) (increase({counter}{{{EXPORTER}}}[$__rate_interval]))"
    return style.events(title, description, {"{{reason}}": counts}, colors, none=none)


def value(title: str, description: str, *, unit: str = units.Short) -> stat.Panel:
    """One large figure, which the panel's title names."""
    return style.numbers(title, description, unit=unit).text_mode(BigValueTextMode.VALUE)


def state(title: str, description: str, expr: str, names: Mapping[int, tuple[str, str]]) -> stat.Panel:
    """One of a few states, in words."""
    return (
        value(title, description, unit=units.NoUnit)
        .mappings(style.states(names))
        .with_target(style.instant(expr))
        .no_value("none answers")
    )
