"""The first dashboard: is the fleet alive, and if not, who is gone, since when and why.

Written for 10,000 workers in 100 groups: a query returns one series per status, reason or bucket, or
names the `MOST` workers or `WORST_GROUPS` that tell most.
"""

from __future__ import annotations

from grafana_foundation_sdk.builders import bargauge, dashboard, stat, statetimeline
from grafana_foundation_sdk.builders import timeseries as lines
from grafana_foundation_sdk.models import units

from grafana.source import alerts, frame, style, traffic
from grafana.source.frame import WORKERS

UID = "heartbeat-fleet"

MOST = 50
"""How many workers one panel lists."""

WORST_GROUPS = 20

NOT_RECORDED = "recorded from the second minute on"
NONE_EXPECTED = "no workers but stopped ones"

REASON_COLORS = {
    "shutdown": style.STOPPED,
    "connection_lost": style.LOST,
    "timeout": style.SILENT,
    "never_connected": style.NEVER,
    "heartbeat": style.UP,
    "connected": style.PENDING,
}

# For display only, the worst first.
STATES = {
    1: ("timeout", style.SILENT),
    2: ("connection lost", style.LOST),
    3: ("never connected", style.NEVER),
    4: ("stopped", style.STOPPED),
    5: ("pending", style.PENDING),
    6: ("up", style.UP),
}

_WORKER = "worker_id, worker, group"


def state(at: str = "", only: str = "") -> str:
    """PromQL for a number of `STATES` per worker, at a time and of a choice of workers.

    An exporter shows a worker that is down as not up and with a reason, of which the smaller number
    counts. Of several exporters the one that sees the worker up is right.
    """
    reasons = ("timeout", "connection_lost", "never_connected", "shutdown")
    down = " or ".join(
        f'{number} * heartbeat_worker_down_reason{{{WORKERS}, reason="{reason}"}}{at}'
        for number, reason in enumerate(reasons, start=1)
    )
    shown = f"5 + (heartbeat_worker_up{{{WORKERS}}}{at}{only}) or ({down}){only}"
    return f"max by ({_WORKER}) (min by (job, instance, {_WORKER}) ({shown}))"


# The state at the end of the time range, in units that outweigh every time.
_WORST = f"""
  bottomk({MOST},
      1e11 * {state(" @ end()")}
    - on ({_WORKER})
      max by ({_WORKER}) (heartbeat_worker_status_since_timestamp_seconds{{{WORKERS}}} @ end())
  )
"""

# Chosen and ranked once, at that end: chosen anew at each step it could be thousands, and would take as many
# times as long. Prometheus answers in the order of labels, of which `at_end`, the state then, is the first.
TIMELINE = f"""
  {state(only=f" and on ({_WORKER}) {_WORST}")}
* on ({_WORKER}) group_left (at_end)
  count_values by ({_WORKER}) ("at_end", ceil({_WORST} / 1e11))
"""


def share_alive(by: str = "") -> str:
    """PromQL for the workers alive among those not stopped; none where every one is stopped."""
    known = f"sum{by} (heartbeat_workers{{{WORKERS}}})"
    stopped = f'count{by} (heartbeat_worker_down_reason{{{WORKERS}, reason="shutdown"}}) or 0 * {known}'
    return f'sum{by} (heartbeat_workers{{{WORKERS}, status="alive"}}) / ({known} - ({stopped}) > 0)'


UP_BY_GROUP = f"sort(bottomk({WORST_GROUPS}, {share_alive(' by (group)')}))"

# Recorded series have no job or instance.
AVAILABILITY = f"""
sort(bottomk({WORST_GROUPS}, group:heartbeat_availability:ratio_rate30d{{group=~"$group"}}))
"""

BUDGET_LEFT = f"""
sort(bottomk({WORST_GROUPS},
  1 - (1 - group:heartbeat_availability:ratio_rate30d{{group=~"$group"}})
    / on () group_left () (1 - fleet:heartbeat_availability_objective:ratio)
))
"""


def build() -> dashboard.Dashboard:
    made = frame.board(
        UID, "Fleet", "Which workers are alive, which are not, and why.", frame.group_choice(), refresh="10s"
    ).annotation(frame.firing_marks())
    return frame.fill(
        made,
        frame.Section(
            "Now",
            (
                (counts(), 11, 4),
                (share_up(), 4, 4),
                (lowest_availability(), 4, 4),
                (alerts.by_severity(), 5, 4),
            ),
        ),
        frame.Section("Workers", ((history(), 12, 8), (changes(), 12, 8), (timeline(), 24, 13))),
        frame.Section("Alerts", ((alerts.firing(), 24, 8),)),
        frame.Section("Groups", ((up_by_group(), 8, 10), (availability(), 8, 10), (budget(), 8, 10))),
        *traffic.sections(),
    )


