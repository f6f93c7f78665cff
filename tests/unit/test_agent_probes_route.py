"""What counts as a change of route."""

from agent.probes.route import REMEMBERED_RUNS, Hop, Route, RouteMemory


def route(*hops, reached=True):
    """Each hop as its addresses in one word, or "" for a silent one."""
    return Route([Hop(ttl, 1, word.split(), [], 1) for ttl, word in enumerate(hops, 1)], reached)


def remembering(*routes):
    memory = RouteMemory()
    for number, each in enumerate(routes):
        memory.add([each], number)
    return memory


def test_the_same_route_is_nothing_new():
    """Seen once, known."""
    assert not remembering(route("a", "b", "t")).is_new(route("a", "b", "t"))


def test_a_known_alternative_is_nothing_new():
    """Either way of a load balancer was seen."""
    memory = remembering(route("a", "b", "t"), route("a", "c", "t"))
    assert not memory.is_new(route("a", "b", "t"))
    assert not memory.is_new(route("a", "c", "t"))


def test_a_silent_hop_says_nothing():
    """Neither silence where one answered, nor an answer where all was silent, is a change."""
    memory = remembering(route("a", "b", "t"))
    assert not memory.is_new(route("a", "", "t"))
    quiet = remembering(route("a", "", "t"))
    assert quiet.is_new(route("a", "b", "t"))
    assert not quiet.differs([route("a", "b", "t")])


def test_a_new_address_beside_a_known_one_is_an_alternative():
    """Worth a closer look, but some flow still goes the known way."""
    memory = remembering(route("a", "b", "t"))
    assert memory.is_new(route("a", "c", "t"))
    assert not memory.differs([route("a", "c", "t"), route("a", "b", "t")])


def test_no_known_address_left_is_a_change():
    """No flow goes the known way any more."""
    assert remembering(route("a", "b", "t")).differs([route("a", "c", "t"), route("a", "d", "t")])


def test_another_length_is_a_change_unless_it_is_known():
    """Ways of unequal length are alternatives when both were seen."""
    assert remembering(route("a", "b", "t")).differs([route("a", "b", "", "t")])
    both = remembering(route("a", "b", "t"), route("a", "", "", "t"))
    assert not both.differs([route("a", "", "", "t")])


def test_an_unreached_target_is_no_change_of_length():
    """A trace that ends early says nothing of the length."""
    assert not remembering(route("a", "b", "t")).differs([route("a", reached=False)])


def test_old_addresses_are_forgotten():
    """An alternative not seen in so many traces is a change when it comes back alone."""
    memory = remembering(route("a", "old", "t"), *[route("a", "b", "t")] * REMEMBERED_RUNS)
    assert memory.alternatives == {1: ["a"], 2: ["b"], 3: ["t"]}
    assert memory.differs([route("a", "old", "t")])
