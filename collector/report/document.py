"""Everything a report shows, as one document: what its JSON holds, its pages draw and its signature covers."""

import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime
from zoneinfo import ZoneInfo

import msgspec

from collector.budget import MONTH, Budget, Counts, budget_of
from collector.fleet import Fleet
from collector.incidents.incident import Incident
from collector.incidents.record import found_in_period
from collector.incidents.steps import Step, steps_of_period
from collector.latency import Verdict
from collector.report.month import Month
from collector.standing import PathStanding, announced_in, standing_of_period
from collector.store.evidence import events_of_path
from collector.store.query import load_steps
from collector.store.raw import hourly_counts, raw_digest
from collector.store.schema import DAY_S
from collector.store.tiers import Period

FORMAT = 2
"""2: with incidents."""
HOURS_PER_WEEK = 168
PROVEN = (Verdict.PASS, Verdict.FAIL, Verdict.UNACHIEVABLE)
BROKEN = (Verdict.FAIL, Verdict.UNACHIEVABLE)


class Day(msgspec.Struct, frozen=True):
    """One day (UTC) of a path: P99 and counts of what counts, maintenance left out; p99_seconds None without a sample."""

    start_s: int
    samples: int
    judged: int
    over_limit: int
    p99_seconds: float | None


class ReportPath(msgspec.Struct, frozen=True, kw_only=True):
    """One row of the report. within: both ends are the provider's. budget: of the month, each contract's own share."""

    within: bool
    row: PathStanding
    source_region: str | None
    destination_region: str | None
    budget: Budget
    days: tuple[Day, ...]


class Score(msgspec.Struct, frozen=True, kw_only=True):
    """One line of the scorecard. median_*: over the group's paths with that figure."""

    group: str
    paths: int
    verdicts: dict[Verdict, int]
    median_ratio_to_floor: float | None
    median_static_inflation: float | None
    median_dynamic_inflation: float | None
    loss_ratio: float | None


class HourOfWeek(msgspec.Struct, frozen=True):
    """Samples judged and over their limit in one hour of the local week, 0 is Monday 00:00."""

    judged: int
    over_limit: int


class ReportEvent(msgspec.Struct, frozen=True):
    """Evidence kept in the month: a route, MTU or certificate that changed, a capture, a test."""

    time_s: int
    source: str
    destination: str | None
    kind: str


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """format: of this document. raw_sha256: over the stored rows that the figures were merged from.

    incidents: on the provider's paths, whoever is to blame; excused: what announced work explains of them. steps: of the
    fastest round trips of any of these paths.
    """

    format: int
    provider: str
    contact: str | None
    month: str
    zone: str
    period_start_s: int
    period_end_s: int
    complete: bool
    verdicts: dict[Verdict, int]
    paths: tuple[ReportPath, ...]
    providers: tuple[Score, ...]
    regions: tuple[Score, ...]
    week: tuple[HourOfWeek, ...]
    events: tuple[ReportEvent, ...]
    incidents: tuple[Incident, ...]
    excused: tuple[Incident, ...]
    steps: tuple[Step, ...]
    raw_rows: int
    raw_sha256: str


class EmptyReportError(ValueError):
    """Nothing was measured on the provider's paths in that month."""


def report_of(
    connection: sqlite3.Connection,
    fleet: Fleet,
    provider: str,
    month: Month,
    now_s: int,
    progress: Callable[[int, int], None] = lambda _done, _all: None,
) -> Report:
    """The report of a provider's paths. Raises KeyError (no such provider), EmptyReportError, sqlite3.Error.

    progress(done, all): paths whose days were read.
    """
    stated = fleet.providers[provider]
    standing = standing_of_period(connection, fleet, month.period)
    rows = [row for row in standing.rows if provider in _providers(fleet, row)]
    if not any(row.samples for row in rows):
        raise EmptyReportError(f"nothing was measured on the paths of {provider} in {month.name}")
    announced = announced_in(connection, fleet, standing.period)
    paths = []
    for done, row in enumerate(rows):
        progress(done, len(rows))
        days = _days(connection, standing.period, row, announced.cuts(row.source, row.destination))
        paths.append(_path(fleet, provider, row, days))
    progress(len(rows), len(rows))
    wanted = {(row.source, row.destination, row.probe, row.family.value) for row in rows}
    found = found_in_period(connection, fleet, month.period)
    raw_rows, digest = raw_digest(connection, standing.period, wanted)
    return Report(
        format=FORMAT,
        provider=provider,
        contact=stated.contact,
        month=month.name,
        zone=month.zone,
        period_start_s=standing.period.start_s,
        period_end_s=standing.period.end_s,
        complete=now_s >= month.period.end_s,
        verdicts=_count(rows),
        paths=tuple(paths),
        providers=tuple(_scores(standing.rows, lambda row: _providers(fleet, row))),
        regions=tuple(_scores(rows, lambda row: [_region_pair(fleet, row)])),
        week=_week(hourly_counts(connection, standing.period, wanted, announced.cuts), month.zone),
        events=tuple(_events(connection, month.period, rows)),
        incidents=tuple(each for each in found.incidents if _touches(fleet, provider, each)),
        excused=tuple(each for each in found.excused if _touches(fleet, provider, each)),
        steps=tuple(
            step
            for step in steps_of_period(connection, fleet, month.period)
            if any(_is_of(fleet, provider, path.source, path.destination) for path in step.paths)
        ),
        raw_rows=raw_rows,
        raw_sha256=digest,
    )


