"""Known facts of public latency matrices and coordinate tables come out of the same functions the commands use."""

import csv
import json
import math
import os
from contextlib import suppress
from pathlib import Path

import pytest

from collector.calibrate import calibrate
from collector.floor import Coordinates, geodesic_km
from collector.gazetteer import CITY_UNCERTAINTY_KM, UnknownPlaceError, airport, city
from collector.pairs_csv import COLUMNS, parse_pairs
from collector.standing import standing_of_period
from collector.store.schema import open_reader
from collector.store.tiers import Period
from tests.batches import DAY, batch, series, window
from tests.small_fleet import fill, fleet

BESIDE = Path(__file__).resolve().parents[2].parent / "shared/data"
CORPUS = BESIDE if BESIDE.is_dir() else Path(os.environ.get("LIGHTFLOOR_CORPUS", "/nonexistent"))

pytestmark = [
    pytest.mark.corpus,
    pytest.mark.skipif(
        not CORPUS.is_dir(), reason="no corpus beside the repository; LIGHTFLOOR_CORPUS names one"
    ),
]


def rows_of(name, delimiter=","):
    with (CORPUS / name).open(encoding="utf-8") as file:
        return list(csv.DictReader(file, delimiter=delimiter))


def pairs_of(rows):
    """Rows of (source, destination, two coordinates, min_ms, max_ms) as the CSV that calibrate reads."""
    text = "\n".join([",".join(COLUMNS), *(",".join(map(str, row)) for row in rows)])
    return parse_pairs(text, "corpus", 0.0)


@pytest.fixture(scope="module")
def wonderproxy():
    servers = {s["id"]: s for s in rows_of("1-rtt/wonderproxy_servers_shared.csv")}
    rows = []
    for ping in rows_of("1-rtt/wonderproxy_pings_shared.csv"):
        a, b = servers[ping["source"]], servers[ping["destination"]]
        if a is not b:
            places = (a["latitude"], a["longitude"], b["latitude"], b["longitude"])
            rows.append((a["name"], b["name"], *places, ping["min"], ping["max"]))
    return calibrate(pairs_of(rows), [2.0, 2.5, 3.0], [0.0])


def test_about_two_fifths_of_healthy_pairs_keep_twice_the_floor(wonderproxy):
    """The reason calibrate exists: 2 × floor is near the median of the Internet, 3 × still loses a quarter."""
    passes = {s.multiplier: s.pass_ratio for s in wonderproxy.summary}
    assert passes[2.0] == pytest.approx(0.42, abs=0.04)
    assert passes[2.5] == pytest.approx(0.63, abs=0.04)
    assert passes[3.0] == pytest.approx(0.77, abs=0.04)


@pytest.mark.parametrize(
    ("low_km", "high_km", "share"),
    [(0, 500, 0.01), (500, 1000, 0.04), (2000, 5000, 0.19), (10_000, 20_000, 0.61)],
)
def test_the_nearer_the_rarer(wonderproxy, low_km, high_km, share):
    """Below 500 km almost no healthy path keeps twice the floor."""
    band = [p for p in wonderproxy.pairs if low_km < p.distance_km <= high_km]
    kept = sum(p.ratio_to_floor is not None and p.ratio_to_floor <= 2 for p in band) / len(band)
    assert kept == pytest.approx(share, abs=0.05)


def test_pairs_faster_than_light_are_implausible_and_nearly_all_of_one_liar(wonderproxy):
    """La Ceiba answers New Jersey in 3.7 ms, Prague answers Bratislava in 0.29 ms: stated locations are wrong."""
    impossible = {(p.source, p.destination) for p in wonderproxy.pairs if p.verdict == "IMPLAUSIBLE"}
    assert {("Secaucus", "LaCeiba"), ("Prague", "Bratislava"), ("Auckland", "Wellington")} <= impossible
    assert sum("LaCeiba" in pair for pair in impossible) > 0.8 * len(impossible)
    assert len(impossible) < 0.004 * len(wonderproxy.pairs)


