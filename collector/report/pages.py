"""The report as HTML and PDF: one self-contained page, drawn from the document alone."""

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

import msgspec
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import escape

from collector.incidents.breach import Kind
from collector.incidents.incident import Incident
from collector.incidents.words import (
    KINDS,
    also_words,
    cause_words,
    magnitude_words,
    seen_words,
    step_in_a_line,
)
from collector.report import words
from collector.report.document import BROKEN, PROVEN, Report, ReportPath

if TYPE_CHECKING:
    from collector.standing import Exclusion

CHART_WIDTH, CHART_HEIGHT = 640, 90
MOST_CHARTS = 12
MOST_BUDGETS = 40
"""Paths of the budget table: those with the least left; budget.csv has all."""
PRINTED_PATHS = 300
"""A table of 10,000 paths is 400 sheets that nobody reads, and gigabytes for whoever lays them out."""
MOST_MATRIX_CELLS = 900
"""A larger matrix is drawn: figures would be too small to read, and a table of so many cells slow."""
CELL, LABEL = 9, 90
COLOURS = {
    "PASS": "#9fd3ae", "FAIL": "#cf5048", "UNACHIEVABLE": "#cf5048", "IMPLAUSIBLE": "#a878c9",
    "NOT_PROVEN": "#e6cf78", "TOO_CLOSE": "#e6cf78",
}  # fmt: skip
"""Stated at each square: style sheets of the page do not reach into a printed drawing."""
MOST_INCIDENT_PATHS, MOST_INCIDENT_CHANGES, MOST_TIMES = 5, 5, 4


class PdfUnavailableError(Exception):
    """WeasyPrint or a library of it is not installed; says which."""


