"""`calibrate --pairs CSV`: what a multiplier and an allowance would mean, before they are signed."""

import argparse
from collections.abc import Callable
from pathlib import Path

import msgspec

from collector.calibrate import Calibration, calibrate
from collector.commands import CommandError
from collector.config import read_text
from collector.gazetteer import GIVEN_UNCERTAINTY_KM
from collector.pairs_csv import COLUMNS, PairsError, parse_pairs
from collector.text_table import aligned


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the command's arguments."""
    parser.add_argument(
        "--pairs", type=Path, required=True, metavar="CSV", help=f"columns {', '.join(COLUMNS)}"
    )
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
    if not 0 <= arguments.uncertainty_km <= 20_040:
        raise CommandError(f"--uncertainty-km lies between 0 and 20040, not {arguments.uncertainty_km:g}")
    try:
        rows = parse_pairs(read_text(arguments.pairs), str(arguments.pairs), arguments.uncertainty_km)
    except PairsError as error:
        raise CommandError(str(error)) from error
    result = calibrate(rows, arguments.multiplier, [ms / 1000 for ms in arguments.allowance])
    print(msgspec.json.encode(result).decode() if arguments.json else _for_people(result))
    return 0


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
    return "\n".join([aligned(header, rows), *told])


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
