"""Minutes of the whole mesh in blocks of a few minutes: what looks for incidents reads them."""

import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass

from agent.wire.series import UNTIMED_PROBES, Family, SeriesKey
from collector.store.merge import Ints, merge_columns, merge_rows
from collector.store.query import CHUNK_ROWS, MOST_SERIES, series_names
from collector.store.schema import DAY_S, HOUR_S
from collector.store.tiers import Period
from collector.store.totals import SeriesTotals, totals_by_group

PathKey = tuple[str, str, Family]
"""source, destination, family"""


@dataclass(slots=True)
class PathMeasures:
    """What probes found on a path beside times. path_mtu_bytes: the smallest; None where none was measured."""

    path_mtu_bytes: int | None = None
    lost_forward: int = 0
    lost_backward: int = 0
    lossy_legs: int = 0


@dataclass(frozen=True, slots=True)
class StoredBlock:
    """All that was measured in the minutes from start_s on; series with times only."""

    start_s: int
    series: dict[SeriesKey, SeriesTotals]
    measures: dict[PathKey, PathMeasures]


def load_blocks(connection: sqlite3.Connection, period: Period, block_s: int) -> Iterator[StoredBlock]:
    """Every block of the period with any minutes, in order of time; block_s divides an hour.

    From minutes alone: what was merged and deleted has no blocks. Memory: an hour of merged rows.
    """
    names = {
        number: name for number, name in series_names(connection).items() if name.probe not in UNTIMED_PROBES
    }
    for start_s in range(period.start_s // HOUR_S * HOUR_S, period.end_s, HOUR_S):
        span = Period(max(start_s, period.start_s), min(start_s + HOUR_S, period.end_s))
        measures = _measures(connection, span, block_s)
        for block in _blocks(connection, span, block_s, names):
            block.measures.update(measures.pop(block.start_s, {}))
            yield block


def _blocks(
    connection: sqlite3.Connection, span: Period, block_s: int, names: dict[int, SeriesKey]
) -> Iterator[StoredBlock]:
    cursor = connection.execute(
        f"SELECT {merge_columns('minute')} FROM minute WHERE start_s >= ? AND start_s < ?",
        (span.start_s, span.end_s),
    )
    first = span.start_s // block_s

    def group_of(start: Ints, series: Ints, spoiled: Ints) -> Ints:
        return ((start // block_s - first) * MOST_SERIES + series) * 2 + spoiled

    merged = merge_rows(iter(lambda: cursor.fetchmany(CHUNK_ROWS), []), group_of)
    block: StoredBlock | None = None
    for group, totals in totals_by_group(merged):
        at, series = divmod(group // 2, MOST_SERIES)
        start_s = (first + at) * block_s
        if series not in names:
            continue
        if block is None or block.start_s != start_s:
            if block is not None:
                yield block
            block = StoredBlock(start_s, {}, {})
        here = block.series.setdefault(names[series], SeriesTotals())
        if group % 2:
            here.spoiled = totals
        else:
            here.clean = totals
    if block is not None:
        yield block


def _measures(
    connection: sqlite3.Connection, span: Period, block_s: int
) -> dict[int, dict[PathKey, PathMeasures]]:
    """By start of the block. Spoiled minutes too: what a packet met does not depend on its sender's CPU."""
    rows = connection.execute(
        "SELECT start_s / ?1 * ?1 AS block, node.name, destination, family, measure.name,"
        " min(low), max(high), sum(value)"
        " FROM minute_measure AS measure JOIN series ON series.id = series JOIN node ON node.id = series.node"
        " WHERE start_s >= ?2 AND start_s < ?3"
        " AND measure.name IN ('path_mtu_bytes', 'lost_forward', 'lost_backward', 'lossy_legs')"
        " GROUP BY block, series, measure.name",
        (block_s, span.start_s, span.end_s),
    )
    found: dict[int, dict[PathKey, PathMeasures]] = {}
    for start_s, source, destination, family, name, low, high, total in rows:
        of_block = found.setdefault(start_s, {})
        here = of_block.setdefault((source, destination, Family(family)), PathMeasures())
        match name:
            case "path_mtu_bytes":
                here.path_mtu_bytes = int(low)
            case "lossy_legs":
                here.lossy_legs = max(here.lossy_legs, int(high))
            case "lost_forward":
                here.lost_forward += int(total)
            case "lost_backward":
                here.lost_backward += int(total)
    return found


def usual_mtus(connection: sqlite3.Connection, period: Period) -> dict[PathKey, int]:
    """The path MTU that most days of the period ended with; where no day is merged, most hours of its last day."""
    found: dict[PathKey, int] = {}
    for tier, start_s in (("hour", period.end_s - DAY_S), ("day", period.start_s)):
        rows = connection.execute(
            "SELECT node.name, destination, family, value, count(*) AS times"
            f" FROM {tier}_measure AS measure JOIN series ON series.id = series JOIN node ON node.id = series.node"
            " WHERE start_s >= ? AND start_s < ? AND measure.name = 'path_mtu_bytes'"
            " GROUP BY node.name, destination, family, value ORDER BY times, value",
            (start_s, period.end_s),
        )
        for source, destination, family, value, _ in rows:
            found[source, destination, Family(family)] = int(value)
    return found
