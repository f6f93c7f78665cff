"""Every path is tested once per direction, and no node is ever in two tests at once."""

import heapq
import itertools
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.plan.matching import choose, in_order, rounds


def names(count):
    return [f"n{i}" for i in range(count)]


@given(st.integers(0, 60))
def test_every_two_nodes_meet_once_and_never_two_tests_in_a_round(count):
    """n - 1 rounds for an even number of nodes, n for an odd one: as few as there can be."""
    matches = rounds(names(count))
    met = [frozenset(pair) for each in matches for pair in each]
    assert len(met) == len(set(met)) == count * (count - 1) // 2
    assert all(len(pair) == 2 for pair in met)
    for each in matches:
        in_round = [node for pair in each for node in pair]
        assert len(in_round) == len(set(in_round))
    assert len(matches) == (0 if count == 0 else count - 1 if count % 2 == 0 else count)


@given(st.integers(0, 20), st.randoms(use_true_random=False))
def test_the_order_holds_exactly_the_wanted_directions(count, dice):
    """Each once."""
    everything = list(itertools.permutations(names(count), 2))
    wanted = dice.sample(everything, dice.randint(0, len(everything)))
    order = in_order(names(count), wanted)
    assert sorted(order) == sorted(wanted)


@given(st.lists(st.tuples(st.integers(0, 8), st.integers(0, 8))), st.sets(st.integers(0, 8)))
def test_what_starts_side_by_side_shares_no_node(candidates, idle):
    """And uses idle nodes only; a path that may not run takes no node from others."""
    may = [pair for pair in candidates if pair[0] != pair[1]]
    chosen = list(choose(may, idle, lambda pair: sum(pair) % 3 != 0))
    used = [node for pair in chosen for node in pair]
    assert len(used) == len(set(used))
    assert set(used) <= idle
    left = idle - set(used)
    assert not [p for p in may if set(p) <= left and sum(p) % 3 != 0]


@pytest.mark.parametrize("count", [2, 7, 50])
def test_a_sweep_takes_little_longer_than_its_rounds(count):
    """50 nodes in both directions at 15 s a test: 24.5 minutes of rounds; tests that end unevenly cost at most a fifth more."""
    dice = random.Random(4)
    order, idle, running, now = (
        in_order(names(count), set(itertools.permutations(names(count), 2))),
        set(names(count)),
        [],
        0.0,
    )
    while order or running:
        for pair in list(choose(order, idle, lambda _: True)):
            order.remove(pair)
            idle -= set(pair)
            heapq.heappush(running, (now + 15 * dice.uniform(0.95, 1.0), pair))
        now, ended = heapq.heappop(running)
        idle |= set(ended)
    ideal = len(rounds(names(count))) * 2 * 15
    assert now <= ideal * 1.2
    print(f"{count} nodes: {now / 60:.1f} min, rounds {ideal / 60:.1f} min")
