"""The few shapes of panel that all dashboards are made of. Each takes its unit and its description; none has a default.

A panel has width and height in Grafana's grid of 24 columns; board.py gives it its place and its id.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from grafana_foundation_sdk.builders import common as build_common
from grafana_foundation_sdk.builders import dashboard as build_dashboard
from grafana_foundation_sdk.builders import heatmap as build_heatmap
from grafana_foundation_sdk.builders import prometheus, stat, timeseries
from grafana_foundation_sdk.models import common, dashboard, heatmap
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

from dashboards.variables import DATASOURCE

PLAIN_BYTES = "suffix: B"
"""The unit of a packet's size: 1500 B and not 1.46 KiB."""

GREEN, YELLOW, ORANGE, RED, PURPLE, BLUE, GREY = "green", "yellow", "orange", "red", "purple", "blue", "text"
Thresholds = Sequence[tuple[float | None, str]]
"""(from which value, colour), ascending; the first from None, minus infinity."""

Words = Mapping[str, tuple[str, str]]
"""A name or value → what is shown in its place, and its colour."""

NEUTRAL: Thresholds = ((None, GREY),)
GOOD_IS_ONE: Thresholds = ((None, RED), (1, GREEN))
GOOD_IS_ZERO: Thresholds = ((None, GREEN), (1, RED))


@dataclass(frozen=True, slots=True)
class Query:
    """PromQL and the name of its series, with {{label}} for a label's value."""

    expr: str
    legend: str = ""


def lines(
    title: str,
    description: str,
    unit: str,
    *queries: Query,
    width: int = 12,
    height: int = 8,
    thresholds: Thresholds = (),
    stacked: bool = False,
    lowest: float | None = 0,
    link: tuple[str, str] | None = None,
    words: Words | None = None,
) -> dashboard.Panel:
    """Values over time. thresholds are drawn as lines; lowest: the axis begins there at the latest; link: (title, URL).

    words: for series of these names.
    """
    panel = _line_panel(title, description, unit, width, height).fill_opacity(30 if stacked else 0)
    panel.targets([target(query, index) for index, query in enumerate(queries)])
    if lowest is not None:
        panel.axis_soft_min(lowest)
    if unit == "percentunit":
        panel.axis_soft_max(0.01)  # a flat zero is drawn on an axis up to 10,000% otherwise
    if stacked:
        panel.stacking(build_common.StackingConfig().mode(common.StackingMode.NORMAL).group("A"))
    if thresholds:
        panel.thresholds(steps(thresholds)).thresholds_style(
            build_common.GraphThresholdsStyleConfig().mode(common.GraphThresholdsStyleMode.DASHED)
        )
    if link is not None:
        panel.data_links([link_of(*link)])
    for name, shown in (words or {}).items():
        panel.override_by_name(name, _named(*shown))
    return panel.build()


def figure(
    title: str,
    description: str,
    unit: str,
    query: Query,
    *,
    thresholds: Thresholds = NEUTRAL,
    width: int = 4,
    height: int = 4,
    decimals: int | None = None,
    only_name: bool = False,
    words: Words | None = None,
    link: tuple[str, str] | None = None,
) -> dashboard.Panel:
    """One large number of the moment, or one per series. No data is shown as such.

    only_name: the series' name in the number's place; words: for series of these names; link: (title, URL).
    """
    panel = (
        stat.Panel()
        .title(title)
        .description(description)
        .datasource(DATASOURCE)
        .unit(unit)
        .span(width)
        .height(height)
        .with_target(target(query, 0, instant=True))
        .thresholds(steps(thresholds))
        .graph_mode(common.BigValueGraphMode.NONE)
        .color_mode(common.BigValueColorMode.VALUE)
        .text_mode(_text_mode(query, only_name))
        .reduce_options(build_common.ReduceDataOptions().calcs(["lastNotNull"]).values(False))
        .no_value("no data")
    )
    if decimals is not None:
        panel.decimals(decimals)
    if link is not None:
        panel.data_links([link_of(*link)])
    for name, shown in (words or {}).items():
        panel.override_by_name(name, _named(*shown))
    return panel.build()


def buckets(
    title: str, description: str, unit: str, expr: str, *, width: int = 12, height: int = 8
) -> dashboard.Panel:
    """A heat map of a histogram over time; expr as of promql.distribution."""
    return (
        build_heatmap.Panel()
        .title(title)
        .description(description)
        .datasource(DATASOURCE)
        .unit(unit)
        .span(width)
        .height(height)
        .with_target(target(Query(expr, "{{le}}"), 0).format(PromQueryFormat.HEATMAP))
        .calculate(False)
        .cell_gap(0)
        .y_axis(build_heatmap.YAxisConfig().unit(unit))
        .color(
            build_heatmap.HeatmapColorOptions()
            .mode(heatmap.HeatmapColorMode.SCHEME)
            .scheme("Blues")
            .scale(heatmap.HeatmapColorScale.EXPONENTIAL)
            .exponent(0.5)
            .steps(64)
        )
        .build()
    )


def target(
    query: Query, index: int, *, instant: bool = False, as_table: bool = False
) -> prometheus.Dataquery:
    """The query as the panel's index-th; instant: of the end of the period alone."""
    made = (
        prometheus.Dataquery()
        .datasource(DATASOURCE)
        .expr(query.expr)
        .ref_id(ref_of(index))
        .legend_format(query.legend or "__auto")
    )
    made = made.instant() if instant else made.range()
    return made.format(PromQueryFormat.TABLE) if as_table else made


def _line_panel(title: str, description: str, unit: str, width: int, height: int) -> timeseries.Panel:
    return (
        timeseries.Panel()
        .title(title)
        .description(description)
        .datasource(DATASOURCE)
        .unit(unit)
        .span(width)
        .height(height)
        .tooltip(
            build_common.VizTooltipOptions()
            .mode(common.TooltipDisplayMode.MULTI)
            .sort(common.SortOrder.DESCENDING)
        )
        .legend(
            build_common.VizLegendOptions()
            .display_mode(common.LegendDisplayMode.LIST)
            .placement(common.LegendPlacement.BOTTOM)
            .show_legend(True)
        )
        .color_scheme(build_dashboard.FieldColor().mode(dashboard.FieldColorModeId.PALETTE_CLASSIC))
        .show_points(common.VisibilityMode.NEVER)
    )


def _named(text: str, colour: str) -> list[dashboard.DynamicConfigValue]:
    fixed = {"mode": "fixed", "fixedColor": colour}
    return [dashboard.DynamicConfigValue("displayName", text), dashboard.DynamicConfigValue("color", fixed)]


def _text_mode(query: Query, only_name: bool) -> common.BigValueTextMode:
    if only_name:
        return common.BigValueTextMode.NAME
    return common.BigValueTextMode.VALUE_AND_NAME if query.legend else common.BigValueTextMode.VALUE


def ref_of(index: int) -> str:
    """A, B, C …: what Grafana calls a panel's queries."""
    return chr(ord("A") + index)


def steps(thresholds: Thresholds) -> build_dashboard.ThresholdsConfig:
    return (
        build_dashboard.ThresholdsConfig()
        .mode(dashboard.ThresholdsMode.ABSOLUTE)
        .steps([dashboard.Threshold(value, colour) for value, colour in thresholds])
    )


def link_of(title: str, url: str) -> build_dashboard.DashboardLink:
    return build_dashboard.DashboardLink(title).url(url)
