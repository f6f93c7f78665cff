"""Incidents as the command, the API and the page show them: times of the clock, and one line that says it. Pure."""

import msgspec

from collector.incidents.attribution import Cause
from collector.incidents.breach import Kind
from collector.incidents.incident import Incident
from collector.incidents.words import in_a_line
from collector.period import utc


class IncidentLine(msgspec.Struct, frozen=True, kw_only=True):
    """One incident in a list. Times are UTC; end None while it lasts. maintenance: the announced work that excuses it."""

    id: str
    start: str
    end: str | None
    kind: Kind
    cause: Cause
    summary: str
    broken_paths: int
    measured_paths: int
    sources_seeing: int
    sources_measuring: int
    excess_seconds: float | None
    loss_ratio: float | None
    path_mtu_bytes: int | None
    breaks_limit: bool | None
    occurrences: int
    maintenance: str | None


def line_of(incident: Incident) -> IncidentLine:
    """What a list says of it; GET /v1/incidents/ID has the rest."""
    return IncidentLine(
        id=incident.id,
        start=utc(incident.start_s),
        end=None if incident.end_s is None else utc(incident.end_s),
        kind=incident.kind,
        cause=incident.cause,
        summary=in_a_line(incident),
        broken_paths=incident.broken_paths,
        measured_paths=incident.measured_paths,
        sources_seeing=incident.sources_seeing,
        sources_measuring=incident.sources_measuring,
        excess_seconds=incident.excess_seconds,
        loss_ratio=incident.loss_ratio,
        path_mtu_bytes=incident.path_mtu_bytes,
        breaks_limit=incident.breaks_limit,
        occurrences=len(incident.occurrences),
        maintenance=incident.maintenance,
    )
