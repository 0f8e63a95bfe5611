"""What the exporter probes, and what it runs when that changes.

A panel lists the `MOST` probes or actions that need it most. Where several exporters probe the same, one that
comes through is right.
"""

from __future__ import annotations

from grafana_foundation_sdk.builders import bargauge, dashboard, stat, statetimeline, table
from grafana_foundation_sdk.builders import timeseries as lines
from grafana_foundation_sdk.models import units
from grafana_foundation_sdk.models.dashboard import (
    DashboardRangeMapOptions,
    RangeMap,
    ValueMappingResult,
)

from grafana.source import frame, style
from grafana.source.tables import COLORED, Column, decimals, joined, unit, worded

UID = "heartbeat-probes"

MOST = 50
MOST_CURVES = 20

PROBES = f'{frame.EXPORTER}, probe=~"$probe"'
ACTIONS = f'{frame.EXPORTER}, action=~"$action"'
ALERTS = 'alertname=~"Heartbeat(Probe|Certificate|Action).+", probe=~"$probe|", action=~"$action|"'

NO_PROBES = "no probes are configured"
NO_ACTIONS = "no actions are configured"
NO_CERTIFICATES = "no certificates seen"

UP_STATES = {0: ("down", style.BAD), 1: ("up", style.GOOD)}
ACTION_STATES = {0: ("demoted", style.PINK), 1: ("promoted", style.BLUE)}
HELD_STATES = {0: ("runs", style.GOOD), 1: ("held", style.BAD)}

PHASE_COLORS = {
    "resolve": style.SKY,
    "connect": style.BLUE,
    "tls": style.PINK,
    "processing": style.ORANGE,
    "transfer": style.GREEN,
}

UP = f"max by (probe, target) (heartbeat_probe_up{{{PROBES}}})"
DAYS_LEFT = (
    "(min by (probe, target) "
    f"(heartbeat_probe_tls_certificate_expiry_timestamp_seconds{{{PROBES}}}) - time()) / 86400"
)
FAILED_SHARE = 'max by (probe, target) (probe:heartbeat_probe_failures:ratio_rate5m{probe=~"$probe"})'

CERTIFICATE_STEPS = ((None, style.BAD), (10, style.WARN), (21, style.GOOD))
"""Days: below 10 an alert fires."""

# Chosen once, at the end of the time range: chosen anew at each step they could be many more. Those that are
# down or were last run with a failure come first.
SELECTED = f"""
bottomk({MOST},
    2 * max by (probe, target) (heartbeat_probe_up{{{PROBES}}} @ end())
  + on (probe, target)
    max by (probe, target) (heartbeat_probe_success{{{PROBES}}} @ end())
)
"""


def build() -> dashboard.Dashboard:
    made = frame.board(
        UID,
        "Probes and actions",
        "What the exporter probes, how that fares and why, and what it runs when that changes.",
        frame.choice(
            "probe",
            "Probe",
            "Probes, as the configuration names them.",
            f"label_values(heartbeat_probe_runs_total{{{frame.EXPORTER}}}, probe)",
        ),
        frame.choice(
            "action",
            "Action",
            "Actions, as the configuration names them.",
            f"label_values(heartbeat_action_runs_total{{{frame.EXPORTER}}}, action)",
        ),
    )
    made.annotation(frame.firing_marks(ALERTS))
    return frame.fill(
        made,
        frame.Section(
            "Now",
            (
                (up_and_down(), 6, 4),
                (last_results(), 6, 4),
                (next_expiry(), 4, 4),
                (promoted(), 4, 4),
                (held(), 4, 4),
            ),
        ),
        frame.Section("Probes", ((history(), 24, 10), (probes(), 24, 10))),
        frame.Section(
            "Failures and durations",
            (
                (failures(), 12, 8),
                (failure_shares(), 12, 8),
                (durations(), 12, 8),
                (phases(), 12, 8),
            ),
        ),
        frame.Section("HTTP and TLS", ((http_statuses(), 14, 9), (certificates(), 10, 9))),
        frame.Section(
            "Actions",
            (
                (action_history(), 16, 8),
                (brake(), 8, 8),
                (runs(), 12, 8),
                (run_failures(), 12, 8),
                (actions(), 24, 8),
            ),
        ),
    )


def up_and_down() -> stat.Panel:
    panel = (
        style.numbers("Probes", "Probes whose target is up or down, by their thresholds.")
        .with_target(style.instant(f"sum({UP})", "up"))
        .with_target(style.instant(f"count({UP}) - sum({UP})", "down", ref="B"))
    )
    return style.paint(panel, dict(UP_STATES.values())).no_value(NO_PROBES)


