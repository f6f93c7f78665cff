"""Which cause explains which broken paths."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collector.incidents.attribution import CauseKind, Place, explain

NODES = {
    f"{provider}{at}": Place(f"{provider}{at}", f"{provider}-site-{at % 2}", provider, region)
    for provider, region in (("alder", "eu"), ("birch", "us"), ("cedar", "asia"), ("dogwood", "eu"))
    for at in range(4)
}
PAIRS = {(a, b) for a in NODES for b in NODES if a != b}


def ends(pair, key):
    return [getattr(NODES[end], key) for end in pair]


WORLDS = {
    "a node": (lambda pair: "alder1" in pair, (CauseKind.NODE, "alder1", None)),
    "what goes into a node": (lambda pair: pair[1] == "alder1", (CauseKind.NODE, "alder1", "in")),
    "what comes out of a node": (lambda pair: pair[0] == "alder1", (CauseKind.NODE, "alder1", "out")),
    "a data centre": (lambda pair: "alder-site-1" in ends(pair, "site"), (CauseKind.SITE, "alder at alder-site-1", None)),
    "a provider": (lambda pair: "alder" in ends(pair, "provider"), (CauseKind.PROVIDER, "alder", None)),
    "a region": (lambda pair: "eu" in ends(pair, "region"), (CauseKind.REGION, "eu", None)),
    "two regions": (lambda pair: sorted(ends(pair, "region")) == ["eu", "us"], (CauseKind.REGION_PAIR, "eu – us", None)),
    "two providers": (
        lambda pair: sorted(ends(pair, "provider")) == ["alder", "birch"],
        (CauseKind.PROVIDER_PAIR, "alder – birch", None),
    ),
    "a path": (lambda pair: set(pair) == {"alder1", "birch1"}, (CauseKind.PATH, "alder1 – birch1", None)),
    "a direction": (lambda pair: pair == ("alder1", "birch1"), (CauseKind.DIRECTION, "alder1 → birch1", None)),
}  # fmt: skip


def said(explained):
    return [(each.cause.kind, each.cause.name, each.cause.direction) for each in explained]


@pytest.mark.parametrize("name", WORLDS)
def test_a_fault_that_breaks_all_of_its_paths_is_the_one_cause(name):
    """Whatever breaks: one cause, with every broken path and no other."""
    breaks, cause = WORLDS[name]
    broken = {pair for pair in PAIRS if breaks(pair)}
    (found,) = explain(broken, (), PAIRS, NODES)
    assert said([found]) == [cause]
    assert found.broken == found.measured == broken


@settings(max_examples=25, deadline=None)
@given(name=st.sampled_from(sorted(WORLDS)), seed=st.integers(0, 10**6))
def test_new_names_for_the_nodes_leave_the_cause_as_it_was(name, seed):
    """A cause follows from who measures whom, never from names or their order."""
    names = [f"n{at}" for at in range(len(NODES))]
    random.Random(seed).shuffle(names)
    new = dict(zip(NODES, names, strict=True))
    places = {new[node]: Place(new[node], p.site, p.provider, p.region) for node, p in NODES.items()}
    pairs = {(new[a], new[b]) for a, b in PAIRS}
    broken = {pair for pair in PAIRS if WORLDS[name][0](pair)}
    before = explain(broken, (), PAIRS, NODES)
    after = explain({(new[a], new[b]) for a, b in broken}, (), pairs, places)
    assert [each.cause.kind for each in after] == [each.cause.kind for each in before]
    assert [len(each.broken) for each in after] == [len(each.broken) for each in before]


@settings(max_examples=40, deadline=None)
@given(broken=st.sets(st.sampled_from(sorted(PAIRS)), min_size=1, max_size=40))
def test_every_broken_path_is_explained_exactly_once(broken):
    """Whatever set of paths broke: none is left over and none is blamed on two causes."""
    explained = explain(broken, (), PAIRS, NODES)
    blamed = [pair for each in explained for pair in each.broken]
    assert sorted(blamed) == sorted(broken)
    assert all(each.broken <= each.measured for each in explained)


def test_two_faults_at_once_are_two_causes():
    """A node and a provider: the paths between them go to the larger one."""
    broken = {pair for pair in PAIRS if "alder1" in pair or "cedar" in ends(pair, "provider")}
    assert said(explain(broken, (), PAIRS, NODES)) == [
        (CauseKind.PROVIDER, "cedar", None),
        (CauseKind.NODE, "alder1", None),
    ]


def test_three_bad_nodes_of_four_are_no_bad_provider():
    """Each node of a provider must be hit by itself before the provider is blamed."""
    broken = {pair for pair in PAIRS if {"alder1", "alder2", "alder3"} & {*pair}}
    found = explain(broken, (), PAIRS, NODES)
    assert "alder" not in {each.cause.name for each in found}
    assert sum(len(each.broken) for each in found) == len(broken)


def test_what_larger_causes_explain_does_not_speak_against_a_smaller_one():
    """A node whose paths to two bad providers are explained already is still the node."""
    broken = {pair for pair in PAIRS if "alder1" in pair or {"birch", "cedar"} & {*ends(pair, "provider")}}
    assert ("alder1", CauseKind.NODE) in {
        (each.cause.name, each.cause.kind) for each in explain(broken, (), PAIRS, NODES)
    }


def test_a_few_paths_that_stayed_sound_do_not_split_the_cause():
    """A provider's fault that a tenth of its paths did not show is one incident all the same."""
    broken = sorted(pair for pair in PAIRS if "alder" in ends(pair, "provider"))
    found = explain([pair for at, pair in enumerate(broken) if at % 10], (), PAIRS, NODES)
    assert said(found) == [(CauseKind.PROVIDER, "alder", None)]


def test_doubtful_paths_corroborate_and_never_accuse():
    """What only looks bad joins a cause that stands, and makes none."""
    row = [pair for pair in sorted(PAIRS) if "alder1" in pair]
    (found,) = explain(row[:12], row[12:], PAIRS, NODES)
    assert (found.cause.name, len(found.broken)) == ("alder1", 30)
    assert explain((), row, PAIRS, NODES) == []
    path = [pair for pair in row if "birch1" in pair]
    assert explain(path, row, PAIRS, NODES)[0].cause.kind is CauseKind.PATH


def test_what_cannot_be_told_apart_is_said():
    """A provider with all nodes of a region: both explain the same paths, the narrower is named, the other beside it."""
    broken = {pair for pair in PAIRS if "cedar" in ends(pair, "provider")}
    (found,) = explain(broken, (), PAIRS, NODES)
    assert found.cause.kind is CauseKind.PROVIDER
    assert found.cause.also == ("region asia",)


def test_a_silent_node_s_own_row_is_no_witness_for_it():
    """A dead node measures nothing: its column alone makes it the node, not only its inbound direction."""
    measured = {pair for pair in PAIRS if pair[0] != "alder1"}
    broken = {pair for pair in measured if pair[1] == "alder1"}
    assert said(explain(broken, (), measured, NODES)) == [(CauseKind.NODE, "alder1", None)]


def test_a_node_outside_the_fleet_can_be_to_blame():
    """Nothing is known of a stranger but its paths."""
    pairs = PAIRS | {(node, "stranger") for node in NODES}
    broken = {pair for pair in pairs if pair[1] == "stranger"}
    assert said(explain(broken, (), pairs, NODES)) == [(CauseKind.NODE, "stranger", None)]
