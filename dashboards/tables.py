"""Panels that are tables: one row for each path or node, and the matrix of all pairs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from grafana_foundation_sdk.builders import common as build_common
from grafana_foundation_sdk.builders import table
from grafana_foundation_sdk.models import common, dashboard

from dashboards.panels import Query, Thresholds, Words, link_of, ref_of, steps, target
from dashboards.variables import DATASOURCE

NOTHING = dashboard.SpecialValueMap(
    dashboard.DashboardSpecialValueMapOptions(
        dashboard.SpecialValueMatch.NULL_AND_NAN, dashboard.ValueMappingResult(text="", color="transparent")
    )
)
"""A cell without a value. Unmapped it would have the colour of the lowest threshold, which may be that of a good value."""


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table: a label, or the value of a query of its own."""

    title: str
    unit: str
    expr: str
    thresholds: Thresholds = ()


def rows(
    title: str,
    description: str,
    labels: Mapping[str, str],
    columns: Sequence[Column],
    *,
    sort: str,
    descending: bool = True,
    words: Mapping[str, Words] | None = None,
    link: tuple[str, str] | None = None,
    width: int = 24,
    height: int = 10,
) -> dashboard.Panel:
    """A table with one row for each set of labels (label → its heading) and one query per column.

    All queries give the same labels, or one of them some more. sort: heading; words: heading → value → (text, colour);
    link on the first label's cells.
    """
    panel = (
        _table(title, description, width, height)
        .targets(
            [
                target(Query(column.expr), index, instant=True, as_table=True)
                for index, column in enumerate(columns)
            ]
        )
        .sort_by([build_common.TableSortByFieldState().display_name(sort).desc(descending)])
        .filterable(True)
    )
    panel.transformations(_one_row_each(labels, columns))
    for column in columns:
        panel.override_by_name(column.title, _cells(column.unit, column.thresholds))
    for heading, texts in (words or {}).items():
        panel.override_by_name(heading, [_property("mappings", [_mapping(texts)]), _coloured("color-text")])
    if link is not None:
        panel.override_by_name(next(iter(labels.values())), [_property("links", [link_of(*link).build()])])
    return panel.build()


def matrix(
    title: str,
    description: str,
    unit: str,
    expr: str,
    *,
    row: str,
    column: str,
    thresholds: Thresholds,
    link: tuple[str, str],
    width: int = 12,
    height: int = 10,
    decimals: int = 2,
) -> dashboard.Panel:
    """A coloured square for each value of the labels `row` and `column`; empty and without colour where there is no data."""
    heading = f"{row}\\{column}"
    panel = (
        _table(title, description, width, height)
        .unit(unit)
        .decimals(decimals)
        .thresholds(steps(thresholds))
        .cell_options(
            common.TableColoredBackgroundCellOptions(mode=common.TableCellBackgroundDisplayMode.BASIC)
        )
        .align(common.FieldTextAlignment.CENTER)
        .with_target(target(Query(expr), 0, instant=True, as_table=True))
        .transformations(_pivoted(row, column, heading))
        .mappings([NOTHING])
        .override_by_name(
            heading,
            [
                _property("custom.cellOptions", {"type": "auto"}),
                _property("unit", "string"),
            ],
        )
    )
    panel.override_by_regexp(r"/^[^\\]+$/", [_property("links", [link_of(*link).build()])])
    return panel.build()


def _table(title: str, description: str, width: int, height: int) -> table.Panel:
    return (
        table.Panel()
        .title(title)
        .description(description)
        .datasource(DATASOURCE)
        .span(width)
        .height(height)
        .no_value("")
        .min_width(80)
    )


def _one_row_each(
    labels: Mapping[str, str], columns: Sequence[Column]
) -> list[dashboard.DataTransformerConfig]:
    """The queries' tables as one, its columns in order and under their headings."""
    names = dict(labels)
    for index, column in enumerate(columns):
        names[f"Value #{ref_of(index)}" if len(columns) > 1 else "Value"] = column.title
    order = {name: place for place, name in enumerate(names)}
    organized = dashboard.DataTransformerConfig(
        id_val="organize",
        options={"excludeByName": {"Time": True}, "indexByName": order, "renameByName": names},
    )
    if len(columns) == 1:
        return [organized]
    return [dashboard.DataTransformerConfig(id_val="merge", options={}), organized]


def _pivoted(row: str, column: str, heading: str) -> list[dashboard.DataTransformerConfig]:
    """One column for each value of the label `column`; both labels in order."""
    options = {"rowField": row, "columnField": column, "valueField": "Value", "emptyValue": "null"}
    grouped = dashboard.DataTransformerConfig(id_val="groupingToMatrix", options=options)
    return [_sorted_by(column), grouped, _sorted_by(heading)]


def _sorted_by(field: str) -> dashboard.DataTransformerConfig:
    return dashboard.DataTransformerConfig(
        id_val="sortBy", options={"fields": {}, "sort": [{"field": field, "desc": False}]}
    )


def _cells(unit: str, thresholds: Thresholds) -> list[dashboard.DynamicConfigValue]:
    found = [_property("unit", unit)]
    if thresholds:
        found += [_property("thresholds", steps(thresholds).build()), _coloured("color-text")]
    return found


def _coloured(kind: str) -> dashboard.DynamicConfigValue:
    return _property("custom.cellOptions", {"type": kind})


def _property(name: str, value: object) -> dashboard.DynamicConfigValue:
    return dashboard.DynamicConfigValue(name, value)


def _mapping(words: Words) -> dashboard.ValueMap:
    return dashboard.ValueMap(
        {
            value: dashboard.ValueMappingResult(text=text, color=colour, index=index)
            for index, (value, (text, colour)) in enumerate(words.items())
        }
    )
