"""Which paths announced work covers, and that no minute is taken out twice."""

import itertools

from hypothesis import given
from hypothesis import strategies as st

from collector.maintenance import Announced, Announcement
from collector.store.tiers import Period
from tests.small_fleet import fleet

NODES = fleet().nodes
PERIOD = Period(6000, 12000)
NAMES = ("ams", "fra", "nyc", "stranger")


@st.composite
def announcements(draw):
    start_s = draw(st.integers(0, 15000))
    scope = draw(
        st.sampled_from([{}, {"nodes": ("ams",)}, {"sites": ("frankfurt",)}, {"providers": ("alpha",)}])
    )
    return Announcement(start_s=start_s, end_s=start_s + draw(st.integers(1, 5000)), reason="x", **scope)


@given(st.lists(announcements(), max_size=6), st.sampled_from(NAMES), st.sampled_from(NAMES))
def test_cuts_are_the_minutes_touched_and_shares_add_up_to_them(found, source, destination):
    """Against the plain definition, minute by minute: overlaps count once, and for the one listed first."""
    announced = Announced(found, NODES, PERIOD)

    def in_scope(each):
        return each.whole_fleet or any(
            name in NODES and each.covers(NODES[name]) for name in (source, destination)
        )

    touched = {
        minute
        for minute in range(PERIOD.start_s, PERIOD.end_s, 60)
        for each in found
        if in_scope(each) and each.start_s < minute + 60 and each.end_s > minute
    }
    cuts = announced.cuts(source, destination)
    assert {
        m for cut in cuts for m in range(cut.start_s, cut.end_s, 60) if PERIOD.start_s <= m < PERIOD.end_s
    } == touched
    assert all(one.end_s < other.start_s for one, other in itertools.pairwise(cuts))
    shares = list(announced.shares(source, destination))
    assert sum(minutes for _, minutes in shares) == len(touched)
    assert all(minutes >= 0 for _, minutes in shares)
    assert cuts == announced.cuts(destination, source)
