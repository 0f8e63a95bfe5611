"""The house style of panels: queries, colours, panels of each kind.

A panel made here has a title, a description, a unit and the data source of the `datasource` variable;
what it shows is the caller's.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias, TypeVar

from grafana_foundation_sdk.builders import (
    bargauge,
    common,
    dashboard,
    heatmap,
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
    GraphDrawStyle,
    LegendDisplayMode,
    LegendPlacement,
    SortOrder,
    StackingMode,
    TooltipDisplayMode,
    VisibilityMode,
    VizOrientation,
)
from grafana_foundation_sdk.models.dashboard import (
    DynamicConfigValue,
    FieldColorModeId,
    RangeMap,
    RegexMap,
    SpecialValueMap,
    Threshold,
    ThresholdsMode,
    ValueMap,
    ValueMappingResult,
)
from grafana_foundation_sdk.models.heatmap import HeatmapColorMode, HeatmapColorScale
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

# Colours of Okabe and Ito, which people with any of the common kinds of colour blindness tell apart;
# without their yellow, which is hard to see on the light theme. No panel relies on them alone.
GREEN, BLUE, SKY = "#009E73", "#0072B2", "#56B4E9"
ORANGE, VERMILLION, PINK, GREY = "#E69F00", "#D55E00", "#CC79A7", "#8E8E8E"

GOOD, WARN, BAD = GREEN, ORANGE, VERMILLION
UP, PENDING, STOPPED, LOST, SILENT, NEVER = GREEN, SKY, PINK, ORANGE, VERMILLION, BLUE

STATUS_COLORS = {
    "alive": UP,
    "connected": PENDING,
    "registered": BLUE,
    "disconnected": LOST,
    "not_responding": SILENT,
}
SEVERITY_COLORS = {"critical": BAD, "warning": WARN, "info": SKY}
QUANTILES = {
    0.5: ("A", "50%", SKY, "solid"),
    0.95: ("B", "95%", ORANGE, "dash"),
    0.99: ("C", "99%", BAD, "dot"),
}
"""Of a histogram's curves: query, name, colour and line."""

COUNTED_EVERY = "30s"
"""The least step of what is counted by step.

`$__rate_interval` is the step and one scrape more, but never less than four scrapes: at a step of one scrape
whatever happens would be counted four times.
"""

SOURCE = DataSourceRef(type_val="prometheus", uid="${datasource}")
"""The Prometheus chosen in the `datasource` variable."""

AnyMapping: TypeAlias = ValueMap | RangeMap | RegexMap | SpecialValueMap

AnyPanel: TypeAlias = (
    bargauge.Panel | heatmap.Panel | lines.Panel | stat.Panel | statetimeline.Panel | table.Panel
)
PanelT = TypeVar(
    "PanelT", bargauge.Panel, heatmap.Panel, lines.Panel, stat.Panel, statetimeline.Panel, table.Panel
)


def query(expr: str, legend: str = "", *, ref: str = "A") -> prometheus.Dataquery:
    """A query over the dashboard's time range."""
    return prometheus.Dataquery().expr(expr).legend_format(legend).ref_id(ref).datasource(SOURCE).range()


def instant(expr: str, legend: str = "", *, ref: str = "A", rows: bool = False) -> prometheus.Dataquery:
    """A query at the end of the dashboard's time range; `rows` gives one table row per series."""
    made = prometheus.Dataquery().expr(expr).legend_format(legend).ref_id(ref).datasource(SOURCE).instant()
    return made.format(PromQueryFormat.TABLE) if rows else made


def elapsed(expr: str) -> str:
    """PromQL for a time that has passed: of clocks that differ a little the result would be negative."""
    return f"clamp_min({expr}, 0)"


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


def shares(warn: float = 0.99, bad: float = 0.9) -> dashboard.ThresholdsConfig:
    """Colours of a share of what should be: good from `warn`, bad below `bad`."""
    return steps((None, BAD), (bad, WARN), (warn, GOOD))


def fixed(color: str) -> DynamicConfigValue:
    return DynamicConfigValue(id_val="color", value={"mode": "fixed", "fixedColor": color})


def numbers(title: str, description: str, *, unit: str = units.Short) -> stat.Panel:
    """Large figures, named by their series, without colour until they get thresholds of their own.

    Grafana's default is red from 80 on.
    """
    return (
        _framed(stat.Panel(), title, description, unit)
        .text_mode(BigValueTextMode.VALUE_AND_NAME)
        .color_mode(BigValueColorMode.VALUE)
        .thresholds(steps((None, "text")))
        .graph_mode(BigValueGraphMode.NONE)
        .reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]).values(False))
    )


