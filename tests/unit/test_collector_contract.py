"""Which class applies where, and when."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.contract import DEFAULT_CLASS, Application, ContractTable, End, SlaClass, overlapping_versions

NOW = datetime(2026, 11, 1, tzinfo=UTC)
A = End("a1", "acme", "eu")
B = End("b1", "bolt", "asia")


def table(*applications, classes=()):
    named = [SlaClass(name=a.sla_class) for a in applications if a.sla_class not in [c.name for c in classes]]
    return ContractTable([*classes, *named], applications)


BY_PRECEDENCE = [
    Application(sla_class="pair-of-nodes", nodes=("b1", "a1")),
    Application(sla_class="pair-of-providers", providers=("bolt", "acme")),
    Application(sla_class="pair-of-regions", regions=("asia", "eu")),
    Application(sla_class="source-provider", provider="acme"),
    Application(sla_class="destination-provider", provider="bolt"),
    Application(sla_class="everything"),
]


@pytest.mark.parametrize("first", range(len(BY_PRECEDENCE)))
def test_the_most_specific_application_wins(first):
    """Whatever is left after taking away the more specific ones decides, in the stated order."""
    rest = BY_PRECEDENCE[first:]
    for order in (rest, rest[::-1]):
        assert table(*order).class_at(A, B, NOW).name == rest[0].sla_class


def test_a_pair_holds_in_both_directions():
    """Nobody has to write a pair twice."""
    contracts = table(BY_PRECEDENCE[0])
    assert contracts.class_at(A, B, NOW) is contracts.class_at(B, A, NOW)


def test_without_any_rule_the_default_class_judges():
    """2 × floor, no allowance, 99 %."""
    found = ContractTable([], []).class_at(A, B, NOW)
    assert found is DEFAULT_CLASS
    assert (found.multiplier, found.allowance_ms, found.objective) == (2.0, 0.0, 0.99)


def at(month):
    return datetime(2026, month, 1, tzinfo=UTC)


def test_a_contract_change_does_not_rewrite_history():
    """Each time is judged by the version then in force, from its first instant."""
    old = SlaClass(name="x", multiplier=3.0, valid_until=at(7))
    new = SlaClass(name="x", multiplier=2.0, valid_from=at(7))
    contracts = ContractTable([old, new], [Application(sla_class="x")])
    assert [contracts.class_at(A, B, when).multiplier for when in (at(1), at(6), at(7), at(12))] == [
        3,
        3,
        2,
        2,
    ]


def test_before_the_first_version_no_promise_is_invented():
    """A stated default that is not in force yet leaves the path without a class; a specific one falls back to it."""
    later = SlaClass(name="x", valid_from=at(7))
    assert ContractTable([later], [Application(sla_class="x")]).class_at(A, B, at(1)) is None
    both = ContractTable(
        [later, SlaClass(name="y")], [Application(sla_class="x", provider="acme"), Application(sla_class="y")]
    )
    assert both.class_at(A, B, at(1)).name == "y"


PERIODS = st.tuples(st.none() | st.integers(1, 6), st.none() | st.integers(7, 12))


@given(PERIODS, st.tuples(st.none() | st.integers(1, 11), st.none() | st.integers(2, 12)))
def test_versions_overlap_exactly_when_some_time_has_both(first, second):
    """The check that keeps one class from promising two things at once."""
    if None not in second and second[0] >= second[1]:
        return
    one, other = (
        SlaClass(name="x", valid_from=start and at(start), valid_until=end and at(end))
        for start, end in (first, second)
    )
    months = [datetime(2025, 6, 1, tzinfo=UTC), *map(at, range(1, 13)), datetime(2027, 6, 1, tzinfo=UTC)]
    both = any(one.in_force(when) and other.in_force(when) for when in months)
    assert (
        bool(list(overlapping_versions([one, other])))
        == both
        == bool(list(overlapping_versions([other, one])))
    )
