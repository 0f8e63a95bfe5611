"""What surrounds the panels: variables, links between the dashboards, marks of alerts, the grid.

`job` and `instance` are those of the exporter. Series that an exporter shows are selected by both, and
`instance` is then aggregated away: it says nothing of a worker, and changes when the exporter moves.
Recorded series and alerts have neither.
"""

from __future__ import annotations

from typing import NamedTuple

from grafana_foundation_sdk.builders import dashboard
from grafana_foundation_sdk.models.dashboard import (
    DashboardCursorSync,
    DashboardLinkType,
    VariableOption,
    VariableRefresh,
    VariableSort,
)

from grafana.source import style

PROMETHEUS_UID = "heartbeat-prometheus"
TAG = "heartbeat"

JOB = "heartbeat-exporter"
"""The exporter's job in the shipped prometheus.yml. Where it has another name, Grafana chooses from those."""

EXPORTER = 'job=~"$job", instance=~"$instance"'
"""Matchers of the series that the chosen exporters show."""

WORKERS = f'{EXPORTER}, group=~"$group"'
"""The same for the series of the chosen groups and their workers."""

CONCERNED = 'group=~"$group|"'
"""Matcher of the alerts of the chosen groups, and of those that have no group and concern every one."""


class Section(NamedTuple):
    """Panels under a heading, each with its width and height in Grafana's grid of 24 columns."""

    title: str
    panels: tuple[tuple[style.AnyPanel, int, int], ...]


def board(
    uid: str, title: str, description: str, *choices: dashboard.QueryVariable, refresh: str = "30s"
) -> dashboard.Dashboard:
    """An empty dashboard with `datasource`, `job`, `instance` and the variables `choices`."""
    made = (
        dashboard.Dashboard(f"Heartbeat / {title}")
        .uid(uid)
        .description(description)
        .tags([TAG])
        .readonly()
        .tooltip(DashboardCursorSync.CROSSHAIR)
        .time("now-1h", "now")
        .refresh(refresh)
        .timezone("browser")
        .with_variable(data_source())
        .with_variable(
            # Not all of them at first: what every job has, such as CPU time, would be asked of all.
            choice(
                "job", "Job", "Scrape jobs of the exporter.", "label_values(heartbeat_build_info, job)"
            ).current(VariableOption(selected=True, text=[JOB], value=[JOB]))
        )
        .with_variable(
            choice(
                "instance",
                "Exporter",
                "Exporters, as Prometheus names them. Not the workers: these are told apart by group and id.",
                'label_values(heartbeat_build_info{job=~"$job"}, instance)',
            )
        )
        .link(siblings())
    )
    for variable in choices:
        made.with_variable(variable)
    return made


def fill(made: dashboard.Dashboard, *sections: Section) -> dashboard.Dashboard:
    """Put `sections` into `made`, top to bottom, and number its panels."""
    number = 0
    for section in sections:
        number += 1
        made.with_row(dashboard.Row(section.title).id(number))
        for panel, width, height in section.panels:
            number += 1
            made.with_panel(panel.id(number).span(width).height(height))
    return made


def data_source() -> dashboard.DatasourceVariable:
    return (
        dashboard.DatasourceVariable("datasource")
        .label("Data source")
        .description("The Prometheus that scrapes the exporter.")
        .type("prometheus")
        .current(VariableOption(selected=True, text="Prometheus", value=PROMETHEUS_UID))
    )


def choice(name: str, label: str, description: str, values: str) -> dashboard.QueryVariable:
    """Any number of `values`, a `label_values(...)` asked anew with each time range; at first all."""
    return (
        dashboard.QueryVariable(name)
        .label(label)
        .description(description)
        .datasource(style.SOURCE)
        .query({"query": values, "refId": name})
        .definition(values)
        .refresh(VariableRefresh.ON_TIME_RANGE_CHANGED)
        .sort(VariableSort.ALPHABETICAL_ASC)
        .multi(True)
        .include_all(True)
        .all_value(".+")
        .current(VariableOption(selected=True, text="All", value="$__all"))
    )


def group_choice() -> dashboard.QueryVariable:
    return choice(
        "group",
        "Group",
        "Groups of workers, as the workers name them.",
        f"label_values(heartbeat_workers{{{EXPORTER}}}, group)",
    )


def siblings() -> dashboard.DashboardLink:
    """To every dashboard of this project, keeping the time range and what is chosen."""
    return (
        dashboard.DashboardLink("Heartbeat dashboards")
        .type(DashboardLinkType.DASHBOARDS)
        .tags([TAG])
        .as_dropdown(True)
        .include_vars(True)
        .keep_time(True)
        .tooltip("The dashboards of the heartbeat exporter")
    )


def firing_marks(matchers: str = CONCERNED) -> dashboard.AnnotationQuery:
    """One mark per alert and group, however many workers it fires for."""
    which = ", ".join(filter(None, ('alertname=~"Heartbeat.+"', 'alertstate="firing"', matchers)))
    return annotation(
        "Firing alerts", f"sum by (alertname, group) (ALERTS{{{which}}})", "{{alertname}}", "{{group}}"
    )


def annotation(
    name: str, expr: str, title: str, text: str, *, color: str = style.BAD, step: str = "60s"
) -> dashboard.AnnotationQuery:
    """Marks where `expr` is above 0, one for as long as a series lasts without a gap."""
    return (
        dashboard.AnnotationQuery()
        .name(name)
        .datasource(style.SOURCE)
        .enable(True)
        .icon_color(color)
        .expr(expr)
        .step(step)
        .title_format(title)
        .text_format(text)
    )


def to(uid: str, title: str, **variables: str) -> dashboard.DashboardLink:
    """From a value to another dashboard, with the same exporter and time range and `variables` set.

    A variable is set to that of a label, `__field.labels.worker_id`, or, in a table, of the row's column,
    `__data.fields.Id`. Names may have what means something in an address, as `#` and `+` do.
    """
    kept = [f"${{{name}:queryparam}}" for name in ("datasource", "job", "instance")]
    given = [f"var-{name}=${{{source}:percentencode}}" for name, source in variables.items()]
    return dashboard.DashboardLink(title).url(f"/d/{uid}?{'&'.join((*kept, *given))}&${{__url_time_range}}")


def to_worker(worker_id: str, group: str) -> dashboard.DashboardLink:
    return to("heartbeat-worker", "This worker", worker_id=worker_id, group=group)
