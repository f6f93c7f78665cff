"""`calibrate`: what a multiplier and an allowance would mean for the paths measured so far, or for a CSV of pairs, before they are signed."""

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

import msgspec

from collector.calibrate import Calibration, PairTimes, Terms, calibrate
from collector.commands import CommandError, add_config_argument
from collector.commands.sla import add_period_arguments, standing_asked_for
from collector.config import read_text
from collector.gazetteer import GIVEN_UNCERTAINTY_KM
from collector.pairs_csv import COLUMNS, PairsError, parse_pairs
from collector.period import utc
from collector.text_table import aligned

FEWEST_SAMPLES = 299
"""Below it the exact binomial test can pass no path at 99% (docs/verdicts.md)."""
MOST_PATHS_SHOWN = 200
MORE_PATHS = f"More than {MOST_PATHS_SHOWN} paths: --json lists the tightest limit that each keeps."


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the command's arguments."""
    parser.add_argument(
        "--pairs",
        type=Path,
        metavar="CSV",
        help=f"judge this file in place of the store; columns {', '.join(COLUMNS)}",
    )
    add_period_arguments(parser, days=30)
    parser.add_argument("--probe", default="tcp", help="whose times, of recorded paths; default %(default)s")
    add_config_argument(parser)
    parser.add_argument(
        "--multiplier", type=_numbers(1), default="1.5,2,2.5,3", metavar="LIST", help="default %(default)s"
    )
    parser.add_argument(
        "--allowance",
        type=_numbers(0),
        default="0,5,10",
        metavar="LIST",
        help="milliseconds; default %(default)s",
    )
    parser.add_argument(
        "--uncertainty-km",
        type=float,
        default=GIVEN_UNCERTAINTY_KM,
        metavar="KM",
        help="of every coordinate in the file; default %(default)g, for cities 25",
    )
    parser.add_argument("--json", action="store_true", help="one JSON object: judged_at, pairs, summary")


def run(arguments: argparse.Namespace) -> int:
    """Prints the calibration. Raises ConfigError, CommandError."""
    rows = _recorded(arguments) if arguments.pairs is None else _of_file(arguments)
    result = calibrate(rows, arguments.multiplier, [ms / 1000 for ms in arguments.allowance])
    print(msgspec.json.encode(result).decode() if arguments.json else _for_people(result))
    return 0


def _of_file(arguments: argparse.Namespace) -> list[PairTimes]:
    if not 0 <= arguments.uncertainty_km <= 20_040:
        raise CommandError(f"--uncertainty-km lies between 0 and 20040, not {arguments.uncertainty_km:g}")
    try:
        return parse_pairs(read_text(arguments.pairs), str(arguments.pairs), arguments.uncertainty_km)
    except PairsError as error:
        raise CommandError(str(error)) from error


def _recorded(arguments: argparse.Namespace) -> list[PairTimes]:
    """Each path of the fleet by its own times; of two families the one with more samples."""
    _, standing = standing_asked_for(arguments, days=30)
    ordered = sorted(standing.rows, key=lambda row: row.samples)
    best = {(row.source, row.destination): row for row in ordered if row.probe == arguments.probe}
    rows = [
        PairTimes(*path, row.floor, row.min_seconds, row.p99_seconds)
        for path, row in sorted(best.items())
        if row.floor is not None and row.samples >= FEWEST_SAMPLES
        and row.min_seconds is not None and row.p99_seconds is not None
    ]  # fmt: skip
    if not rows:
        said = f"no path has {FEWEST_SAMPLES} {arguments.probe} samples between {utc(standing.period.start_s)} and {utc(standing.period.end_s)}"
        raise CommandError(f"{said}; measure longer, or name a longer period or another --probe")
    if len(rows) < len(best):
        left_out = len(best) - len(rows)
        print(
            f"{left_out} of {len(best)} paths left out: fewer than {FEWEST_SAMPLES} samples or no floor",
            file=sys.stderr,
        )
    return rows


def _for_people(result: Calibration) -> str:
    verdicts = sorted({verdict for line in result.summary for verdict in line.verdicts})
    header = ("multiplier", "allowance_ms", "paths", "pass_%", *verdicts)
    rows = [
        (
            f"{line.multiplier:g}",
            f"{line.allowance_seconds * 1e3:g}",
            line.paths,
            round(100 * line.pass_ratio, 1),
            *(line.verdicts.get(verdict, 0) for verdict in verdicts),
        )
        for line in result.summary
    ]
    impossible = [pair for pair in result.pairs if pair.verdict == "IMPLAUSIBLE"]
    lines = [
        f"  {p.source} → {p.destination}: {p.min_seconds * 1e3:.3f} ms over {p.distance_km:,.0f} km"
        for p in impossible
    ]
    told = ["", "Faster than light in fibre, so a stated location is wrong:", *lines] if lines else []
    tightest = [
        (
            p.source,
            p.destination,
            None if p.ratio_to_floor is None else round(p.ratio_to_floor, 2),
            *_terms(p.tightest),
        )
        for p in result.pairs
    ]
    paths = aligned(
        ("source", "destination", "ratio", "tightest multiplier", "allowance_ms", "limit_ms"), tightest
    )
    return "\n".join(
        [aligned(header, rows), "", paths if len(tightest) <= MOST_PATHS_SHOWN else MORE_PATHS, *told]
    )


def _terms(terms: Terms | None) -> tuple[float | None, float | None, float | None]:
    if terms is None:
        return None, None, None
    return terms.multiplier, terms.allowance_seconds * 1e3, round(terms.limit_seconds * 1e3, 2)


def _numbers(low: float) -> Callable[[str], list[float]]:
    def parse(text: str) -> list[float]:
        try:
            values = [float(part) for part in text.split(",")]
        except ValueError:
            raise argparse.ArgumentTypeError(f"numbers with commas between them, not {text!r}") from None
        if not all(low <= value <= 1e6 for value in values):
            raise argparse.ArgumentTypeError(f"each at least {low:g}, not {text!r}")
        return values

    return parse