def counts() -> stat.Panel:
    panel = style.numbers(
        "Workers by status",
        "Workers in each status now. Alive is up; connected and registered are neither up nor down; a "
        "disconnected worker, stopped or lost, turns not responding when its timeout is over.",
    ).with_target(style.instant(f"sum by (status) (heartbeat_workers{{{WORKERS}}})", "{{status}}"))
    return style.paint(panel, style.STATUS_COLORS).no_value("no workers")


def share_up() -> stat.Panel:
    return (
        style.numbers(
            "Share of workers up",
            "Workers alive among all that are known but were not stopped: a deploy leaves it as it is.",
            unit=units.PercentUnit,
        )
        .decimals(1)
        .thresholds(style.shares())
        .with_target(style.instant(share_alive(), "up"))
        .no_value(NONE_EXPECTED)
    )


def lowest_availability() -> stat.Panel:
    return (
        style.numbers(
            "Lowest availability",
            "Of the chosen groups' availability over 30 days the lowest: time up, of the time up or down "
            "without having been stopped.",
            unit=units.PercentUnit,
        )
        .decimals(2)
        .thresholds(style.shares())
        .with_target(
            style.instant(
                'bottomk(1, group:heartbeat_availability:ratio_rate30d{group=~"$group"})', "{{group}}"
            )
        )
        .no_value(NOT_RECORDED)
    )


def history() -> lines.Panel:
    panel = style.stacked(
        "Workers by status over time", "Workers in each status. The total falls when a worker is forgotten."
    ).with_target(style.query(f"sum by (status) (heartbeat_workers{{{WORKERS}}})", "{{status}}"))
    return style.paint(panel, style.STATUS_COLORS).no_value("no workers")


def changes() -> lines.Panel:
    return style.events(
        "Status changes by reason",
        "Changes of status within each step of the graph, by reason: shutdown is a clean stop; "
        "connection_lost, timeout and never_connected are not.",
        {
            "{{reason}}": "sum by (reason) "
            f"(increase(heartbeat_status_changes_total{{{WORKERS}}}[$__rate_interval]))"
        },
        REASON_COLORS,
        none="no changes",
    )


def timeline() -> statetimeline.Panel:
    return (
        style.timeline(
            "Workers, the worst first",
            f"The {MOST} workers that are worst off at the end of the time range: silent, lost, never "
            "connected, stopped, pending, up, and of those alike the ones that changed last. A click on one "
            "leads to its dashboard.",
            rows_per_page=20,
        )
        .mappings(style.states(STATES))
        .max_data_points(240)
        .data_links([frame.to_worker("__field.labels.worker_id", "__field.labels.group")])
        .with_target(style.query(TIMELINE.strip(), "{{worker}} · {{group}}"))
        .no_value("no workers")
    )


def up_by_group() -> bargauge.Panel:
    return worst_groups(
        "Share of workers up, by group",
        f"The {WORST_GROUPS} groups with the smallest share of workers alive now, of those not stopped.",
        UP_BY_GROUP,
    ).no_value(NONE_EXPECTED)


def availability() -> bargauge.Panel:
    return (
        worst_groups(
            "Availability over 30 days, by group",
            f"The {WORST_GROUPS} groups with the lowest: time that workers were up, of the time up or down "
            "without having been stopped. Since Prometheus has records, when that is less.",
            AVAILABILITY,
        )
        .decimals(3)
        .no_value(NOT_RECORDED)
    )


def budget() -> bargauge.Panel:
    return (
        worst_groups(
            "Error budget left, by group",
            f"The {WORST_GROUPS} groups with the least: of the time that the objective allows workers to be "
            "down in 30 days, the share that is left. Below zero the objective is missed.",
            BUDGET_LEFT,
        )
        .thresholds(style.steps((None, style.BAD), (0, style.WARN), (0.25, style.GOOD)))
        .no_value(NOT_RECORDED)
    )


def worst_groups(title: str, description: str, expr: str) -> bargauge.Panel:
    return (
        style.bars(title, description, unit=units.PercentUnit)
        .min(0)
        .max(1)
        .thresholds(style.shares())
        .data_links([frame.to(UID, "Only this group", group="__field.labels.group")])
        .with_target(style.instant(expr.strip(), "{{group}}"))
    )