def last_results() -> stat.Panel:
    success = f"max by (probe, target) (heartbeat_probe_success{{{PROBES}}})"
    panel = (
        style.numbers(
            "Results",
            "Probes whose last run succeeded or failed. One failure alone changes no target's state.",
        )
        .with_target(style.instant(f"sum({success})", "succeeded"))
        .with_target(style.instant(f"count({success}) - sum({success})", "failed", ref="B"))
    )
    return style.paint(panel, {"succeeded": style.GOOD, "failed": style.WARN}).no_value(NO_PROBES)


def next_expiry() -> stat.Panel:
    return (
        style.numbers(
            "Next certificate to end",
            "How long the certificate that ends first is still valid.",
            unit=units.Days,
        )
        .decimals(1)
        .thresholds(style.steps(*CERTIFICATE_STEPS))
        .with_target(style.instant(f"min({DAYS_LEFT})", "left"))
        .no_value(NO_CERTIFICATES)
    )


def promoted() -> stat.Panel:
    state = f"max by (action) (heartbeat_action_state{{{ACTIONS}}})"
    panel = (
        style.numbers("Actions", "Actions that are promoted or demoted, as last run or as found.")
        .with_target(style.instant(f"sum({state})", "promoted"))
        .with_target(style.instant(f"count({state}) - sum({state})", "demoted", ref="B"))
    )
    return style.paint(panel, dict(ACTION_STATES.values())).no_value("none, or none run yet")


def held() -> stat.Panel:
    return (
        style.numbers(
            "The brake",
            "Whether actions are held because so much failed at once that it may be the exporter's own "
            "trouble.",
        )
        .mappings(style.states(HELD_STATES))
        .with_target(style.instant(f"max(heartbeat_actions_held{{{frame.EXPORTER}}})", "actions"))
        .no_value("not known")
    )


def history() -> statetimeline.Panel:
    return (
        style.timeline(
            "Targets up and down",
            f"Whether each target is up or down by the thresholds of its probe. Of more than {MOST}, those "
            "that are down or failed last.",
            rows_per_page=20,
        )
        .mappings(style.states(UP_STATES))
        .with_target(style.query(_selected(UP), "{{probe}} · {{target}}"))
        .no_value(NO_PROBES)
    )


def probes() -> table.Panel:
    def latest(metric: str) -> str:
        return f"max by (probe, target) ({metric}{{{PROBES}}})"

    success = ("succeeded", style.GOOD), ("failed", style.WARN)
    columns = (
        Column("State", UP, worded(UP_STATES)),
        Column("Last run", latest("heartbeat_probe_success"), worded({1: success[0], 0: success[1]})),
        Column(
            "Run",
            f"1000 * {latest('heartbeat_probe_last_run_timestamp_seconds')}",
            (unit(units.DateTimeFromNow),),
        ),
        Column("Took", latest("heartbeat_probe_duration_seconds"), (unit(units.Seconds),)),
        Column("HTTP status", latest("heartbeat_probe_http_status_code"), (unit(units.NoUnit),)),
        Column("Certificate valid for", DAYS_LEFT, (unit(units.Days), decimals(1))),
        Column(
            "Failed in 5 minutes",
            FAILED_SHARE,
            (unit(units.PercentUnit),),
        ),
    )
    panel = style.rows(
        "Last runs of probes",
        "Each probe: its target, its last run, and which part of its runs failed in the last 5 minutes. Of "
        f"more than {MOST}, those that are down or failed last.",
    )
    chosen = (column._replace(expr=_selected(column.expr)) for column in columns)
    return joined(panel, {"probe": "Probe", "target": "Target"}, chosen).no_value(NO_PROBES)


def failures() -> lines.Panel:
    failed = f"increase(heartbeat_probe_failures_total{{{PROBES}}}[$__rate_interval])"
    return style.events(
        "Failed runs by reason",
        "Runs that failed within each step of the graph, by reason.",
        {"{{reason}}": f"sum by (reason) ({failed})"},
        {},
        none="no run failed",
    )


def failure_shares() -> lines.Panel:
    return (
        style.curves(
            "Share of failed runs, by probe",
            f"Which part of the runs of the 5 minutes before failed, the {MOST_CURVES} largest.",
            unit=units.PercentUnit,
        )
        .min(0)
        .max(1)
        .with_target(style.query(f"topk({MOST_CURVES}, {FAILED_SHARE})", "{{probe}} · {{target}}"))
        .no_value(f"{NO_PROBES}, or none has run for 5 minutes")
    )


def durations() -> lines.Panel:
    took = f"max by (probe, target) (heartbeat_probe_duration_seconds{{{PROBES}}})"
    return (
        style.curves(
            "Duration by probe",
            f"How long the last run of a probe took, the {MOST_CURVES} longest.",
            unit=units.Seconds,
        )
        .min(0)
        .with_target(style.query(f"topk({MOST_CURVES}, {took})", "{{probe}} · {{target}}"))
        .no_value(NO_PROBES)
    )


