"""The first dashboard: is the fleet alive, and if not, who is gone, since when and why.

Written for 10,000 workers in 100 groups: a query returns one series per status, reason, severity or
group, or names the `MOST` workers or alerts that tell most.
"""

from __future__ import annotations

from grafana_foundation_sdk.builders import bargauge, dashboard, stat, statetimeline, table
from grafana_foundation_sdk.builders import timeseries as lines
from grafana_foundation_sdk.models import units
from grafana_foundation_sdk.models.common import GraphDrawStyle
from grafana_foundation_sdk.models.dashboard import (
    DataTransformerConfig,
    DynamicConfigValue,
)

from grafana.source import frame, style

UID = "heartbeat-fleet"

MOST = 50
"""How many workers one panel lists, and how many alerts of each severity."""

WORST_GROUPS = 20

# For display only: positive while up, zero while neither up nor down, else why the worker is down.
TIMELINE_STATES = {
    1: ("up", style.UP),
    0: ("pending", style.PENDING),
    -1: ("stopped", style.STOPPED),
    -2: ("connection lost", style.LOST),
    -3: ("timeout", style.SILENT),
    -4: ("never connected", style.NEVER),
}

_WORKER = "worker_id, worker, group"

# The choice is made once, at the end of the time range: chosen anew at each step it could name thousands.
TIMELINE = f"""
  sum by ({_WORKER}) (
      heartbeat_worker_up{{group=~"$group"}}
    or
      -1 * heartbeat_worker_down_reason{{group=~"$group", reason="shutdown"}}
    or
      -2 * heartbeat_worker_down_reason{{group=~"$group", reason="connection_lost"}}
    or
      -3 * heartbeat_worker_down_reason{{group=~"$group", reason="timeout"}}
    or
      -4 * heartbeat_worker_down_reason{{group=~"$group", reason="never_connected"}}
  )
and
  topk({MOST}, max by ({_WORKER}) (
    heartbeat_worker_status_since_timestamp_seconds{{group=~"$group"}} @ end()
  ))
"""

# Alerts without a group, such as that of the exporter itself, concern every group: hence the empty choice.
FIRING = f"""
topk by (severity) ({MOST}, 1000 * max by (severity, alertname, group, worker, reason) (
    ALERTS_FOR_STATE{{alertname=~"Heartbeat.+", group=~"$group|"}}
  and ignoring (alertstate)
    ALERTS{{alertname=~"Heartbeat.+", group=~"$group|", alertstate="firing"}}
))
"""

UP_BY_GROUP = f"""
sort(bottomk({WORST_GROUPS},
    sum by (group) (heartbeat_workers{{group=~"$group", status="alive"}})
  /
    (sum by (group) (heartbeat_workers{{group=~"$group"}}) > 0)
))
"""


def build() -> dashboard.Dashboard:
    made = frame.board(
        UID, "Fleet", "Which workers are alive, which are not, and why.", frame.group_choice(), refresh="10s"
    ).annotation(frame.firing_marks())
    layout: tuple[tuple[style.AnyPanel, int, int], ...] = (
        (counts(), 14, 4),
        (share_up(), 5, 4),
        (alerts_by_severity(), 5, 4),
        (history(), 12, 8),
        (changes(), 12, 8),
        (latest_workers(), 16, 12),
        (groups(), 8, 12),
        (latency(), 12, 9),
        (alerts(), 12, 9),
    )
    for number, (panel, width, height) in enumerate(layout, start=1):
        made.with_panel(panel.id(number).span(width).height(height))
    return made


def counts() -> stat.Panel:
    panel = style.numbers(
        "Workers by status",
        "Workers in each status now. Alive is up; connected and registered are neither up nor down; a "
        "disconnected worker turns not responding when its timeout is over.",
    ).with_target(style.instant('sum by (status) (heartbeat_workers{group=~"$group"})', "{{status}}"))
    for status, color in style.STATUS_COLORS.items():
        panel.override_by_name(status, [style.fixed(color)])
    return panel.no_value("no workers")


def share_up() -> stat.Panel:
    return (
        style.numbers(
            "Share of workers up",
            "Workers alive among all that are registered. A stopped worker counts until its retention ends.",
            unit=units.PercentUnit,
        )
        .decimals(1)
        .thresholds(style.steps((None, "red"), (0.9, "orange"), (0.99, "green")))
        .with_target(
            style.instant(
                'sum(heartbeat_workers{group=~"$group", status="alive"})'
                ' / (sum(heartbeat_workers{group=~"$group"}) > 0)',
                "up",
            )
        )
        .no_value("no workers")
    )


