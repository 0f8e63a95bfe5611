"""One worker: how it is, how it was, and what it said of itself.

Several exporters may show the same worker. One that sees it up is right, as it has its connection; numbers
are those of the exporter that has the latest, or the largest.
"""

from __future__ import annotations

from grafana_foundation_sdk.builders import dashboard, stat, statetimeline, table
from grafana_foundation_sdk.builders import timeseries as lines
from grafana_foundation_sdk.models import units
from grafana_foundation_sdk.models.common import BigValueTextMode

from grafana.source import alerts, frame, one_worker, style, tables

UID = "heartbeat-worker"

ONE = f'{frame.EXPORTER}, worker_id="$worker_id"'
RECORDED = 'worker_id="$worker_id"'
"""Of recorded series, which have neither job nor instance."""

ALERTS = f'{RECORDED}, worker_id!=""'
"""Not those without a worker, while none is chosen."""

REASON_COLORS = {
    "shutdown": style.STOPPED,
    "connection_lost": style.LOST,
    "timeout": style.SILENT,
    "never_connected": style.NEVER,
}

# For display only: a row for the status, and one for the reason while there is one.
STATUSES = {number: pair for number, pair in enumerate(style.STATUS_COLORS.items(), start=1)}
REASONS = {number: pair for number, pair in enumerate(REASON_COLORS.items(), start=11)}

CHECK_STATES = {0: ("unhealthy", style.BAD), 1: ("degraded", style.WARN), 2: ("healthy", style.GOOD)}

CHECKS = f"max by (check) (2 * heartbeat_worker_check_up{{{ONE}}} - heartbeat_worker_check_degraded{{{ONE}}})"

IS_UP = f"(max(heartbeat_worker_up{{{ONE}}}) == 1)"

# A worker shows no transitions, but since when it has its status: where that is new, there was one, and its
# value is when.
TRANSITIONS = f"""
  1000 * max by (status) (
      (heartbeat_worker_status{{{ONE}, status!~"disconnected|not_responding"}} == 1)
    * ignoring (status) group_left ()
      heartbeat_worker_status_since_timestamp_seconds{{{ONE}}}
  )
or
  1000 * max by (status, reason) (
      (heartbeat_worker_status{{{ONE}, status=~"disconnected|not_responding"}} == 1)
    * ignoring (status, reason) group_left (reason)
      heartbeat_worker_down_reason{{{ONE}}}
    * ignoring (status, reason) group_left ()
      heartbeat_worker_status_since_timestamp_seconds{{{ONE}}}
  )
"""


def build() -> dashboard.Dashboard:
    made = frame.board(
        UID,
        "Worker",
        "One worker: its status and why, its heartbeats, its checks.",
        frame.group_choice(),
        refresh="10s",
    )
    for variable in one_worker.choose_worker(one_worker.WORST_FIRST, or_all=False):
        made.with_variable(variable)
    made.link(one_worker.link("heartbeat-service", "Requests and processes of this worker"))
    made.annotation(frame.firing_marks(ALERTS))
    made.annotation(transition_marks())
    return frame.fill(
        made,
        frame.Section(
            "Now",
            (
                (status(), 6, 4),
                (since(), 3, 4),
                (last_heartbeat(), 3, 4),
                (uptime(), 4, 4),
                (availability(), 4, 4),
                (checks_now(), 4, 4),
            ),
        ),
        frame.Section(
            "Over time", ((history(), 24, 5), (checks(), 24, 7), (up_and_down(), 12, 8), (silence(), 12, 8))
        ),
        frame.Section(
            "Heartbeats",
            (
                (missed(), 12, 7),
                (clock_offset(), 12, 7),
                (round_trip(), 12, 7),
                (event_loop_lag(), 12, 7),
            ),
        ),
        frame.Section("Facts", ((facts(), 12, 6), (alerts.firing(ALERTS), 12, 6))),
    )


def transition_marks() -> dashboard.AnnotationQuery:
    """A mark at each change of status that a scrape has seen, at the time the exporter gives for it."""
    return frame.annotation(
        "Changes of status", TRANSITIONS.strip(), "{{status}}", "{{reason}}", color=style.BLUE, step="5s"
    ).use_value_for_time(True)