def paint(panel: PanelT, colors: Mapping[str, str]) -> PanelT:
    """Give each series its colour, by its name in the legend."""
    for name, color in colors.items():
        panel.override_by_name(name, [fixed(color)])
    return panel


def line(style: str) -> DynamicConfigValue:
    """A line that is told from others without colour: `solid`, `dash` or `dot`."""
    dash = {"dash": [10, 10], "dot": [0, 6]}.get(style, [])
    fill = style if style in ("dash", "dot") else "solid"
    return DynamicConfigValue(id_val="custom.lineStyle", value={"fill": fill, "dash": dash})


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


def events(
    title: str, description: str, series: Mapping[str, str], colors: Mapping[str, str], *, none: str
) -> lines.Panel:
    """How often something happened within each step of the graph, and `none` if it never did.

    `series` are counts by legend; what did not happen is left out of the legend.
    """
    panel = stacked(title, description).draw_style(GraphDrawStyle.BARS).no_value(none)
    panel.interval(COUNTED_EVERY)
    for ref, (legend, counts) in zip("ABC", series.items(), strict=False):
        panel.with_target(query(f"{counts} > 0", legend, ref=ref))
    return paint(panel, colors)


def quantiles(title: str, description: str, metric: str, matchers: str) -> lines.Panel:
    """How long most, nearly all and all but a few took, of the histogram `metric` in seconds.

    There is no value where nothing was observed, rather than NaN: Grafana tells so of a panel without any.
    """
    panel = curves(title, description, unit=units.Seconds).min(0).no_value("nothing happened")
    for quantile, (ref, name, color, style) in QUANTILES.items():
        rates = f"rate({metric}_bucket{{{matchers}}}[$__rate_interval])"
        panel.with_target(query(f"histogram_quantile({quantile}, sum by (le) ({rates})) >= 0", name, ref=ref))
        panel.override_by_name(name, [fixed(color), line(style)])
    return panel


def buckets(title: str, description: str, metric: str, matchers: str) -> heatmap.Panel:
    """How many took how long within each step, of the histogram `metric` in seconds.

    Viridis grows in lightness and reads the same to the colour-blind.
    """
    counts = f"sum by (le) (increase({metric}_bucket{{{matchers}}}[$__rate_interval]))"
    return (
        _framed(heatmap.Panel(), title, description, units.Seconds)
        .calculate(False)
        .color(
            heatmap.HeatmapColorOptions()
            .mode(HeatmapColorMode.SCHEME)
            .scheme("Viridis")
            .scale(HeatmapColorScale.EXPONENTIAL)
            .exponent(0.5)
            .steps(64)
        )
        .y_axis(heatmap.YAxisConfig().unit(units.Seconds))
        .cell_values(heatmap.CellValues().unit(units.Short))
        .filter_values(heatmap.FilterValueRange().le(1e-9))
        .cell_gap(1)
        .show_legend()
        .tooltip(heatmap.HeatmapTooltip().mode(TooltipDisplayMode.SINGLE).y_histogram(True))
        .interval(COUNTED_EVERY)
        .with_target(query(counts, "{{le}}").format(PromQueryFormat.HEATMAP))
    )


def bars(title: str, description: str, *, unit: str) -> bargauge.Panel:
    return (
        _framed(bargauge.Panel(), title, description, unit)
        .orientation(VizOrientation.HORIZONTAL)
        .display_mode(BarGaugeDisplayMode.BASIC)
        .thresholds(steps((None, BLUE)))
        .reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]).values(False))
    )


def timeline(title: str, description: str, *, rows_per_page: int) -> statetimeline.Panel:
    return (
        _framed(statetimeline.Panel(), title, description, units.NoUnit)
        .merge_values(True)
        .show_value(VisibilityMode.AUTO)
        .row_height(0.85)
        .per_page(rows_per_page)
        .fill_opacity(80)
        .line_width(0)
        .legend(_legend())
    )


def rows(title: str, description: str, *, unit: str = units.Short) -> table.Panel:
    return _framed(table.Panel(), title, description, unit)


def _framed(panel: PanelT, title: str, description: str, unit: str) -> PanelT:
    return panel.title(title).description(description).unit(unit).datasource(SOURCE)


def _legend() -> common.VizLegendOptions:
    legend = common.VizLegendOptions().show_legend(True).display_mode(LegendDisplayMode.LIST)
    return legend.placement(LegendPlacement.BOTTOM).calcs([])
