"""Tables of the report beside its paths: incidents, budget, exclusions and versions of the contract, as CSV. Pure."""

import csv
import io
from collections.abc import Iterable, Sequence
from typing import Any

from collector.incidents.incident import Incident
from collector.report.document import Report, ReportPath

OF_PATH = ("source", "destination", "probe", "family")
BUDGET = ("judged", "over_limit", "allowed", "sli", "remaining_ratio")
EXCLUSION = ("reason", "minutes", "worst", "start", "end", "origin", "added", "added_by", "late")
VERSION = (
    "period_start",
    "period_end",
    "verdict",
    "samples",
    "over_limit",
    "p99_seconds",
    "limit_seconds",
    "reason",
)
INCIDENT = (
    "id", "kind", "start_s", "end_s", "cause", "name", "direction", "maintenance", "broken_paths", "measured_paths",
    "sources_seeing", "sources_measuring", "excess_seconds", "loss_ratio", "path_mtu_bytes", "usual_path_mtu_bytes",
    "breaks_limit", "retransmit_ratio", "usual_retransmit_ratio", "occurrences",
)  # fmt: skip


def tables_of(report: Report) -> dict[str, bytes]:
    """File name → content. An empty table keeps its header."""
    return {
        "incidents.csv": as_csv(INCIDENT, map(_incident, (*report.incidents, *report.excused))),
        "budget.csv": as_csv((*OF_PATH, *BUDGET), _rows(report, BUDGET, lambda path: (path.budget,))),
        "exclusions.csv": as_csv(
            (*OF_PATH, *EXCLUSION), _rows(report, EXCLUSION, lambda path: path.row.exclusions)
        ),
        "contract_versions.csv": as_csv(
            (*OF_PATH, *VERSION), _rows(report, VERSION, lambda path: path.row.versions)
        ),
    }


def as_csv(header: Sequence[str], rows: Iterable[Iterable[Any]]) -> bytes:
    """UTF-8 with a header line; nothing for what is not known."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    writer.writerows([_cell(value) for value in row] for row in rows)
    return text.getvalue().encode()


def _rows(report: Report, columns: Sequence[str], parts_of: Any) -> Iterable[list[Any]]:
    for path in report.paths:
        for part in parts_of(path):
            yield [*_path(path), *(getattr(part, name) for name in columns)]


def _incident(incident: Incident) -> list[Any]:
    cause = incident.cause
    known: dict[str, Any] = {"cause": cause.kind, "name": cause.name, "direction": cause.direction}
    known["occurrences"] = len(incident.occurrences)
    return [known[name] if name in known else getattr(incident, name) for name in INCIDENT]


def _path(path: ReportPath) -> list[Any]:
    return [getattr(path.row, name) for name in OF_PATH]


def _cell(value: Any) -> Any:
    return "" if value is None else getattr(value, "value", value)
