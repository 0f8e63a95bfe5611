"""Panels of alerts that fire."""

from __future__ import annotations

from grafana_foundation_sdk.builders import stat, table
from grafana_foundation_sdk.models import units
from grafana_foundation_sdk.models.dashboard import DynamicConfigValue

from grafana.source import frame, style, tables

MOST = 50
"""How many alerts of each severity the table lists."""


def by_severity() -> stat.Panel:
    panel = style.numbers(
        "Firing alerts", "Alerts firing now, by severity; the table below names them."
    ).with_target(
        style.instant(
            f'sum by (severity) (ALERTS{{alertname=~"Heartbeat.+", {frame.CONCERNED}, alertstate="firing"}})',
            "{{severity}}",
        )
    )
    return style.paint(panel, style.SEVERITY_COLORS).no_value("none")


def firing(matchers: str = frame.CONCERNED) -> table.Panel:
    """Those with these labels, by default of the chosen groups."""
    which = f'alertname=~"Heartbeat.+", {matchers}'
    expr = (
        f"topk by (severity) ({MOST}, 1000 * "
        "max by (severity, alertname, group, worker, worker_id, reason) ("
        f"ALERTS_FOR_STATE{{{which}}} and ignoring (alertstate) "
        f'ALERTS{{{which}, alertstate="firing"}}))'
    )
    columns = {
        "Value": "Active",
        "severity": "Severity",
        "alertname": "Alert",
        "group": "Group",
        "worker": "Worker",
        "reason": "Reason",
        "worker_id": "Id",
    }
    severities = DynamicConfigValue(
        id_val="mappings",
        value=[
            {"type": "value", "options": {name: {"color": color, "index": index}}}
            for index, (name, color) in enumerate(style.SEVERITY_COLORS.items())
        ],
    )
    worker = frame.to_worker("__data.fields.Id", "__data.fields.Group")
    panel = style.rows(
        "Firing alerts and since when",
        f"Alerts firing now and when their condition began: the {MOST} latest of each severity. A click on a "
        "worker leads to its dashboard.",
        unit=units.DateTimeFromNow,
    )
    return (
        tables.labels(panel, expr, columns)
        .override_by_name("Severity", [severities, tables.COLORED])
        .override_by_name("Worker", [DynamicConfigValue(id_val="links", value=[worker.build()])])
        .no_value("none")
    )
