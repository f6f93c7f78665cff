"""`floor A B`: light's round trip between two places."""

import argparse
import re
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from collector import gazetteer
from collector.commands import CommandError
from collector.contract import DEFAULT_CLASS
from collector.fleet import Fleet, read_fleet
from collector.floor import Coordinates, Floor, floor_between, limit_seconds
from collector.text_table import aligned

_LAT_LON = re.compile(r"\s*([+-]?[0-9.]+)\s*,\s*([+-]?[0-9.]+)\s*")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the command's arguments."""
    place = "a node or site of the fleet, an IATA code, a city, or LAT,LON"
    parser.add_argument("a", metavar="A", help=place)
    parser.add_argument("b", metavar="B", help=place)
    parser.add_argument("--fleet", type=Path, metavar="FILE", help="fleet file that A and B may be named in")
    parser.add_argument("--json", action="store_true", help="one JSON object")


def run(arguments: argparse.Namespace) -> int:
    """Prints distance, floor and limit. Raises ConfigError, CommandError."""
    fleet = read_fleet(arguments.fleet) if arguments.fleet else None
    floor, limit, terms = _floor_and_limit(arguments.a.strip(), arguments.b.strip(), fleet)
    if arguments.json:
        print(msgspec.json.encode({**asdict(floor), "limit_seconds": limit}).decode())
        return 0
    rows = [
        ("distance", f"{floor.distance_km:,.1f} km", floor.how),
        ("floor", f"{floor.floor_seconds * 1e3:.3f} ms", f"there and back, n = {floor.refractive_index:g}"),
        ("uncertain by", f"{floor.uncertainty_seconds * 1e3:.3f} ms", "from where the ends may stand"),
        ("limit", "-" if limit is None else f"{limit * 1e3:.3f} ms", terms),
    ]
    print(aligned(("", "", ""), rows).lstrip("\n"))
    return 0


def _floor_and_limit(a: str, b: str, fleet: Fleet | None) -> tuple[Floor, float | None, str]:
    """Two nodes are held to what their pair is; any other two places to the default class."""
    sla = DEFAULT_CLASS
    if fleet and a in fleet.nodes and b in fleet.nodes:
        path = fleet.path(a, b, datetime.now(UTC))
        if path.floor is None:
            raise CommandError(f"no floor between {a} and {b}: the site of one has no coordinates")
        if path.sla is None:
            return path.floor, None, "no class is in force now"
        floor, sla = path.floor, path.sla
    else:
        floor = floor_between(_place(a, fleet), _place(b, fleet))
    limit = limit_seconds(floor.floor_seconds, sla.multiplier, sla.allowance_ms / 1000)
    return floor, limit, f"{sla.multiplier:g} × floor + {sla.allowance_ms:g} ms, class {sla.name}"


def _place(name: str, fleet: Fleet | None) -> Coordinates:
    """Node, site, LAT,LON, IATA code, city: the first that fits. Raises CommandError."""
    if fleet and (name in fleet.nodes or name in fleet.sites):
        site = fleet.nodes[name].site if name in fleet.nodes else name
        found = fleet.coordinates[site]
        if found is None:
            raise CommandError(f"site {site} has no coordinates")
        return found
    try:
        if numbers := _LAT_LON.fullmatch(name):
            return Coordinates(float(numbers[1]), float(numbers[2]), gazetteer.GIVEN_UNCERTAINTY_KM)
        if re.fullmatch("[A-Za-z]{3}", name):
            return gazetteer.airport(name)
        return gazetteer.city(name)
    except ValueError as error:
        raise CommandError(f"{name}: {error}") from error
