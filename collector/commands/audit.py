"""`audit`: which stated locations cannot be true, by the paths measured so far or by a CSV of pairs."""

import argparse
from pathlib import Path

import msgspec

from collector.audit import Audit, PairMinimum, Suspect, audit, pairs_measured
from collector.commands import CommandError, add_config_argument
from collector.commands.sla import add_period_arguments, standing_asked_for
from collector.config import read_text
from collector.floor import Coordinates
from collector.gazetteer import GIVEN_UNCERTAINTY_KM
from collector.pairs_csv import COLUMNS, PairsError, parse_pairs

MOST_PROOFS_SHOWN = 3


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the command's arguments."""
    parser.add_argument(
        "--pairs",
        type=Path,
        metavar="CSV",
        help=f"audit this file in place of the store; columns {', '.join(COLUMNS)}",
    )
    parser.add_argument(
        "--uncertainty-km",
        type=float,
        default=GIVEN_UNCERTAINTY_KM,
        metavar="KM",
        help="of every coordinate in the file; default %(default)g, for cities 25",
    )
    add_period_arguments(parser, days=30)
    parser.add_argument(
        "--json", action="store_true", help="one JSON object: pairs, contradictions, suspects, …"
    )
    add_config_argument(parser)


def run(arguments: argparse.Namespace) -> int:
    """Prints the audit; 1 where a location is wrong. Raises ConfigError, CommandError."""
    places, pairs = _recorded(arguments) if arguments.pairs is None else _of_file(arguments)
    result = audit(places, pairs)
    print(msgspec.json.encode(result).decode() if arguments.json else _for_people(result))
    return 1 if result.contradictions else 0


def _of_file(arguments: argparse.Namespace) -> tuple[dict[str, Coordinates], list[PairMinimum]]:
    """The first place that is stated for a name counts; another one more than the uncertainty away is an error."""
    if not 0 <= arguments.uncertainty_km <= 20_040:
        raise CommandError(f"--uncertainty-km lies between 0 and 20040, not {arguments.uncertainty_km:g}")
    try:
        rows = parse_pairs(read_text(arguments.pairs), str(arguments.pairs), arguments.uncertainty_km)
    except PairsError as error:
        raise CommandError(str(error)) from error
    places: dict[str, Coordinates] = {}
    pairs = []
    for row in rows:
        for name, place in ((row.source, row.from_place), (row.destination, row.to_place)):
            if place is not None and places.setdefault(name, place) != place:
                raise CommandError(
                    f"{arguments.pairs}: {name} is stated at two places; each needs a name of its own"
                )
        floor = row.floor
        pairs.append(
            PairMinimum(
                row.source, row.destination, row.min_seconds, floor.lowest_seconds, floor.floor_seconds
            )
        )
    return places, pairs


def _recorded(arguments: argparse.Namespace) -> tuple[dict[str, Coordinates], list[PairMinimum]]:
    fleet, standing = standing_asked_for(arguments, days=30)
    places, pairs = pairs_measured(fleet, standing.rows)
    if not pairs:
        raise CommandError("nothing was measured between nodes with known places in that time")
    return places, pairs


def _for_people(result: Audit) -> str:
    if not result.contradictions:
        return f"{result.pairs} pairs: every stated location can be true"
    sure = "the smallest set" if result.exact else "a small set, perhaps not the smallest,"
    said = f"{result.contradictions} of {result.pairs} pairs are faster than light in fibre"
    lines = [f"{said}; {sure} that explains all: {len(result.suspects)}"]
    lines += [line for suspect in result.suspects for line in _of_suspect(suspect)]
    if result.alternatives:
        chosen = {suspect.node for suspect in result.suspects}
        others = "; ".join(
            f"{', '.join(sorted({*names} - chosen))} in place of {', '.join(sorted(chosen - {*names}))}"
            for names in result.alternatives
        )
        lines.append(f"As few nodes explain it just as well, so these data do not decide: {others}")
    return "\n".join(lines)


def _of_suspect(suspect: Suspect) -> list[str]:
    region = suspect.region
    where = suspect.reason or ""
    if region is not None:
        where = f"lies within {region.radius_km:,.0f} km of {region.latitude:.2f},{region.longitude:.2f}"
    lines = [f"{suspect.node} (stated {suspect.latitude:.2f},{suspect.longitude:.2f}): {where}"]
    lines += [
        f"  {pair.other}: {pair.min_seconds * 1e3:.3f} ms, light needs {pair.floor_seconds * 1e3:.3f} ms"
        for pair in suspect.pairs[:MOST_PROOFS_SHOWN]
    ]
    more = len(suspect.pairs) - MOST_PROOFS_SHOWN
    return [*lines, f"  and {more} more pairs"] if more > 0 else lines