def status() -> stat.Panel:
    panel = (
        style.numbers("Status", "What the worker is now and, if it is down, why.")
        .text_mode(BigValueTextMode.NAME)
        .with_target(style.instant(f"max by (status) (heartbeat_worker_status{{{ONE}}} == 1)", "{{status}}"))
        .with_target(
            style.instant(
                f"max by (reason) (heartbeat_worker_down_reason{{{ONE}}}) unless on () {IS_UP}",
                "{{reason}}",
                ref="B",
            )
        )
    )
    return style.paint(panel, style.STATUS_COLORS | REASON_COLORS).no_value("not known")


def since() -> stat.Panel:
    began = f"heartbeat_worker_status_since_timestamp_seconds{{{ONE}}}"
    return (
        style.numbers("Since", "For how long it has had this status.", unit=units.Seconds)
        .text_mode(BigValueTextMode.VALUE)
        .decimals(0)
        .with_target(style.instant(style.elapsed(f"time() - max({began})"), "in this status"))
        .no_value("not known")
    )


def last_heartbeat() -> stat.Panel:
    return (
        style.numbers(
            "Last heartbeat",
            "How long ago the last heartbeat came, as of the latest scrape.",
            unit=units.Seconds,
        )
        .text_mode(BigValueTextMode.VALUE)
        .decimals(1)
        .with_target(style.instant(_age(), "ago"))
        .no_value("none yet")
    )


def uptime() -> stat.Panel:
    offset = f"(max(heartbeat_worker_clock_offset_seconds{{{ONE}}}) or vector(0))"
    started = f"max(heartbeat_worker_boot_timestamp_seconds{{{ONE}}})"
    ran = style.elapsed(f"time() + {offset} - {started}")
    return (
        style.numbers(
            "Uptime of the process",
            "Since when the process of the worker runs, by the worker's own clock as far as that is known; "
            "while the worker is up.",
            unit=units.Seconds,
        )
        .text_mode(BigValueTextMode.VALUE)
        .decimals(1)
        .with_target(style.instant(f"{ran} and on () {IS_UP}", "uptime"))
        .no_value("not up")
    )


def availability() -> stat.Panel:
    return (
        style.numbers(
            "Availability in 24 hours",
            "Time up among the time up or unplanned down, of the last 24 hours. A clean stop is planned.",
            unit=units.PercentUnit,
        )
        .text_mode(BigValueTextMode.VALUE)
        .decimals(2)
        .thresholds(style.shares())
        .with_target(
            style.instant(f"max(worker:heartbeat_availability:ratio_rate1d{{{RECORDED}}})", "available")
        )
        .no_value("not recorded yet")
    )


def checks_now() -> stat.Panel:
    panel = style.numbers("Health checks", "How many health checks of the worker are in each state now.")
    for ref, (number, (name, _)) in zip("ABC", CHECK_STATES.items(), strict=True):
        panel.with_target(style.instant(f"count({CHECKS} == {number})", name, ref=ref))
    return style.paint(panel, dict(CHECK_STATES.values())).no_value("down, or no checks")


def history() -> statetimeline.Panel:
    numbers = " or ".join(
        f'{number} * (heartbeat_worker_status{{{ONE}, status="{name}"}} == 1)'
        for number, (name, _) in STATUSES.items()
    )
    reasons = " or ".join(
        f'{number} * heartbeat_worker_down_reason{{{ONE}, reason="{name}"}}'
        for number, (name, _) in REASONS.items()
    )
    return (
        style.timeline(
            "Status and reason",
            "The status of the worker and, while it is down, why. What passes between two scrapes is not "
            "seen here.",
            rows_per_page=2,
        )
        .mappings(style.states(STATUSES | REASONS))
        .with_target(style.query(f"min({numbers})", "status"))
        .with_target(style.query(f"max({reasons}) unless on () {IS_UP}", "reason", ref="B"))
        .no_value("not known")
    )


def checks() -> statetimeline.Panel:
    return (
        style.timeline(
            "Health checks over time",
            "The state of each health check, as the worker told it with its heartbeats. A worker that is "
            "down tells nothing.",
            rows_per_page=16,
        )
        .mappings(style.states(CHECK_STATES))
        .with_target(style.query(CHECKS, "{{check}}"))
        .no_value("no health checks told")
    )