def _touches(fleet: Fleet, provider: str, incident: Incident) -> bool:
    return any(_is_of(fleet, provider, *path.pair) for path in incident.paths)


def _is_of(fleet: Fleet, provider: str, *ends: str) -> bool:
    return any(end in fleet.nodes and fleet.nodes[end].provider == provider for end in ends)


def _providers(fleet: Fleet, row: PathStanding) -> list[str]:
    ends = (row.source, row.destination)
    return sorted({fleet.nodes[end].provider for end in ends if end in fleet.nodes})


def _region(fleet: Fleet, node: str) -> str | None:
    return fleet.sites[fleet.nodes[node].site].region if node in fleet.nodes else None


def _region_pair(fleet: Fleet, row: PathStanding) -> str:
    return f"{_region(fleet, row.source) or '?'} → {_region(fleet, row.destination) or '?'}"


def _path(fleet: Fleet, provider: str, row: PathStanding, days: tuple[Day, ...]) -> ReportPath:
    return ReportPath(
        within=_providers(fleet, row) == [provider],
        row=row,
        source_region=_region(fleet, row.source),
        destination_region=_region(fleet, row.destination),
        budget=budget_of(MONTH, row.period_start, row.period_end, _counts(row)),
        days=days,
    )


def _counts(row: PathStanding) -> Counts:
    """What the row's verdict rests on, with what the class then in force allowed."""
    parts = row.versions or (row,)
    promised = [(part.sla_class, part.proof) for part in parts if part.sla_class is not None]
    return Counts(
        judged=sum(proof.samples for _, proof in promised),
        over_limit=sum(proof.over_limit for _, proof in promised),
        allowed=sum(proof.samples * (1 - sla.objective) for sla, proof in promised),
    )


def _days(
    connection: sqlite3.Connection, period: Period, row: PathStanding, cuts: Sequence[Period]
) -> tuple[Day, ...]:
    _, steps = load_steps(connection, period, DAY_S, row.source, row.destination, cuts)
    found = []
    for series, by_start in steps.items():
        if (series.probe, series.family, series.time_source) != (row.probe, row.family, row.time_source):
            continue
        for start_s, totals in sorted(by_start.items()):
            clean = totals.clean
            p99_ns = clean.rtt.quantile_ns(0.99)
            p99 = None if p99_ns is None else p99_ns / 1e9
            found.append(Day(start_s, clean.rtt.count, clean.judged, clean.over_limit, p99))
    return tuple(found)


def _count(rows: Iterable[PathStanding]) -> dict[Verdict, int]:
    counts = dict.fromkeys(Verdict, 0)
    for row in rows:
        counts[row.verdict] += 1
    return {verdict: count for verdict, count in counts.items() if count}


def _scores(
    rows: Sequence[PathStanding], groups_of: Callable[[PathStanding], Iterable[str]]
) -> Iterator[Score]:
    groups: dict[str, list[PathStanding]] = {}
    for row in rows:
        for group in groups_of(row):
            groups.setdefault(group, []).append(row)
    for group, own in sorted(groups.items()):
        lost, answered = sum(row.lost for row in own), sum(row.answered for row in own)
        yield Score(
            group=group,
            paths=len(own),
            verdicts=_count(own),
            median_ratio_to_floor=_median(row.ratio_to_floor for row in own),
            median_static_inflation=_median(row.static_inflation for row in own),
            median_dynamic_inflation=_median(row.dynamic_inflation for row in own),
            loss_ratio=lost / (lost + answered) if lost + answered else None,
        )


def _median(values: Iterable[float | None]) -> float | None:
    """The lower median, so that it is a value that occurred."""
    known = sorted(value for value in values if value is not None)
    return known[(len(known) - 1) // 2] if known else None


def _week(counts: Iterable[tuple[int, int, int]], zone: str) -> tuple[HourOfWeek, ...]:
    """Hourly (start, judged, over limit) of all of the report's paths, by hours of the local week."""
    place = ZoneInfo(zone)
    judged, over = [0] * HOURS_PER_WEEK, [0] * HOURS_PER_WEEK
    for hour_s, judged_here, over_here in counts:
        local = datetime.fromtimestamp(hour_s, place)
        at = local.weekday() * 24 + local.hour
        judged[at] += judged_here
        over[at] += over_here
    return tuple(HourOfWeek(*pair) for pair in zip(judged, over, strict=True))


def _events(
    connection: sqlite3.Connection, period: Period, rows: Iterable[PathStanding]
) -> Iterator[ReportEvent]:
    """The latest hundred of each path, in order of time."""
    found = [
        ReportEvent(event.time_s, event.node, event.destination, event.kind)
        for source, destination in sorted({(row.source, row.destination) for row in rows})
        for event in events_of_path(connection, period, source, destination)
    ]
    yield from sorted(
        found, key=lambda event: (event.time_s, event.source, event.destination or "", event.kind)
    )
