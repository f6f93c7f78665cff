"""Relays and hubs from a measured matrix."""

import csv
import itertools
import math
import random

import pytest

from collector.advice.relay import FORWARDING_SECONDS, hubs, matrix_of, relays
from tests.corpus import corpus_file


def both_ways(times):
    return {pair: s for (a, b), s in times.items() for pair in ((a, b), (b, a))}


def test_a_relay_that_saves_enough_is_found_with_its_legs_and_its_price():
    """A path of 200 ms that two legs of 60 and 70 ms replace saves 70 ms less the forwarding."""
    matrix = matrix_of(both_ways({("sao", "sin"): 0.200, ("sao", "mia"): 0.060, ("mia", "sin"): 0.070}))
    there, back = relays(matrix)
    assert {(there.source, there.destination), (back.source, back.destination)} == {
        ("sao", "sin"),
        ("sin", "sao"),
    }
    assert there.via == "mia"
    assert there.legs_seconds == pytest.approx((0.060, 0.070))
    assert there.gain_seconds == pytest.approx(0.070 - FORWARDING_SECONDS, abs=1e-6)


@pytest.mark.parametrize(
    ("direct", "leg", "forwarding", "found"),
    [
        (0.200, 0.0895, 0.0, True),  # 10.5%, 21 ms
        (0.200, 0.0905, 0.0, False),  # 9.5%
        (0.040, 0.0170, 0.0, True),  # 15%, 6 ms
        (0.040, 0.0178, 0.0, False),  # 11%, but 4.4 ms
        (0.200, 0.0895, 0.002, False),  # the forwarding eats it
    ],
)
def test_a_relay_must_win_by_a_tenth_and_by_five_milliseconds(direct, leg, forwarding, found):
    """Less than 10% or less than 5 ms at P99, the forwarding included, is no relay."""
    matrix = matrix_of({("a", "b"): direct, ("a", "r"): leg, ("r", "b"): leg})
    assert bool(relays(matrix, forwarding)) is found


def test_a_missing_leg_or_direct_path_makes_no_relay():
    """What was not measured is neither fast nor slow."""
    assert relays(matrix_of({("a", "b"): 0.2, ("a", "r"): 0.01}, nodes=["a", "b", "r"])) == []
    assert relays(matrix_of({("a", "r"): 0.01, ("r", "b"): 0.01})) == []
    assert relays(matrix_of({})) == []


def test_the_best_relay_is_the_one_that_trying_all_finds():
    """On random matrices with a third of the entries missing."""
    dice = random.Random(7)
    names = [f"n{i:02}" for i in range(40)]
    p99 = {
        pair: dice.uniform(0.01, 0.3) for pair in itertools.permutations(names, 2) if dice.random() > 1 / 3
    }
    expected = {}
    for (a, b), direct in p99.items():
        ways = [
            (p99[a, r] + p99[r, b] + FORWARDING_SECONDS, r) for r in names if (a, r) in p99 and (r, b) in p99
        ]
        if ways and direct - min(ways)[0] >= max(0.005, 0.1 * direct):
            expected[a, b] = min(ways)[1]
    assert {(relay.source, relay.destination): relay.via for relay in relays(matrix_of(p99))} == expected


def test_a_negative_forwarding_time_is_refused():
    """A machine that forwards cannot give time back."""
    with pytest.raises(ValueError, match="negative"):
        relays(matrix_of({}), -0.001)


def test_the_best_hub_has_the_nearest_farthest_spoke():
    """Frankfurt is 90 and 160 ms from the others, each of which is 230 ms from one of them."""
    matrix = matrix_of(both_ways({("fra", "nyc"): 0.09, ("fra", "sin"): 0.16, ("nyc", "sin"): 0.23}))
    ranked = hubs(matrix)
    assert [hub.node for hub in ranked] == ["fra", "nyc", "sin"]
    assert ranked[0].worst_seconds == pytest.approx(0.16)
    assert ranked[0].farthest == "sin"
    assert ranked[0].unmeasured == ()


def test_a_hub_that_was_not_measured_to_a_spoke_comes_after_those_that_were():
    """And names the spoke."""
    times = both_ways({("a", "b"): 0.1, ("a", "c"): 0.1, ("b", "d"): 0.01, ("a", "d"): 0.1})
    ranked = hubs(matrix_of(times))
    assert ranked[0].node == "a"
    assert next(hub for hub in ranked if hub.node == "b").unmeasured == ("c",)


def test_the_slower_direction_counts_and_only_the_spokes_asked_for():
    """A spoke that answers slowly in one direction is far; a node that is no spoke is not."""
    matrix = matrix_of({("h", "s"): 0.01, ("s", "h"): 0.2, ("h", "x"): 0.9, ("h", "t"): 0.02})
    hub = next(hub for hub in hubs(matrix, ["s", "t"]) if hub.node == "h")
    assert hub.worst_seconds == pytest.approx(0.2)
    with pytest.raises(KeyError):
        hubs(matrix, ["nobody"])


@pytest.mark.corpus
def test_relays_of_the_real_world():
    """203 real servers: as an independent count of the same data said, about one path in seven is beaten by a fifth."""
    times = {}
    with corpus_file("1-rtt/wonderproxy_pings_shared.csv").open() as file:
        for row in csv.DictReader(file):
            pair = row["source"], row["destination"]
            if pair[0] != pair[1] and row["avg"]:
                times[pair] = min(times.get(pair, math.inf), float(row["avg"]) / 1e3)
    matrix = matrix_of(times)
    found = relays(matrix, 0.0)
    assert len(matrix.nodes) == 203
    assert sum(relay.gain_ratio > 0.2 for relay in found) / len(times) == pytest.approx(0.136, abs=0.01)
    best = hubs(matrix)[0]
    assert best.unmeasured == ()
    assert best.worst_seconds < 0.3