AWS_CITIES = {
    "af-south-1": "Cape Town, ZA",
    "ap-northeast-1": "Tokyo, JP",
    "ap-south-1": "Mumbai, IN",
    "ap-southeast-1": "Singapore, SG",
    "ap-southeast-2": "Sydney, AU",
    "ca-central-1": "Montréal, CA",
    "eu-central-1": "Frankfurt am Main, DE",
    "eu-north-1": "Stockholm, SE",
    "eu-west-1": "Dublin, IE",
    "eu-west-2": "London, GB",
    "eu-west-3": "Paris, FR",
    "sa-east-1": "São Paulo, BR",
    "us-east-2": "Columbus, OH, US",
    "us-west-1": "San Jose, CA, US",
}


def test_cloud_regions_by_city_name_are_all_possible_and_mostly_within_twice_the_floor():
    """A better network than rented servers': two thirds keep it, and no region lies about its place."""
    places = {region: city(name) for region, name in AWS_CITIES.items()}
    rows = [
        (p["src"], p["dst"], a.latitude, a.longitude, b.latitude, b.longitude, p["min_ms"], p["max_ms"])
        for p in rows_of("1-rtt/aws_ping_2020-06-05.tsv", "\t")
        if (a := places.get(p["src"])) and (b := places.get(p["dst"])) and a != b
    ]
    result = calibrate(pairs_of(rows), [2.0], [0.0])
    (summary,) = result.summary
    assert summary.paths == len(AWS_CITIES) * (len(AWS_CITIES) - 1)
    assert summary.pass_ratio == pytest.approx(0.68, abs=0.06)
    assert "IMPLAUSIBLE" not in summary.verdicts


def test_provider_coordinates_agree_with_the_gazetteer_except_the_known_wrong_ones():
    """A city looked up lies within its stated uncertainty of where providers put it; Beijing and Busan are theirs."""
    far, near = set(), 0
    for path in sorted((CORPUS / "2-coords").glob("provider_*.json")):
        for region in json.loads(path.read_text())["regions"]:
            try:
                found = city(f"{region['city']}, {region['country']}")
            except UnknownPlaceError:
                continue
            distance = geodesic_km(found, Coordinates(region["locationLat"], region["locationLong"]))
            near += distance <= CITY_UNCERTAINTY_KM
            if distance > CITY_UNCERTAINTY_KM:
                far.add(region["city"])
    assert near > 80
    assert far == {"Beijing", "Busan"}


def test_every_airport_of_the_table_is_found_where_it_says():
    """7,884 codes, none swapped; a few open, close and change hands as editions of the library go by."""
    rows, agreeing = rows_of("2-coords/airports_iata.csv"), 0
    for row in rows:
        with suppress(UnknownPlaceError):
            agreeing += (
                geodesic_km(airport(row["iata"]), Coordinates(float(row["lat"]), float(row["lon"]))) < 5
            )
    assert agreeing > 0.99 * len(rows)


EXACT = {"p50_seconds": 0.5, "p90_seconds": 0.9, "p99_seconds": 0.99, "p999_seconds": 0.999}


@pytest.mark.parametrize("merge", [True, False], ids=["days and hours", "minutes"])
def test_percentiles_of_real_series_are_within_bounds_after_store_and_roll_up(tmp_path, merge):
    """90 heavy-tailed series through windows, tiers and merging: each percentile of `sla` within 1.1 % of the exact one."""
    slices = rows_of("1-rtt/seattle_688_slices_nodes0-9.tsv", "\t")
    names = [name for name in slices[0] if name != "slice"]
    values = {
        name: [ns for row in slices if row[name] and (ns := round(float(row[name]) * 1e9)) > 0]
        for name in names
    }
    windows = [
        window(series("ams", f"n{name}"), DAY + 1500 * (at // 6), values[name][at : at + 6])
        for name in names
        for at in range(0, len(values[name]), 6)
    ]
    fill(tmp_path / "store.db", [batch(windows)], DAY + 3 * 86400, merge)
    connection = open_reader(tmp_path / "store.db")
    rows = standing_of_period(connection, fleet(), Period(DAY, DAY + 2 * 86400)).rows
    connection.close()
    measured = {row.destination: row for row in rows if row.samples}
    assert len(measured) == 90
    for name in names:
        ordered = sorted(values[name])
        for figure, q in EXACT.items():
            exact = ordered[max(0, math.ceil(q * len(ordered)) - 1)] / 1e9
            assert getattr(measured[f"n{name}"], figure) == pytest.approx(exact, rel=0.011), (name, figure)
