"""The house style of the dashboards: data source, variables, queries, colours, panels of each kind.

A panel made here has a title, a description, a unit and the data source of the `datasource` variable;
what it shows is the caller's. Heights and widths are in Grafana's grid of 24 columns.

No dashboard has `job` and `instance` variables. The `instance` of these series is the exporter's, not
the worker's, and changes when the exporter moves; every query aggregates it away.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias, TypeVar

from grafana_foundation_sdk.builders import (
    bargauge,
    common,
    dashboard,
    prometheus,
    stat,
    statetimeline,
    table,
)
from grafana_foundation_sdk.builders import timeseries as lines
from grafana_foundation_sdk.models import units
from grafana_foundation_sdk.models.common import (
    BarGaugeDisplayMode,
    BigValueColorMode,
    BigValueGraphMode,
    BigValueTextMode,
    DataSourceRef,
    LegendDisplayMode,
    LegendPlacement,
    SortOrder,
    StackingMode,
    TooltipDisplayMode,
    VisibilityMode,
    VizOrientation,
)
from grafana_foundation_sdk.models.dashboard import (
    DashboardLinkType,
    DynamicConfigValue,
    FieldColorModeId,
    RangeMap,
    RegexMap,
    SpecialValueMap,
    Threshold,
    ThresholdsMode,
    ValueMap,
    ValueMappingResult,
    VariableOption,
    VariableRefresh,
    VariableSort,
)
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

PROMETHEUS_UID = "heartbeat-prometheus"
TAG = "heartbeat"

UP, PENDING, STOPPED, LOST, SILENT, NEVER = "green", "blue", "purple", "orange", "red", "dark-red"

_SOURCE = DataSourceRef(type_val="prometheus", uid="${datasource}")

AnyMapping: TypeAlias = ValueMap | RangeMap | RegexMap | SpecialValueMap

AnyPanel: TypeAlias = bargauge.Panel | lines.Panel | stat.Panel | statetimeline.Panel | table.Panel
PanelT = TypeVar("PanelT", bargauge.Panel, lines.Panel, stat.Panel, statetimeline.Panel, table.Panel)


def query(expr: str, legend: str = "", *, ref: str = "A") -> prometheus.Dataquery:
    """A query over the dashboard's time range."""
    return prometheus.Dataquery().expr(expr).legend_format(legend).ref_id(ref).datasource(_SOURCE).range()


def instant(expr: str, legend: str = "", *, ref: str = "A", rows: bool = False) -> prometheus.Dataquery:
    """A query at the end of the dashboard's time range; `rows` gives one table row per series."""
    made = prometheus.Dataquery().expr(expr).legend_format(legend).ref_id(ref).datasource(_SOURCE).instant()
    return made.format(PromQueryFormat.TABLE) if rows else made


def data_source() -> dashboard.DatasourceVariable:
    return (
        dashboard.DatasourceVariable("datasource")
        .label("Data Source")
        .description("The Prometheus that scrapes the exporter.")
        .type("prometheus")
        .current(VariableOption(selected=True, text="Prometheus", value=PROMETHEUS_UID))
    )


def group_choice() -> dashboard.QueryVariable:
    return (
        dashboard.QueryVariable("group")
        .label("Group")
        .description("Groups of workers, as the workers name them.")
        .datasource(_SOURCE)
        .query({"query": "label_values(heartbeat_workers, group)", "refId": "group"})
        .definition("label_values(heartbeat_workers, group)")
        .refresh(VariableRefresh.ON_TIME_RANGE_CHANGED)
        .sort(VariableSort.ALPHABETICAL_ASC)
        .multi(True)
        .include_all(True)
        .all_value(".+")
        .current(VariableOption(selected=True, text="All", value="$__all"))
    )


def fleet_link() -> dashboard.DashboardLink:
    """To every other dashboard of this project, keeping the time range and the chosen groups."""
    return (
        dashboard.DashboardLink("Heartbeat dashboards")
        .type(DashboardLinkType.DASHBOARDS)
        .tags([TAG])
        .as_dropdown(True)
        .include_vars(True)
        .keep_time(True)
        .tooltip("The other dashboards of the heartbeat exporter")
    )


