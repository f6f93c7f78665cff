"""The fleet: paths, floors, classes and assignments from one file."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from agent.wire.series import Family
from collector.discovery import target_groups
from collector.fleet import parse_fleet, read_fleet
from tests import small_fleet

EXAMPLE = Path(__file__).resolve().parents[2] / "deploy/fleet.example.toml"
NOW = datetime(2026, 11, 1, tzinfo=UTC)

NODES = """
[[providers]]
name = "p"
[[sites]]
name = "here"
latitude = 50.0
longitude = 8.0
[[sites]]
name = "there"
latitude = 50.0
longitude = 18.0
uncertainty_km = 7.0
[[sites]]
name = "somewhere"
[[nodes]]
name = "a"
provider = "p"
site = "here"
ipv4 = "192.0.2.1"
[[nodes]]
name = "b"
provider = "p"
site = "there"
ipv4 = "192.0.2.2"
ipv6 = "2001:db8::2"
[[nodes]]
name = "c"
provider = "p"
site = "somewhere"
ipv6 = "2001:db8::3"
[[groups]]
name = "all"
"""


def fleet(more=""):
    return parse_fleet(NODES + more, "fleet.toml")


def test_the_example_loads_and_shows_every_table():
    """What an operator copies works."""
    example = read_fleet(EXAMPLE)
    assert len(list(example.paths(NOW))) == 6
    document = example.document
    shown = [getattr(document, name) for name in document.__struct_fields__]
    assert all(shown)


def test_a_path_has_floor_limit_and_the_families_both_ends_have():
    """The ground every verdict stands on."""
    path = fleet().path("a", "b", NOW)
    assert path.floor.distance_km == pytest.approx(716.4, abs=1)
    assert path.limit_seconds == pytest.approx(2 * path.floor.floor_seconds)
    assert path.families == (Family.IPV4,)
    assert path.floor == fleet().path("b", "a", NOW).floor


def test_given_coordinates_are_uncertain_by_one_kilometre_unless_stated():
    """uncertainty_km goes into the floor."""
    assert fleet().coordinates["here"].uncertainty_km == 1.0
    assert fleet().coordinates["there"].uncertainty_km == 7.0
    assert fleet().floor("a", "b").uncertainty_seconds == pytest.approx(8 * 2 * 1.468 / 299_792.458)


def test_a_site_without_coordinates_is_measured_and_has_no_floor():
    """Unknown is None, and the agent is told no limit."""
    path = fleet().path("b", "c", NOW)
    assert path.floor is path.limit_seconds is None
    peer = next(p for p in fleet().assignment("b", NOW).peers if p.name == "c")
    assert peer.floor_seconds is peer.limit_seconds is None


def test_nodes_without_a_common_family_are_named_not_measured():
    """An IPv4-only and an IPv6-only node cannot reach each other, and the fleet says so."""
    assert ("a", "c") not in fleet().pairs
    assert sorted(fleet().pairs_without_family) == [("a", "c"), ("c", "a")]


def test_an_assignment_holds_only_what_its_node_can_do():
    """Peers, the addresses of shared families, floor and limit."""
    assignment = fleet().assignment("a", NOW)
    (peer,) = assignment.peers
    assert (peer.name, peer.ipv4, peer.ipv6) == ("b", "192.0.2.2", None)
    assert peer.limit_seconds == pytest.approx(2 * peer.floor_seconds)
    with pytest.raises(KeyError):
        fleet().assignment("x", NOW)


def test_overrides_of_nodes_beat_those_of_sites():
    """The closer knowledge wins; a stated length needs no coordinates."""
    more = """
[[overrides]]
sites = ["there", "here"]
length_km = 900.0
refractive_index = 1.5
[[overrides]]
nodes = ["c", "b"]
length_km = 300.0
multiplier = 3.0
"""
    found = fleet(more)
    assert (found.floor("a", "b").distance_km, found.floor("a", "b").refractive_index) == (900.0, 1.5)
    assert found.path("c", "b", NOW).limit_seconds == pytest.approx(3 * found.floor("b", "c").floor_seconds)
    assert found.floor("c", "b").distance_km == 300.0


def test_an_index_alone_keeps_the_geodesic():
    """n changes the light's speed, not the way."""
    found = fleet('[[overrides]]\nnodes = ["a", "b"]\nrefractive_index = 1.4\n').floor("a", "b")
    assert found.distance_km == fleet().floor("a", "b").distance_km
    assert found.floor_seconds == pytest.approx(fleet().floor("a", "b").floor_seconds * 1.4 / 1.468)


def test_classes_apply_by_region_and_time():
    """The example's contract of 2026-07-01 changes the limit from that instant."""
    example = read_fleet(EXAMPLE)
    before = example.sla("fsn-1", "hel-1", datetime(2026, 6, 30, 23, 59, tzinfo=UTC))
    after = example.sla("fsn-1", "hel-1", datetime(2026, 7, 1, tzinfo=UTC))
    assert (before.multiplier, after.multiplier) == (2.5, 2.0)
    assert example.sla("fsn-1", "sin-1", NOW).name == "standard"


def test_an_overlay_address_is_measured_and_measures_nothing():
    """Others probe it beside its server; it has no agent, and its own server does not probe it."""
    more = '[[nodes]]\nname = "fra-wg"\nprovider = "alpha"\nsite = "frankfurt"\nipv4 = "10.8.0.2"\noverlay_of = "fra"\n'
    fleet = small_fleet.fleet(more)
    assert "fra-wg" not in fleet.agents
    assert {pair for pair in fleet.pairs if "fra-wg" in pair} == {("ams", "fra-wg"), ("nyc", "fra-wg")}
    assert "fra-wg" in {peer.name for peer in fleet.assignment("ams", datetime.now(UTC)).peers}
    assert [group["labels"]["node"] for group in target_groups(fleet)] == ["ams", "fra", "nyc"]