def html(report: Report, language: str, most_paths: int | None = None) -> str:
    """The whole page; the same bytes for the same document. most_paths: list only so many, those that stand worst."""
    environment = Environment(
        loader=PackageLoader("collector"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    text = words.TEXTS[language]
    environment.filters.update(ms=words.milliseconds, percent=words.percent, number=words.number)
    return environment.get_template("report.html.jinja").render(
        r=report,
        t=text,
        language=language,
        font=words.FONTS[language],
        verdict_names=words.VERDICTS[language],
        month=words.month_name(report.month, language),
        moment=lambda time_s: words.moment(time_s, report.zone, language),
        summary=summary(report, language),
        matrix=_matrix(report),
        drawn_matrix=drawn_matrix(_matrix(report)),
        paths=report.paths if most_paths is None else _standing_worst(report, most_paths),
        charts=[(path, chart(path)) for path in _worst(report)[:MOST_CHARTS]],
        week=_week(report),
        disturbed=_disturbed(report),
        announced=_announced(report),
        budgets=_budgets(report)[:MOST_BUDGETS],
        seconds=words.seconds_of,
        incidents=[_incident(each, report, language) for each in report.incidents],
        excused=[_incident(each, report, language) for each in report.excused],
        steps=[
            (
                words.moment(int(datetime.fromisoformat(each.time).timestamp()), report.zone, language),
                step_in_a_line(each, language),
            )
            for each in report.steps
        ],
    )


@dataclass(frozen=True, slots=True)
class Printed:
    """A PDF, and the font families that are embedded in it."""

    content: bytes
    families: frozenset[str]

    @property
    def has_chinese_font(self) -> bool:
        """Without one Chinese characters are empty boxes."""
        return not self.families.isdisjoint(words.FONTS["zh"].split(", "))


def pdf(page: str) -> Printed:
    """The page printed by WeasyPrint; the same bytes for the same page. Raises PdfUnavailableError."""
    try:
        from weasyprint import HTML  # noqa: PLC0415 - optional, and slow to import
    except (ImportError, OSError) as error:
        said = " ".join(str(error).split())[:200]
        raise PdfUnavailableError(f"no PDF without WeasyPrint and Pango: {said}") from error
    document = HTML(string=page).render()
    content: bytes = document.write_pdf(pdf_identifier=b"lightfloor")
    return Printed(content, frozenset(font.family for font in document.fonts.values()))


def summary(report: Report, language: str) -> list[str]:
    """What a manager reads first."""
    text = words.TEXTS[language]
    proven = sum(report.verdicts.get(verdict, 0) for verdict in PROVEN)
    broken = sum(report.verdicts.get(verdict, 0) for verdict in BROKEN)
    lines = [text["kept"].format(passed=proven - broken, proven=proven)]
    if broken:
        lines.append(text["broken"].format(broken=broken, proven=proven))
    unproven = sum(report.verdicts.values()) - proven
    if unproven:
        lines.append(text["unproven"].format(count=unproven))
    worst = _worst(report)
    if worst:
        row = worst[0].row
        shown = {"p99": words.milliseconds(row.p99_seconds), "limit": words.milliseconds(row.limit_seconds)}
        lines.append(text["worst"].format(source=row.source, destination=row.destination, **shown))
    if report.incidents:
        lines.append(text["incident_count"].format(count=len(report.incidents)))
    excluded = sum(path.row.excluded_minutes + path.row.maintenance_minutes for path in report.paths) / 60
    if excluded:
        lines.append(text["excluded"].format(hours=words.number(excluded, 1)))
    return lines


def _incident(incident: Incident, report: Report, language: str) -> dict[str, Any]:
    """One incident in the report's words."""

    def moment(time_s: int | None) -> str:
        if time_s is None:
            return words.TEXTS[language]["lasts"]
        return words.moment(time_s, report.zone, language)

    latency = incident.kind is Kind.LATENCY
    value = words.milliseconds if latency else words.number if incident.kind is Kind.MTU else words.percent
    paths = [
        f"{path.source} → {path.destination} {value(path.figure)}, {value(path.usual)}"
        for path in incident.paths[:MOST_INCIDENT_PATHS]
    ]
    changes = [
        f"{moment(each.time_s)} {each.kind} {each.source} → {each.destination}"
        for each in incident.changes[:MOST_INCIDENT_CHANGES]
    ]
    times = [f"{moment(each.start_s)} – {moment(each.end_s)}" for each in incident.occurrences]
    if len(times) > MOST_TIMES:
        times = [*times[: MOST_TIMES - 1], "…", times[-1]]
    return {
        "it": incident,
        "start": moment(incident.start_s),
        "end": moment(incident.end_s),
        "what": KINDS[language][incident.kind],
        "magnitude": magnitude_words(incident, language),
        "cause": cause_words(incident.cause, language),
        "seen": seen_words(incident, language),
        "also": also_words(incident.cause, language),
        "flags": ", ".join(f"{flag} {words.number(figure, 3)}" for flag, figure in incident.flags.items()),
        "times": "; ".join(times) if incident.recurring else "",
        "paths": "; ".join(paths),
        "changes": "; ".join(changes),
    }


def _worst(report: Report) -> list[ReportPath]:
    """Paths that broke their promise, the one furthest over its limit first."""

    def excess(path: ReportPath) -> float:
        row = path.row
        return (row.p99_seconds or 0) / row.limit_seconds if row.limit_seconds else 0

    broken = [path for path in report.paths if path.row.verdict in BROKEN]
    return sorted(broken, key=lambda path: (-excess(path), path.row.source, path.row.destination))


def chart(path: ReportPath) -> str:
    """P99 by day as an SVG's inner elements: a line with gaps, and the limit."""
    row, days = path.row, path.days
    values = [day.p99_seconds for day in days if day.p99_seconds is not None]
    top = max([*values, row.limit_seconds or 0]) * 1.1 if values else 1
    step = CHART_WIDTH / max(1, len(days) - 1)

    def y(seconds: float) -> float:
        return round(CHART_HEIGHT * (1 - seconds / top), 1)

    pieces: list[list[str]] = [[]]
    for at, day in enumerate(days):
        if day.p99_seconds is None:
            pieces.append([])
        else:
            pieces[-1].append(f"{round(at * step, 1)},{y(day.p99_seconds)}")
    lines = [
        f'<polyline fill="none" stroke="#30527a" stroke-width="1.5" points="{" ".join(points)}"/>'
        for points in pieces
        if len(points) > 1
    ]
    lines += [
        f'<circle fill="#30527a" cx="{points[0].split(",")[0]}" cy="{points[0].split(",")[1]}" r="2"/>'
        for points in pieces
        if len(points) == 1
    ]
    if row.limit_seconds is not None:
        lines.append(
            f'<line stroke="#b3261e" stroke-dasharray="4 3" x1="0" x2="{CHART_WIDTH}" y1="{y(row.limit_seconds)}" y2="{y(row.limit_seconds)}"/>'
        )
    return "".join(lines)


def _matrix(report: Report) -> dict[str, Any]:
    """Nodes, and the row of each pair by its worst verdict: paths with a proven breach first, then the highest ratio."""
    nodes = sorted({end for path in report.paths for end in (path.row.source, path.row.destination)})
    cells: dict[tuple[str, str], ReportPath] = {}
    for path in report.paths:
        pair = (path.row.source, path.row.destination)
        if pair not in cells or _rank(path) > _rank(cells[pair]):
            cells[pair] = path
    return {"nodes": nodes, "cells": cells}


def drawn_matrix(matrix: dict[str, Any]) -> str:
    """A large matrix as SVG, a square for each pair in the colour of its verdict; empty for one that fits a table."""
    nodes = matrix["nodes"]
    if len(nodes) ** 2 <= MOST_MATRIX_CELLS:
        return ""
    at = {node: LABEL + number * CELL for number, node in enumerate(nodes)}
    side = LABEL + len(nodes) * CELL
    parts = [f'<svg class="cells" viewBox="0 0 {side} {side}" role="img" font-size="7" fill="#1b2330">']
    for node, place in at.items():
        name = escape(node)
        middle = place + CELL / 2 + 2
        parts.append(f'<text x="{LABEL - 3}" y="{middle}" text-anchor="end">{name}</text>')
        parts.append(f'<text transform="translate({middle} {LABEL - 3}) rotate(-90)">{name}</text>')
    squares: dict[str, list[str]] = {}
    for (source, destination), path in sorted(matrix["cells"].items()):
        square = f"M{at[destination]} {at[source]}h{CELL - 1}v{CELL - 1}h{1 - CELL}z"
        squares.setdefault(path.row.verdict.value, []).append(square)
    parts += [
        f'<path fill="{COLOURS.get(verdict, "#dde2e9")}" d="{"".join(found)}"/>'
        for verdict, found in sorted(squares.items())
    ]
    return "".join([*parts, "</svg>"])


def _standing_worst(report: Report, most: int) -> list[ReportPath]:
    """So many paths: proven breaches first, then by P99 over the floor; in the report's order."""
    worst = sorted(report.paths, key=_rank, reverse=True)[:most]
    chosen = {id(path) for path in worst}
    return [path for path in report.paths if id(path) in chosen]


def _rank(path: ReportPath) -> tuple[bool, float]:
    return path.row.verdict in BROKEN, path.row.ratio_to_floor or 0


def _week(report: Report) -> list[list[dict[str, Any]]]:
    """Seven rows of 24 cells: ratio over the limit (None without samples) and a shade from 0 to 4."""
    ratios = [hour.over_limit / hour.judged if hour.judged else None for hour in report.week]
    bounds = (0.001, 0.01, 0.03, 0.1)
    cells = [
        {"ratio": ratio, "shade": None if ratio is None else sum(ratio > bound for bound in bounds)}
        for ratio in ratios
    ]
    return [cells[day * 24 : day * 24 + 24] for day in range(7)]


def _disturbed(report: Report) -> list[dict[str, Any]]:
    """Minutes that a host spoiled itself: by source and flag, over its paths, with the worst figure."""
    found: dict[tuple[str, str], dict[str, Any]] = {}
    for row in (path.row for path in report.paths):
        for exclusion in row.exclusions:
            if exclusion.origin is not None:
                continue
            key = (row.source, exclusion.reason)
            entry = found.setdefault(
                key, {"source": key[0], "reason": key[1], "minutes": 0, "worst": None, "paths": 0}
            )
            entry["minutes"] += exclusion.minutes
            entry["paths"] += 1
            entry["worst"] = max(entry["worst"] or 0.0, exclusion.worst or 0.0, key=abs)
    return [found[key] for key in sorted(found)]


def _announced(report: Report) -> list[dict[str, Any]]:
    """Announced work, each window once, in order of time; minutes: taken out of its paths, each minute once."""
    found: dict[Exclusion, dict[str, Any]] = {}
    for path in report.paths:
        for exclusion in path.row.exclusions:
            if exclusion.origin is None:
                continue
            key = msgspec.structs.replace(exclusion, minutes=0)
            entry = found.setdefault(key, {"window": exclusion, "paths": 0, "minutes": 0})
            entry["paths"] += 1
            entry["minutes"] += exclusion.minutes
    return sorted(found.values(), key=lambda entry: (entry["window"].start, entry["window"].reason))


def _budgets(report: Report) -> list[ReportPath]:
    """Paths with a budget, the one with the least left first."""
    known = [path for path in report.paths if path.budget.remaining_ratio is not None]
    return sorted(
        known, key=lambda path: (path.budget.remaining_ratio or 0.0, path.row.source, path.row.destination)
    )