def phases() -> lines.Panel:
    took = f"heartbeat_probe_phase_duration_seconds{{{PROBES}}}"
    panel = style.stacked(
        "Mean duration by phase",
        "How long the last runs took in each phase, on average over the chosen probes that came to it. "
        "Choose one to see where its time goes.",
        unit=units.Seconds,
    ).with_target(style.query(f"avg by (phase) ({took})", "{{phase}}"))
    return style.paint(panel, PHASE_COLORS).no_value(NO_PROBES)


def http_statuses() -> statetimeline.Panel:
    status = f"max by (probe, target) (heartbeat_probe_http_status_code{{{PROBES}}})"
    classes = ((100, 299, style.GOOD), (300, 399, style.SKY), (400, 499, style.WARN), (500, 599, style.BAD))
    return (
        style.timeline(
            "HTTP statuses",
            "The HTTP status of the answer to the last run; none where there was no answer or no HTTP.",
            rows_per_page=20,
        )
        .mappings(
            [
                RangeMap(
                    options=DashboardRangeMapOptions(
                        from_val=low, to=high, result=ValueMappingResult(color=color, index=index)
                    )
                )
                for index, (low, high, color) in enumerate(classes)
            ]
        )
        .with_target(style.query(_selected(status), "{{probe}} · {{target}}"))
        .no_value("no answers by HTTP")
    )


def certificates() -> bargauge.Panel:
    return (
        style.bars(
            "Certificates that end first",
            f"For how long certificates are still valid, the {MOST_CURVES} that end first. Below 10 days an "
            "alert fires.",
            unit=units.Days,
        )
        .min(0)
        .decimals(1)
        .thresholds(style.steps(*CERTIFICATE_STEPS))
        .with_target(style.instant(f"sort(bottomk({MOST_CURVES}, {DAYS_LEFT}))", "{{probe}} · {{target}}"))
        .no_value(NO_CERTIFICATES)
    )


def action_history() -> statetimeline.Panel:
    state = f"heartbeat_action_state{{{ACTIONS}}}"
    chosen = f"bottomk({MOST}, max by (action) ({state} @ end()))"
    return (
        style.timeline(
            "Actions promoted and demoted",
            "The state that the last run of each action left, or in which it was found.",
            rows_per_page=20,
        )
        .mappings(style.states(ACTION_STATES))
        .with_target(style.query(f"max by (action) ({state}) and on (action) {chosen}", "{{action}}"))
        .no_value(f"{NO_ACTIONS}, or none has run yet")
    )


def brake() -> statetimeline.Panel:
    return (
        style.timeline(
            "The brake over time",
            "When actions were held because so much failed at once. They run afterwards, or are dropped.",
            rows_per_page=1,
        )
        .mappings(style.states(HELD_STATES))
        .with_target(style.query(f"max(heartbeat_actions_held{{{frame.EXPORTER}}})", "actions"))
        .no_value("not known")
    )


def runs() -> lines.Panel:
    ended = f"increase(heartbeat_action_runs_total{{{ACTIONS}}}[$__rate_interval])"
    return style.events(
        "Runs of actions",
        "Runs that ended within each step of the graph, by action and kind; those that failed too.",
        {"{{kind}} · {{action}}": f"topk({MOST_CURVES}, sum by (action, kind) ({ended}))"},
        {},
        none="no action was run",
    )


def run_failures() -> lines.Panel:
    failed = f"increase(heartbeat_action_failures_total{{{ACTIONS}}}[$__rate_interval])"
    failed_by_reason = f"sum by (action, kind, reason) ({failed})"
    return style.events(
        "Failures of actions",
        "Runs that failed within each step of the graph, by action, kind and reason.",
        {"{{kind}} · {{action}}: {{reason}}": f"topk({MOST_CURVES}, {failed_by_reason})"},
        {},
        none="no action failed",
    )


def actions() -> table.Panel:
    last = f"max by (action, kind) (heartbeat_action_last_run_timestamp_seconds{{{ACTIONS}}})"
    latest = f"topk({MOST}, {last})"
    took = f"max by (action, kind) (heartbeat_action_duration_seconds{{{ACTIONS}}})"
    failed = 'max by (action, kind) (action:heartbeat_failed:timestamp_seconds{action=~"$action"})'
    panel = style.rows(
        "Last runs of actions",
        f"When each action was last run and how long it took, the {MOST} latest; and when it failed, if it "
        "has not succeeded since.",
    )
    return joined(
        panel,
        {"action": "Action", "kind": "Kind"},
        [
            Column("Last run", f"1000 * {latest}", (unit(units.DateTimeFromNow),)),
            Column("Took", f"{took} and on (action, kind) {latest}", (unit(units.Seconds),)),
            Column(
                "Failed",
                f"1000 * {failed} and on (action, kind) {latest}",
                (unit(units.DateTimeFromNow), style.fixed(style.BAD), COLORED),
            ),
        ],
    ).no_value(f"{NO_ACTIONS}, or none has run yet")


def _selected(expr: str) -> str:
    return f"{expr} and on (probe, target) {SELECTED.strip()}"
