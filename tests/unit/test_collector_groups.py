"""The shapes of groups."""

from agent.wire.assignment import ProbeSpec
from collector.groups import Group, probes_by_pair

FLEET = ("a", "b", "c")


def pairs(group):
    return sorted(group.directed_pairs(FLEET))


def test_a_mesh_is_every_pair_in_both_directions():
    """All nodes unless some are named."""
    assert pairs(Group(name="g")) == [(x, y) for x in FLEET for y in FLEET if x != y]
    assert pairs(Group(name="g", nodes=("a", "b"))) == [("a", "b"), ("b", "a")]


def test_a_star_is_the_hub_to_each_and_back():
    """Never a pair without the hub."""
    assert pairs(Group(name="g", shape="star", hub="b")) == [("a", "b"), ("b", "a"), ("b", "c"), ("c", "b")]


def test_disjoint_sets_measure_across_and_not_within():
    """A × B, both directions."""
    group = Group(name="g", shape="disjoint", a=("a",), b=("b", "c"))
    assert pairs(group) == [("a", "b"), ("a", "c"), ("b", "a"), ("c", "a")]


def test_pairs_are_one_direction_each():
    """A list is taken as written."""
    assert pairs(Group(name="g", shape="pairs", pairs=(("c", "a"),))) == [("c", "a")]


def test_two_groups_join_and_the_shorter_interval_wins():
    """A pair is never probed twice by the same kind, and never less often than some group asked for."""
    slow = Group(name="all", probes=(ProbeSpec("tcp", 10.0), ProbeSpec("mtu", 600.0)))
    fast = Group(name="hot", shape="pairs", pairs=(("a", "b"),), probes=(ProbeSpec("tcp", 1.0),))
    for order in ([slow, fast], [fast, slow]):
        found = probes_by_pair(order, FLEET)
        assert {p.kind: p.interval_seconds for p in found["a", "b"]} == {"tcp": 1.0, "mtu": 600.0}
        assert {p.kind: p.interval_seconds for p in found["b", "a"]} == {"tcp": 10.0, "mtu": 600.0}
