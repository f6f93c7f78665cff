"""No node moves more for tests than its share of the allowance, in a day or in a month."""

from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from agent.wire.lease import Terms
from collector.plan.budget import DAY_S, Usage, budget_of, most_bytes, wire_bytes

NOON = int(datetime(2026, 3, 15, 12, tzinfo=UTC).timestamp())
LARGE = Terms("iperf3", 10, 800_000_000)


def test_a_test_is_charged_with_its_headers():
    """800 Mbit/s for 10 s are 10**9 bytes of payload."""
    assert most_bytes(LARGE) == wire_bytes(10**9) == 1_060_000_000


@given(
    st.lists(st.tuples(st.integers(0, 70), st.integers(1, 10**10)), max_size=60), st.integers(10**9, 10**12)
)
def test_no_order_of_tests_breaks_a_budget(tests, allowance):
    """Whatever is asked for, and on whatever day."""
    usage, budget = Usage(), budget_of(allowance, 0.5)
    ran = []
    for day, size in sorted(tests):
        at = NOON + day * DAY_S
        if usage.refusal("a", budget, size, at) is None:
            usage.add("a", at, size)
            ran.append((datetime.fromtimestamp(at, UTC), size))
    for when, _ in ran:
        assert sum(size for t, size in ran if t.date() == when.date()) <= budget.day_bytes
        month = [size for t, size in ran if (t.year, t.month) == (when.year, when.month)]
        assert sum(month) <= budget.month_bytes


def test_the_refusal_says_which_budget_and_by_how_much():
    """In words for the operator."""
    usage, budget = Usage(), budget_of(30_000, 0.1)
    usage.add("a", NOON, 90)
    assert usage.refusal("a", budget, 11, NOON) == "a: over the day's budget: 90 of 100 bytes used, 11 wanted"
    assert usage.refusal("a", budget, 10, NOON) is None
    assert usage.refusal("a", budget, 100, NOON + DAY_S) is None


def test_what_was_not_used_is_given_back():
    """Settled to the test's own day, whenever it ends."""
    usage = Usage()
    usage.add("a", NOON, 100)
    usage.add("a", NOON, -60)
    assert usage.used("a", NOON) == (40, 40)
    assert usage.used("a", NOON + DAY_S) == (0, 40)
    assert usage.used("a", NOON + 31 * DAY_S) == (0, 0)
