"""Questions about a period: the rows of the tiers that answer it, merged per series or per step of time."""

import json
import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from agent.wire.series import Family, SeriesKey, TimeSource
from collector.store.merge import Ints, merge_columns, merge_rows
from collector.store.schema import TIER_SECONDS
from collector.store.tiers import Coverage, Period, Span, plan, plan_steps, widen, without
from collector.store.totals import SeriesTotals, totals_by_group

CHUNK_ROWS = 50_000
MOST_SERIES = 2**24

CutsOf = Callable[[str, str], Sequence[Period]]
"""(source, destination) → what of a period does not count on that path."""


def coverage(connection: sqlite3.Connection) -> Coverage:
    """What the tiers hold, as the open read transaction sees it."""
    pending: dict[str, set[int]] = {"hour": set(), "day": set()}
    for tier, start_s in connection.execute("SELECT DISTINCT tier, start_s FROM touched"):
        pending[tier].add(start_s)
    horizons = dict(connection.execute("SELECT tier, start_s FROM horizon").fetchall())
    return Coverage(horizons, frozenset(pending["hour"]), frozenset(pending["day"]))


@contextmanager
def snapshot(connection: sqlite3.Connection) -> Iterator[None]:
    """Every question inside sees one state of the store, the notes of what is merged too. One within another is part of it."""
    if connection.in_transaction:
        yield
        return
    connection.execute("BEGIN")
    try:
        yield
    finally:
        connection.execute("COMMIT")


def load(
    connection: sqlite3.Connection,
    period: Period,
    cuts_of: CutsOf = lambda _source, _destination: (),
    path: tuple[str, str] | None = None,
) -> tuple[Period, dict[SeriesKey, SeriesTotals]]:
    """Every series with a row in the period, and the period that the answer covers.

    path: only the series of this (source, destination).
    """
    with snapshot(connection):
        held = coverage(connection)
        period = widen(period, held)
        names = series_names(connection, path)
        merged = merge_rows(
            _rows_without_cuts(connection, period, held, names, cuts_of, scan=path is None),
            lambda _, series, spoiled: series * 2 + spoiled,
        )
    found: dict[SeriesKey, SeriesTotals] = {}
    for group, totals in totals_by_group(merged):
        here = found.setdefault(names[group // 2], SeriesTotals())
        if group % 2:
            here.spoiled = totals
        else:
            here.clean = totals
    return period, found


def _rows_without_cuts(
    connection: sqlite3.Connection,
    period: Period,
    held: Coverage,
    names: Mapping[int, SeriesKey],
    cuts_of: CutsOf,
    *,
    scan: bool,
) -> Iterator[list[Any]]:
    """Series with the same cuts are read together; where all have the same, and scan says so, in one scan."""
    series_by_cuts: dict[tuple[Period, ...], list[int]] = {}
    for number, name in names.items():
        series_by_cuts.setdefault(tuple(cuts_of(name.source, name.destination)), []).append(number)
    for cuts, series in series_by_cuts.items():
        wanted = None if scan and len(series_by_cuts) == 1 else series
        for part in without(period, cuts, held):
            yield from _rows(connection, plan(part, held), wanted)


def load_steps(
    connection: sqlite3.Connection,
    period: Period,
    step_s: int,
    source: str,
    destination: str,
    cuts: Sequence[Period] = (),
) -> tuple[Period, dict[SeriesKey, dict[int, SeriesTotals]]]:
    """One path's series over time: by start of each step that has rows. step_s: a whole number of minutes.

    cuts: what of it is left out. The period is widened to whole steps; a step shorter than the rows that are left shows at the row's start.
    """
    with snapshot(connection):
        held = coverage(connection)
        period = widen(Period(period.start_s // step_s * step_s, -(-period.end_s // step_s) * step_s), held)
        names = series_names(connection, (source, destination))
        first_s = period.start_s

        def group_of(start: Ints, series: Ints, spoiled: Ints) -> Ints:
            return ((start - first_s) // step_s * MOST_SERIES + series) * 2 + spoiled

        spans = [span for part in without(period, cuts, held) for span in plan_steps(part, held, step_s)]
        merged = merge_rows(_rows(connection, spans, sorted(names)), group_of)
    steps: dict[SeriesKey, dict[int, SeriesTotals]] = {name: {} for name in names.values()}
    for group, totals in totals_by_group(merged):
        step, series = divmod(group // 2, MOST_SERIES)
        here = steps[names[series]].setdefault(first_s + step * step_s, SeriesTotals())
        if group % 2:
            here.spoiled = totals
        else:
            here.clean = totals
    return period, steps


def anything_measured(connection: sqlite3.Connection, period: Period) -> bool:
    """Whether any window of any path lies in the period: without one, nothing found means nothing. Raises sqlite3.Error."""
    held = coverage(connection)
    return any(
        connection.execute(
            f"SELECT 1 FROM {span.tier} WHERE start_s >= ? AND start_s < ? LIMIT 1",
            (span.start_s, span.end_s),
        ).fetchone()
        for span in plan(widen(period, held), held)
    )


def measured_paths(connection: sqlite3.Connection) -> list[tuple[str, str]]:
    """Every (source, destination) that some series was ever stored for, in order."""
    return connection.execute(
        "SELECT DISTINCT node.name, destination FROM series JOIN node ON node.id = series.node ORDER BY 1, 2"
    ).fetchall()


def _rows(
    connection: sqlite3.Connection, spans: Sequence[Span], series: Sequence[int] | None = None
) -> Iterator[list[Any]]:
    """Rows of the spans in chunks; of these series only, or of all."""
    for span in spans:
        cursor = connection.execute(*selection(merge_columns(span.tier), span, series))
        while rows := cursor.fetchmany(CHUNK_ROWS):
            yield rows


def selection(columns: str, span: Span, series: Sequence[int] | None) -> tuple[str, tuple[int | str, ...]]:
    """A SELECT of these columns and its values: one scan of the span, or each of these series looked up at each start."""
    if series is None:
        where = f"FROM {span.tier} WHERE start_s >= ? AND start_s < ?"
        return f"SELECT {columns} {where}", (span.start_s, span.end_s)
    step_s = TIER_SECONDS[span.tier]
    return (
        (
            "WITH RECURSIVE step(at) AS (VALUES (?) UNION ALL SELECT at + ? FROM step WHERE at + ? < ?)"
            f" SELECT {columns} FROM step CROSS JOIN {span.tier} ON start_s = step.at"
            " AND series IN (SELECT value FROM json_each(?))"
        ),
        (span.start_s, step_s, step_s, span.end_s, json.dumps(series)),
    )


def series_names(connection: sqlite3.Connection, path: tuple[str, str] | None = None) -> dict[int, SeriesKey]:
    """Series by id: all, or those of one (source, destination)."""
    source, destination = path or (None, None)
    rows = connection.execute(
        "SELECT series.id, node.name, destination, probe, family, time_source"
        " FROM series JOIN node ON node.id = series.node"
        " WHERE ?1 IS NULL OR (node.name = ?1 AND destination = ?2)",
        (source, destination),
    )
    return {
        number: SeriesKey(name, destination, probe, Family(family), TimeSource(time_source))
        for number, name, destination, probe, family, time_source in rows
    }