def alerts_by_severity() -> stat.Panel:
    panel = style.numbers(
        "Firing alerts", "Alerts firing now, by severity; the table below names them."
    ).with_target(
        style.instant(
            'sum by (severity) (ALERTS{alertname=~"Heartbeat.+", group=~"$group|", alertstate="firing"})',
            "{{severity}}",
        )
    )
    for severity, color in style.SEVERITY_COLORS.items():
        panel.override_by_name(severity, [style.fixed(color)])
    return panel.no_value("none")


def history() -> lines.Panel:
    panel = style.stacked(
        "Workers by status over time", "Workers in each status. The total falls when a worker is forgotten."
    ).with_target(style.query('sum by (status) (heartbeat_workers{group=~"$group"})', "{{status}}"))
    for status, color in style.STATUS_COLORS.items():
        panel.override_by_name(status, [style.fixed(color)])
    return panel


def changes() -> lines.Panel:
    return (
        style.stacked(
            "Status changes by reason",
            "Changes of status within each step of the graph, by reason: shutdown is a clean stop; "
            "connection_lost, timeout and never_connected are not.",
        )
        .draw_style(GraphDrawStyle.BARS)
        .with_target(
            style.query(
                "sum by (reason) "
                '(increase(heartbeat_status_changes_total{group=~"$group"}[$__rate_interval]))',
                "{{reason}}",
            )
        )
    )


def latest_workers() -> statetimeline.Panel:
    return (
        style.timeline(
            "Workers whose status changed last",
            f"The {MOST} workers with the latest change of status, and while they are down, why.",
            rows_per_page=20,
        )
        .mappings(style.states(TIMELINE_STATES))
        .with_target(style.query(TIMELINE.strip(), "{{worker}} · {{group}}"))
    )


def groups() -> bargauge.Panel:
    return (
        style.bars(
            "Share of workers up, by group",
            f"The {WORST_GROUPS} groups with the smallest share of workers alive now.",
            unit=units.PercentUnit,
        )
        .min(0)
        .max(1)
        .thresholds(style.steps((None, "red"), (0.9, "orange"), (0.99, "green")))
        .data_links(
            [
                dashboard.DashboardLink("Only this group").url(
                    f"/d/{UID}?var-group=${{__field.labels.group}}&var-datasource=${{datasource}}&${{__url_time_range}}"
                )
            ]
        )
        .with_target(style.instant(UP_BY_GROUP.strip(), "{{group}}"))
    )


def latency() -> lines.Panel:
    panel = style.curves(
        "Latency of heartbeats",
        "From sending to receipt, corrected for the worker's clock; only heartbeats with a fresh "
        "measurement of that clock count.",
        unit=units.Seconds,
    ).min(0)
    for ref, quantile in (("A", 0.5), ("B", 0.95), ("C", 0.99)):
        expr = (
            f"histogram_quantile({quantile}, sum by (le) "
            '(rate(heartbeat_latency_seconds_bucket{group=~"$group"}[$__rate_interval])))'
        )
        panel.with_target(style.query(expr, f"{quantile:.0%} of heartbeats within", ref=ref))
    return panel


def alerts() -> table.Panel:
    columns = {
        "Value": "Active",
        "severity": "Severity",
        "alertname": "Alert",
        "group": "Group",
        "worker": "Worker",
        "reason": "Reason",
    }
    tidy = DataTransformerConfig(
        id_val="organize",
        options={
            "excludeByName": {"Time": True},
            "indexByName": {name: place for place, name in enumerate(columns)},
            "renameByName": columns,
        },
    )
    severities = DynamicConfigValue(
        id_val="mappings",
        value=[
            {"type": "value", "options": {name: {"color": color, "index": index}}}
            for index, (name, color) in enumerate(style.SEVERITY_COLORS.items())
        ],
    )
    colored = DynamicConfigValue(id_val="custom.cellOptions", value={"type": "color-text"})
    return (
        style.rows(
            "Firing alerts and since when",
            f"Alerts firing now and when their condition began: the {MOST} latest of each severity.",
            unit=units.DateTimeFromNow,
        )
        .with_target(style.instant(FIRING.strip(), rows=True))
        .with_transformation(tidy)
        .override_by_name("Severity", [severities, colored])
        .no_value("none")
    )
