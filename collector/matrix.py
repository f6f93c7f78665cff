"""The mesh as a source × destination matrix for the page. Pure."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from collector.fleet import Fleet
from collector.latency import Verdict
from collector.standing import PathStanding

SEVERITY = (
    Verdict.FAIL,
    Verdict.IMPLAUSIBLE,
    Verdict.UNACHIEVABLE,
    Verdict.NO_DATA,
    Verdict.NOT_PROVEN,
    Verdict.TOO_CLOSE,
    Verdict.PASS,
)
"""Worst first: of several series on one path the cell shows the first of these."""
MARKS = {
    Verdict.FAIL: "✕",
    Verdict.IMPLAUSIBLE: "!",
    Verdict.UNACHIEVABLE: "↛",
    Verdict.NO_DATA: "∅",
    Verdict.NOT_PROVEN: "?",
    Verdict.TOO_CLOSE: "≈",
    Verdict.PASS: "✓",
}
"""So that colour never stands alone."""
MEANINGS = {
    Verdict.FAIL: "more samples over the limit than allowed, proven",
    Verdict.IMPLAUSIBLE: "faster than light in fibre: a stated location is wrong",
    Verdict.UNACHIEVABLE: "even the best sample breaks the limit: the route is too long",
    Verdict.NO_DATA: "the path should be measured and is not",
    Verdict.NOT_PROVEN: "too few samples to say, or no limit",
    Verdict.TOO_CLOSE: "the coordinates' uncertainty decides",
    Verdict.PASS: "within the limit, proven",
}
TONE_STEPS = (1.25, 1.5, 2.0, 3.0)
"""Ratio to the floor at which a cell's tone changes."""


@dataclass(frozen=True, slots=True)
class Head:
    """One node as a row's or column's head. region and provider: None for a node that is not in the fleet file."""

    name: str
    region: str | None
    provider: str | None
    first_of_region: bool


@dataclass(frozen=True, slots=True)
class Cell:
    """One path. row: its worst series; None where nobody asked for it. tone: 0 (at the floor) … 4; None unknown."""

    row: PathStanding | None
    tone: int | None


@dataclass(frozen=True, slots=True)
class Matrix:
    """heads: nodes by region, provider and name; cells[i][j]: from heads[i] to heads[j], None on the diagonal."""

    heads: tuple[Head, ...]
    cells: tuple[tuple[Cell | None, ...], ...]
    counts: dict[Verdict, int]
    kinds: tuple[tuple[str, str], ...]


def matrix_of(
    rows: Iterable[PathStanding], fleet: Fleet, probe: str | None = None, family: str | None = None
) -> Matrix:
    """The rows arranged; of one probe or family only, where given. counts: paths by the verdict that they show."""
    rows = list(rows)
    worst: dict[tuple[str, str], PathStanding] = {}
    for row in rows:
        pair = (row.source, row.destination)
        if probe not in (None, row.probe) or family not in (None, row.family):
            continue
        if pair not in worst or _severity(row) < _severity(worst[pair]):
            worst[pair] = row
    heads = _heads(fleet, {name for row in rows for name in (row.source, row.destination)})
    cells = tuple(tuple(None if a is b else _cell(worst.get((a.name, b.name))) for b in heads) for a in heads)
    counts = Counter(row.verdict for row in worst.values())
    return Matrix(
        heads,
        cells,
        {verdict: counts[verdict] for verdict in SEVERITY if counts[verdict]},
        tuple(sorted({(row.probe, row.family.value) for row in rows})),
    )


def tone(ratio: float | None) -> int | None:
    """Which step of the scale a ratio to the floor is."""
    return None if ratio is None else sum(ratio >= step for step in TONE_STEPS)


def _severity(row: PathStanding) -> int:
    return SEVERITY.index(row.verdict)


def _cell(row: PathStanding | None) -> Cell:
    return Cell(row, tone(row.ratio_to_floor) if row else None)


def _heads(fleet: Fleet, measured: set[str]) -> tuple[Head, ...]:
    known = [(fleet.sites[node.site].region, node.provider, name) for name, node in fleet.nodes.items()]
    strangers = [(None, None, name) for name in measured - fleet.nodes.keys()]
    ordered = sorted(
        [*known, *strangers], key=lambda node: (node[1] is None, node[0] or "~", node[1] or "", node[2])
    )
    heads: list[Head] = []
    for region, provider, name in ordered:
        heads.append(Head(name, region, provider, bool(heads) and heads[-1].region != region))
    return tuple(heads)