def firing_marks() -> dashboard.AnnotationQuery:
    """One mark per alert and group, however many workers it fires for."""
    expr = 'sum by (alertname, group) (ALERTS{alertname=~"Heartbeat.+", alertstate="firing"})'
    return (
        dashboard.AnnotationQuery()
        .name("Firing alerts")
        .datasource(_SOURCE)
        .enable(True)
        .icon_color("red")
        .expr(expr)
        .step("60s")
        .title_format("{{alertname}}")
        .text_format("{{group}}")
    )


def steps(*pairs: tuple[float | None, str]) -> dashboard.ThresholdsConfig:
    """Colours by value; the first pair's value is None, the colour of everything below the second."""
    made = [Threshold(value=value, color=color) for value, color in pairs]
    return dashboard.ThresholdsConfig().mode(ThresholdsMode.ABSOLUTE).steps(made)


def states(names: Mapping[int, tuple[str, str]]) -> list[AnyMapping]:
    """Text and colour for each whole number a state timeline can show."""
    return [
        ValueMap({str(value): ValueMappingResult(text=text, color=color, index=index)})
        for index, (value, (text, color)) in enumerate(names.items())
    ]


def fixed(color: str) -> DynamicConfigValue:
    return DynamicConfigValue(id_val="color", value={"mode": "fixed", "fixedColor": color})


def numbers(title: str, description: str, *, unit: str = units.Short) -> stat.Panel:
    """Large figures, named by their series."""
    return (
        _framed(stat.Panel(), title, description, unit)
        .text_mode(BigValueTextMode.VALUE_AND_NAME)
        .color_mode(BigValueColorMode.VALUE)
        .graph_mode(BigValueGraphMode.NONE)
        .reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]).values(False))
    )


def curves(title: str, description: str, *, unit: str) -> lines.Panel:
    return (
        _framed(lines.Panel(), title, description, unit)
        .fill_opacity(10)
        .show_points(VisibilityMode.NEVER)
        .color_scheme(dashboard.FieldColor().mode(FieldColorModeId.PALETTE_CLASSIC_BY_NAME))
        .legend(_legend())
        .tooltip(common.VizTooltipOptions().mode(TooltipDisplayMode.MULTI).sort(SortOrder.DESCENDING))
    )


def stacked(title: str, description: str, *, unit: str = units.Short) -> lines.Panel:
    return (
        curves(title, description, unit=unit)
        .fill_opacity(70)
        .line_width(0)
        .stacking(common.StackingConfig().mode(StackingMode.NORMAL).group("A"))
    )


def bars(title: str, description: str, *, unit: str) -> bargauge.Panel:
    return (
        _framed(bargauge.Panel(), title, description, unit)
        .orientation(VizOrientation.HORIZONTAL)
        .display_mode(BarGaugeDisplayMode.BASIC)
        .reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]).values(False))
    )


def timeline(title: str, description: str, *, rows_per_page: int) -> statetimeline.Panel:
    return (
        _framed(statetimeline.Panel(), title, description, units.NoUnit)
        .merge_values(True)
        .show_value(VisibilityMode.NEVER)
        .row_height(0.85)
        .per_page(rows_per_page)
        .fill_opacity(80)
        .line_width(0)
        .legend(_legend())
    )


def rows(title: str, description: str, *, unit: str = units.Short) -> table.Panel:
    return _framed(table.Panel(), title, description, unit)


def _framed(panel: PanelT, title: str, description: str, unit: str) -> PanelT:
    return panel.title(title).description(description).unit(unit).datasource(_SOURCE)


def _legend() -> common.VizLegendOptions:
    legend = common.VizLegendOptions().show_legend(True).display_mode(LegendDisplayMode.LIST)
    return legend.placement(LegendPlacement.BOTTOM).calcs([])