def up_and_down() -> lines.Panel:
    down = f"rate(heartbeat_worker_down_seconds_total{{{ONE}}}[$__rate_interval])"
    panel = (
        style.stacked(
            "Time up and down",
            "Which part of each step the worker was up, or down and why. What is missing to 100% it was "
            "neither: registered or connected, without a heartbeat.",
            unit=units.PercentUnit,
        )
        .min(0)
        .max(1)
        .with_target(
            style.query(f"max(rate(heartbeat_worker_up_seconds_total{{{ONE}}}[$__rate_interval]))", "up")
        )
        .with_target(style.query(f"max by (reason) ({down})", "{{reason}}", ref="B"))
    )
    return style.paint(panel, {"up": style.UP} | REASON_COLORS).no_value("not known")


def silence() -> lines.Panel:
    panel = (
        style.curves(
            "Time since the last heartbeat",
            "How old the last heartbeat was at each scrape. Beyond the timeout the worker is declared down; "
            "what came in time is below the interval and a little more.",
            unit=units.Seconds,
        )
        .min(0)
        .with_target(style.query(_age(), "since the last heartbeat"))
        .with_target(
            style.query(f"max(heartbeat_worker_interval_seconds{{{ONE}}})", "interval agreed on", ref="B")
        )
        .with_target(style.query(f"max(heartbeat_worker_timeout_seconds{{{ONE}}})", "timeout", ref="C"))
        .no_value("no heartbeat yet")
    )
    panel.override_by_name("since the last heartbeat", [style.fixed(style.BLUE)])
    panel.override_by_name("interval agreed on", [style.fixed(style.GREY), style.line("dot")])
    return panel.override_by_name("timeout", [style.fixed(style.BAD), style.line("dash")])


def missed() -> lines.Panel:
    return style.events(
        "Missed heartbeats and restarts",
        "Within each step of the graph: heartbeats that should have come between those that came, and times "
        "the worker came back as a new process.",
        {
            name: f"max(increase({metric}{{{ONE}}}[$__rate_interval]))"
            for name, metric in (
                ("missed heartbeats", "heartbeat_worker_missed_heartbeats_total"),
                ("restarts", "heartbeat_worker_restarts_total"),
            )
        },
        {"missed heartbeats": style.WARN, "restarts": style.STOPPED},
        none="none missed, no restart",
    )


def clock_offset() -> lines.Panel:
    return _measured(
        "Clock offset",
        "How far the worker's clock is ahead of the exporter's; behind, if negative.",
        "heartbeat_worker_clock_offset_seconds",
        "ahead",
    )


def round_trip() -> lines.Panel:
    return _measured(
        "Round trip",
        "Time from a heartbeat to the exporter's answer, as the worker measured it.",
        "heartbeat_worker_round_trip_seconds",
        "round trip",
    ).min(0)


def event_loop_lag() -> lines.Panel:
    return _measured(
        "Event-loop lag",
        "How late the event loop of the worker's application was, at worst, before each heartbeat. Above 5 s "
        "an alert tells that it was stuck.",
        "heartbeat_worker_event_loop_lag_seconds",
        "lag",
    ).min(0)


def facts() -> table.Panel:
    columns = {
        "worker": "Worker",
        "group": "Group",
        "worker_id": "Id",
        "host": "Host",
        "port": "Port",
        "version": "Version",
    }
    panel = style.rows("What it said of itself", "Name, address and version that the worker registered with.")
    expr = f"max by ({', '.join(columns)}) (heartbeat_worker_info{{{ONE}}})"
    return tables.labels(panel, expr, columns).no_value("not known")


def _age() -> str:
    """PromQL for the age of the last heartbeat, in seconds, when it was scraped."""
    last = f"heartbeat_worker_last_heartbeat_timestamp_seconds{{{ONE}}}"
    return style.elapsed(f"min(timestamp({last}) - {last})")


def _measured(title: str, description: str, metric: str, name: str) -> lines.Panel:
    return (
        style.curves(title, description, unit=units.Seconds)
        .with_target(style.query(f"max({metric}{{{ONE}}})", name))
        .override_by_name(name, [style.fixed(style.BLUE)])
        .no_value("not measured yet")
    )
