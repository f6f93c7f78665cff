"""Which stated locations cannot be true: the smallest explanation, and where the liars really are."""

import csv
import itertools
import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.audit import PairMinimum, audit, region_of, smallest_cover
from collector.cli import main
from collector.floor import Coordinates, floor_between, geodesic_km, round_trip_seconds
from corpus import corpus_file

TRUE = {
    "fra": (50.1, 8.7), "ams": (52.4, 4.9), "lon": (51.5, -0.1), "nyc": (40.7, -74.0),
    "sin": (1.35, 103.8), "hkg": (22.3, 114.2), "tyo": (35.7, 139.7), "sao": (-23.5, -46.6),
}  # fmt: skip


def place(at, uncertainty_km=10.0):
    return Coordinates(*at, uncertainty_km)


def measured(stated, true=None, inflation=1.4):
    """Places as stated, and every pair's round trip between the true ones."""
    true = true or TRUE
    places = {name: place(at) for name, at in stated.items()}
    pairs = []
    for a, b in itertools.combinations(stated, 2):
        floor = floor_between(places[a], places[b])
        seconds = round_trip_seconds(geodesic_km(place(true[a]), place(true[b]))) * inflation
        pairs.append(PairMinimum(a, b, seconds, floor.lowest_seconds, floor.floor_seconds))
    return places, pairs


def test_true_places_contradict_nothing():
    """Healthy paths are longer than light in fibre: no suspect."""
    found = audit(*measured(TRUE))
    assert (found.pairs, found.contradictions, found.suspects, found.exact) == (28, 0, (), True)


def test_one_lie_is_found_and_placed():
    """A server sold as Hong Kong that stands in Frankfurt: one suspect, placed near Frankfurt, with its proofs."""
    found = audit(*measured(TRUE | {"hkg2": TRUE["hkg"]}, TRUE | {"hkg2": (50.2, 8.6)}))
    (suspect,) = found.suspects
    assert suspect.node == "hkg2"
    assert found.exact
    assert found.alternatives == ()
    region = suspect.region
    truly = geodesic_km(place((region.latitude, region.longitude)), place((50.2, 8.6)))
    assert truly <= region.radius_km < 60
    assert [pair.other for pair in suspect.pairs[:1]] == ["fra"]
    assert all(pair.min_seconds < pair.floor_seconds for pair in suspect.pairs)


def test_two_lies_that_hide_each_other_are_both_found():
    """Two servers in the wrong place, measured by six right ones."""
    stated = TRUE | {"tyo": (-33.9, 151.2), "nyc": (-33.9, 18.4)}
    found = audit(*measured(stated))
    assert {suspect.node for suspect in found.suspects} == {"tyo", "nyc"}


def test_one_pair_alone_does_not_decide_which_end_lies():
    """Two nodes too near to each other: either may be wrong, and that is said."""
    places, pairs = measured(
        {"akl": (-36.8, 174.7), "wlg": (-41.3, 174.8)}, {"akl": (-41.3, 174.7), "wlg": (-41.3, 174.8)}
    )
    found = audit(places, pairs)
    assert len(found.suspects) == 1
    assert found.alternatives == (("wlg",),)


def test_the_region_of_what_nobody_believable_measured_is_unknown():
    """No bound, or bounds that no place on Earth meets, or too loose ones: cannot tell, with the reason."""
    assert region_of([]) == (None, "cannot tell: no node with a believable place has measured it")
    apart = [(place(TRUE["fra"]), 100.0), (place(TRUE["sin"]), 100.0)]
    assert region_of(apart)[1].startswith("cannot tell: no place on Earth")
    assert region_of([(place(TRUE["fra"]), 19_000.0)])[1].startswith("cannot tell: anywhere within")


@given(st.floats(-85, 85), st.floats(-180, 180), st.floats(1.05, 2.5))
def test_the_true_place_is_always_inside_the_region(latitude, longitude, inflation):
    """Wherever it is and however indirect the routes: bounds from round trips never exclude the truth."""
    bounds = [
        (
            place(at),
            round_trip_seconds(geodesic_km(place(at), place((latitude, longitude))))
            * inflation
            / round_trip_seconds(1),
        )
        for at in TRUE.values()
    ]
    region, reason = region_of(bounds)
    if region is not None:
        distance = geodesic_km(place((region.latitude, region.longitude)), place((latitude, longitude)))
        assert distance <= region.radius_km * 1.05 + 15
    else:
        assert "anywhere within" in reason


@given(
    st.lists(
        st.tuples(st.sampled_from("abcdefg"), st.sampled_from("abcdefg")).filter(lambda e: e[0] < e[1]),
        max_size=10,
    )
)
def test_the_set_is_a_smallest_cover(edges):
    """Against trying everything: every edge has an end in it, and no smaller set does."""
    cover, others, exact = smallest_cover(edges)
    nodes = {end for edge in edges for end in edge}

    def covers(chosen):
        return all(a in chosen or b in chosen for a, b in edges)

    smallest = min(
        len(c) for size in range(len(nodes) + 1) for c in itertools.combinations(nodes, size) if covers(c)
    )
    assert exact
    assert covers(cover)
    assert len(cover) == smallest
    assert all(covers(other) and len(other) == smallest for other in others)


def test_a_web_of_lies_too_large_to_search_is_still_explained():
    """Where all sets cannot be tried the answer covers everything and says that it may not be the smallest."""
    names = [f"n{i:02}" for i in range(40)]
    cover, _, exact = smallest_cover(list(itertools.combinations(names, 2)))
    assert len(cover) == 39
    assert not exact


@pytest.mark.corpus
def test_the_real_world_inventory(tmp_path, capsys):
    """203 real servers: La Ceiba stands near New York; one of Auckland and Wellington and one of Prague and Bratislava are wrong."""
    with corpus_file("1-rtt/wonderproxy_servers_shared.csv").open() as file:
        servers = {row["id"]: row for row in csv.DictReader(file)}
    header = "source,destination,source_latitude,source_longitude,destination_latitude,destination_longitude,min_ms,p99_ms"
    lines = [header]
    with corpus_file("1-rtt/wonderproxy_pings_shared.csv").open() as file:
        for row in csv.DictReader(file):
            a, b = servers.get(row["source"]), servers.get(row["destination"])
            if a and b and a is not b and row["min"] and row["max"]:
                where = (end[key] for end in (a, b) for key in ("latitude", "longitude"))
                lines.append(
                    ",".join(
                        (
                            a["name"],
                            b["name"],
                            *where,
                            row["min"],
                            str(max(float(row["max"]), float(row["min"]))),
                        )
                    )
                )
    (tmp_path / "pairs.csv").write_text("\n".join(lines))
    status = main(["audit", "--pairs", str(tmp_path / "pairs.csv"), "--uncertainty-km", "25", "--json"])
    found = json.loads(capsys.readouterr().out)
    suspects = {suspect["node"]: suspect for suspect in found["suspects"]}
    assert (status, found["exact"], len(suspects)) == (1, True, 3)
    region = suspects["LaCeiba"]["region"]
    new_york = geodesic_km(place((region["latitude"], region["longitude"])), place((40.7, -74.0)))
    assert new_york < region["radius_km"] < 500
    assert suspects.keys() & {"Auckland", "Wellington"}
    assert suspects.keys() & {"Prague", "Bratislava", "Vienna"}
    assert math.isfinite(region["radius_km"])
