"""A slow node against its healthy siblings."""

import pytest

from collector.advice.drift import Member, comparable, compare, siblings_of
from collector.advice.likelihood import LIKELIHOODS, Symptom, likelihood
from siblings import HONG_KONG, WORKER


def fleet(slow_facts, **slow):
    healthy = [Member(f"w{i}", "nebula", "worker", "image-7", WORKER, healthy=True) for i in range(4)]
    return [*healthy, Member("hkg", "nebula", "worker", "image-7", slow_facts, **slow)]


def test_the_hong_kong_case_is_solved_from_facts_alone():
    """The overlay that does not fit the link comes first, then the link's MTU; missing svm is a difference, no proof."""
    found = compare("hkg", fleet(HONG_KONG))
    facts = [difference.fact for difference in found.differences]
    assert found.basis == "role worker"
    assert set(facts[:2]) == {
        "derived.overlay.flannel.0.configured_underlay_fits_uplink",
        "derived.overlay.flannel.1.fits_underlay",
    }
    assert facts[2] == "interface.uplink.mtu"
    assert (found.differences[2].here, found.differences[2].there) == (1450, 1500)
    flag = next(difference for difference in found.differences if difference.fact == "cpu.flags.svm")
    assert "no proof" in flag.why_en
    assert flag.score < found.differences[2].score
    assert not [
        fact
        for fact in facts
        if fact.startswith(("sysctl", "kernel", "overlay_config", "route.ipv4", "memory"))
    ]


def test_the_measured_symptom_moves_what_can_cause_it_up():
    """With longer round trips and nothing else, an emulated clock comes before a smaller receive buffer."""
    slow = WORKER | {
        "sysctl.net.ipv4.tcp_congestion_control": "reno",
        "interface.eth0.mtu": 1450,
        "clock.source": "hpet",
    }
    assert compare("hkg", fleet(slow)).differences[0].fact.startswith("derived")
    by_delay = compare("hkg", fleet(slow), [Symptom.DELAY])
    assert by_delay.differences[0].fact == "clock.source"
    assert by_delay.symptoms == (Symptom.DELAY,)


def test_interfaces_are_compared_by_what_they_do_not_by_their_name():
    """ens3 with 1500 bytes is no difference from eth0 with 1500 bytes."""
    renamed = {name.replace("eth0", "ens3"): value for name, value in WORKER.items()}
    renamed["route.ipv4.default"] = [{"destination": "0.0.0.0/0", "interface": "ens3"}]
    renamed["overlay.flannel.1.underlay_interface"] = "eth0"
    assert compare("hkg", fleet(renamed)).differences == ()


def test_a_fact_in_which_siblings_differ_among_themselves_ranks_low():
    """A value of its own among siblings that all have their own explains less than one among siblings that agree."""
    members = fleet(WORKER | {"cpu.model": "Z", "cpu.count": 1})
    for number, member in enumerate(members[:4]):
        members[number] = Member(member.node, "nebula", "worker", None, WORKER | {"cpu.model": f"M{number}"})
    scores = {difference.fact: difference.score for difference in compare("hkg", members).differences}
    assert scores["cpu.count"] > 3 * scores.get("cpu.model", 0)


def test_what_the_majority_lacks_too_is_no_difference():
    """The odd sibling with 9000 bytes is not what the node is compared with."""
    members = fleet(WORKER)
    members[0] = Member("w0", "nebula", "worker", None, WORKER | {"interface.eth0.mtu": 9000})
    assert compare("hkg", members).differences == ()


def test_a_value_that_as_many_siblings_have_is_not_odd():
    """Two of four have the node's value, two another: who is the odd one?"""
    members = fleet(WORKER | {"clock.source": "tsc"})
    for number in (0, 1):
        members[number] = Member(f"w{number}", "nebula", "worker", None, WORKER | {"clock.source": "tsc"})
    assert compare("hkg", members).differences == ()


def test_unknown_is_neither_equal_nor_different():
    """A fact that cannot be read here is listed as unknown; one that siblings cannot read is left out."""
    found = compare("hkg", fleet(WORKER | {"clock.source": None, "interface.eth0.mtu": None}))
    assert found.differences == ()
    assert {"clock.source", "interface.uplink.mtu"} <= set(found.unknown)
    members = [Member(f"w{i}", "nebula", "worker", None, WORKER | {"clock.source": None}) for i in range(3)]
    assert compare("hkg", [*members, Member("hkg", "nebula", "worker", None, WORKER)]).differences == ()


def test_an_extra_tunnel_is_one_difference():
    """Not one for each of its facts."""
    extra = {
        f"interface.wg0.{name}": value
        for name, value in {"mtu": 1420, "kind": "wireguard", "qdisc": "noqueue"}.items()
    }
    facts = [difference.fact for difference in compare("hkg", fleet(WORKER | extra)).differences]
    assert facts == ["interface.wg0.kind"]


def test_siblings_are_of_the_same_role_then_image_then_provider_and_healthy():
    """A node without a role is compared by image; unhealthy ones are left out while two others remain."""
    members = [
        Member("a", "p", "edge", "i1", WORKER),
        Member("b", "p", "edge", "i1", WORKER, healthy=False),
        Member("c", "p", "edge", "i2", WORKER),
        Member("d", "p", None, "i2", WORKER),
        Member("silent", "p", "edge", "i1"),
    ]

    def of(member):
        basis, found = siblings_of(member, [other for other in members if other is not member])
        return basis, [sibling.node for sibling in found]

    assert of(Member("x", "p", "edge", "i1", WORKER)) == ("role edge", ["a", "c"])
    assert of(Member("x", "p", None, "i2", WORKER)) == ("image i2", ["c", "d"])
    assert of(Member("x", "p", None, None, WORKER)) == ("provider p", ["a", "c", "d"])
    assert of(Member("x", "other", None, None, WORKER)) == (None, [])
    assert of(members[0]) == ("role edge", ["b", "c"])


def test_nothing_to_compare_with_is_said():
    """No facts, or no siblings: a reason, and no list that looks like equality."""
    assert "no facts" in compare("hkg", fleet({})).reason
    assert "fewer than two" in compare("x", [Member("x", "p", facts=WORKER)]).reason
    with pytest.raises(KeyError):
        compare("nobody", [])


def test_every_row_of_the_table_can_match_and_says_why_in_both_languages():
    """No row is hidden by an earlier one for every fact it names; weights lie within 0 … 1."""
    assert likelihood("interface.uplink.mtu").weight > likelihood("interface.cni0.mtu").weight
    assert (
        likelihood("sysctl.net.ipv4.tcp_rmem").weight > likelihood("sysctl.net.ipv4.tcp_fin_timeout").weight
    )
    assert likelihood("no.such.fact").weight < min(row.weight for row in LIKELIHOODS)
    for row in LIKELIHOODS:
        assert 0 < row.weight <= 1
        assert row.explains
        assert row.why_en
        assert any("一" <= letter <= "鿿" for letter in row.why_zh)


@pytest.mark.parametrize("odd", ["text", [], {}, [1], [{"interface": 5}], None, 3])
def test_odd_values_are_compared_without_a_fault(odd):
    """Whatever an agent sends as a value, comparing does not fail."""
    strange = dict.fromkeys(WORKER, odd)
    assert comparable(strange) is not None
    assert compare("hkg", fleet(strange)).basis == "role worker"
