"""A dashboard as a value, and what Grafana makes of it: places, ids, links and annotations are the same everywhere."""

from collections.abc import Sequence
from dataclasses import dataclass

from grafana_foundation_sdk.builders import dashboard as build
from grafana_foundation_sdk.models import dashboard

from dashboards import variables
from dashboards.variables import DATASOURCE, Variable

COLUMNS = 24
TAG = "lightfloor"


@dataclass(frozen=True, slots=True)
class Row:
    """Panels under a heading, left to right, in as many lines as they need."""

    title: str
    panels: tuple[dashboard.Panel, ...]


@dataclass(frozen=True, slots=True)
class Board:
    """One dashboard. name: its file and, after `lightfloor-`, its uid; choices: the variables beside data source and page.

    page: the collector's page that it links to, after the base URL. span: what it shows at first, as `now-…`.
    """

    name: str
    title: str
    description: str
    choices: tuple[Variable, ...]
    rows: tuple[Row, ...]
    page: str = "/"
    span: str = "now-6h"

    @property
    def uid(self) -> str:
        """What links to it say."""
        return f"{TAG}-{self.name}"


def build_dashboard(board: Board) -> dashboard.Dashboard:
    """Grafana's own model of it (classic schema), with every panel in place."""
    builder = (
        build.Dashboard(f"Lightfloor / {board.title}")
        .uid(board.uid)
        .description(board.description)
        .tags([TAG])
        .readonly()
        .timezone("browser")
        .time(board.span, "now")
        .refresh("1m")
        .tooltip(dashboard.DashboardCursorSync.CROSSHAIR)
        .variables([variables.datasource(), *board.choices, variables.collector()])
        .links([_other_dashboards(), _collector_page(board.page)])
        .annotations([_alerts(), _incidents()])
    )
    built = builder.build()
    built.panels = placed(board.rows)
    return built


def placed(rows: Sequence[Row]) -> list[dashboard.Panel | dashboard.RowPanel]:
    """Headings and panels with grid position and id, from the top; a panel that does not fit begins a new line."""
    found: list[dashboard.Panel | dashboard.RowPanel] = []
    top = 0
    for row in rows:
        heading = build.Row(row.title).build()
        heading.id_val = len(found) + 1
        heading.grid_pos = dashboard.GridPos(h=1, w=COLUMNS, x=0, y=top)
        found.append(heading)
        left, top, tallest = 0, top + 1, 0
        for panel in row.panels:
            size = panel.grid_pos or dashboard.GridPos()
            if left + size.w > COLUMNS:
                left, top, tallest = 0, top + tallest, 0
            panel.id_val = len(found) + 1
            panel.grid_pos = dashboard.GridPos(h=size.h, w=size.w, x=left, y=top)
            found.append(panel)
            left, tallest = left + size.w, max(tallest, size.h)
        top += tallest
    return found


def link_to(name: str, **values: str) -> str:
    """URL of another dashboard, with its variables set and the time kept, for a panel's link."""
    chosen = "".join(f"&var-{variable}={value}" for variable, value in values.items())
    return f"/d/{TAG}-{name}?${{__url_time_range}}&var-datasource=${{datasource}}{chosen}"


def _other_dashboards() -> build.DashboardLink:
    return (
        build.DashboardLink("Lightfloor")
        .type(dashboard.DashboardLinkType.DASHBOARDS)
        .tags([TAG])
        .as_dropdown(True)
        .include_vars(True)
        .keep_time(True)
    )


def _collector_page(page: str) -> build.DashboardLink:
    return (
        build.DashboardLink("Collector page")
        .type(dashboard.DashboardLinkType.LINK)
        .icon("external link")
        .tooltip("The verdicts with the numbers they stand on")
        .url(f"${{collector}}{page}")
        .target_blank(True)
    )


def _alerts() -> build.AnnotationQuery:
    return (
        build.AnnotationQuery()
        .name("Alerts")
        .datasource(DATASOURCE)
        .enable(True)
        .icon_color("orange")
        .expr('ALERTS{alertname=~"Lightfloor.+",alertstate="firing",severity!="info"}')
        .step("60s")
        .title_format("{{alertname}}")
        .text_format("{{node}}{{source}} {{destination}}")
        .tag_keys("severity")
    )


def _incidents() -> build.AnnotationQuery:
    return (
        build.AnnotationQuery()
        .name("Incidents")
        .datasource(DATASOURCE)
        .enable(True)
        .icon_color("red")
        .expr("lightfloor_incidents_open > 0")
        .step("60s")
        .title_format("{{kind}}")
        .text_format("{{cause}} {{name}}")
        .tag_keys("kind")
    )
