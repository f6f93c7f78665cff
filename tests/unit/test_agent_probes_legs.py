"""A source port that loses more than chance explains is found; loss on every port is nobody's fault."""

import random

from agent.probes.legs import FEWEST, Legs, chance_of_loss


def test_one_dead_leg_is_found_and_recovers():
    """Of four legs one loses everything: it is named after a few probes, and no more once it works again."""
    legs, changes = Legs(), []
    for number in range(200):
        leg = number % 4
        if legs.add(leg, lost=leg == 2 and number < 80):
            changes.append(legs.lossy)
    assert changes[0] == {2}
    assert changes[-1] == frozenset()
    assert legs.worst_loss_ratio == 0.0


def test_loss_everywhere_names_no_leg():
    """20% loss on all ports alike, for long: no leg stands out (seeded, 8 runs)."""
    for seed in range(8):
        dice, legs = random.Random(seed), Legs()
        for number in range(2000):
            legs.add(number % 4 if number % 2 else None, lost=dice.random() < 0.2)
            assert not legs.lossy


def test_a_dead_path_names_no_leg():
    """Where nothing is answered at all, no leg is worse than the others."""
    legs = Legs()
    assert not any(legs.add(number % 4, lost=True) for number in range(100))


def test_too_few_probes_say_nothing():
    """Below the fewest probes there is no ratio, not a ratio of 0."""
    legs = Legs()
    for _ in range(FEWEST - 1):
        legs.add(0, lost=False)
    assert legs.worst_loss_ratio is None
    legs.add(0, lost=False)
    assert legs.worst_loss_ratio == 0.0


def test_chance_of_known_cases():
    """Losing at least 0 is certain; that both lost ones of four packets are just these two is one in six."""
    assert chance_of_loss(0, 2, 2, 4) == 1
    assert chance_of_loss(2, 2, 2, 4) == 1 / 6
    assert chance_of_loss(3, 3, 3, 3) == 1
