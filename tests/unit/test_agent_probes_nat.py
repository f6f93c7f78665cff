"""What the sockets of the NAT probe saw, in words of the NAT."""

import errno

import pytest

from agent.probes.nat import Look, conclude
from agent.stamp.mapping import Endpoint
from agent.wire.series import Outcome

LOCAL, PUBLIC = Endpoint("10.0.0.2", 4000), Endpoint("192.0.2.1", 61000)


def behind(idle_seconds, outlived):
    return Look(idle_seconds, LOCAL, PUBLIC, outlived)


def test_seen_at_its_own_address_is_no_nat():
    """Without translation there is no mapping, and no lifetime is told."""
    sample = conclude([Look(15, LOCAL, LOCAL), Look(15, LOCAL)])
    assert (sample.outcome, sample.result["nat"]) == (Outcome.OK, False)
    assert not any("lifetime" in name for name in sample.result)


@pytest.mark.parametrize(
    "seen", [PUBLIC, Endpoint(LOCAL.address, 61000), Endpoint(PUBLIC.address, LOCAL.port)]
)
def test_another_address_or_port_is_a_nat(seen):
    """Either alone is enough."""
    sample = conclude([Look(15, LOCAL, seen)])
    assert sample.result == {"nat": True, "local_address": str(LOCAL), "observed_address": str(seen)}


@pytest.mark.parametrize(
    ("looks", "found"),
    [
        ([behind(15, True), behind(30, True), behind(60, False)], {"mapping_lifetime_seconds": 30}),
        ([behind(15, True), behind(60, True)], {"mapping_lifetime_at_least_seconds": 60}),
        ([behind(15, False), behind(60, False)], {"mapping_lifetime_below_seconds": 15}),
        ([behind(15, True), behind(30, False), behind(60, True), behind(120, False)], {"mapping_lifetime_seconds": 60}),
        ([behind(15, False), behind(30, True)], {"mapping_lifetime_at_least_seconds": 30}),
        ([behind(15, True), behind(60, False), behind(60, True)], {"mapping_lifetime_at_least_seconds": 60}),
        ([behind(15, True), behind(60, None)], {"mapping_lifetime_at_least_seconds": 15}),
        ([behind(15, None)], {}),
    ],
)  # fmt: skip
def test_the_lifetime_is_what_the_times_tried_can_tell(looks, found):
    """A lost answer beside one that came, or before a longer time that came, is no forgotten mapping."""
    result = conclude(looks).result
    assert {name: value for name, value in result.items() if "lifetime" in name} == found


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        (None, Outcome.TIMEOUT),
        (OSError(errno.ECONNREFUSED, "refused"), Outcome.REFUSED),
        (OSError(errno.ENETUNREACH, "no route"), Outcome.UNREACHABLE),
        (OSError(errno.EMFILE, "too many"), Outcome.FAILED),
    ],
)
def test_no_answer_is_neither_nat_nor_none(error, outcome):
    """Where no agent told, nothing is claimed of a NAT."""
    sample = conclude([Look(15, LOCAL, error=error)] * 2)
    assert (sample.outcome, sample.result) == (outcome, None)
