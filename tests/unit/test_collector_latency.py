"""The verdict under uncertainty: which one holds wherever the machines stand."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.wire.histogram import Histogram
from collector.floor import Floor
from collector.latency import Promise, Verdict, decide_by_counts, decide_by_values, proof
from collector.measured import Measured, MinuteCounts

MS = 1_000_000


def promise(floor_ms, uncertainty_ms=0.0, multiplier=2.0, allowance_ms=0.0):
    return Promise(
        Floor(1, floor_ms / 1e3, uncertainty_ms / 1e3, 1.468, "stated"), multiplier, allowance_ms / 1e3
    )


@pytest.mark.parametrize(
    ("terms", "min_ms", "p99_ms", "expected"),
    [
        (promise(10), 12, 20, "PASS"),  # at the limit is within it
        (promise(10), 12, 20.001, "FAIL"),
        (promise(10), 20.001, 25, "UNACHIEVABLE"),
        (promise(10), 9.999, 12, "IMPLAUSIBLE"),
        (promise(10), 10, 12, "PASS"),
        (promise(10, 0.5), 9.6, 12, "PASS"),  # below the floor, but not beyond its uncertainty
        (promise(10, 0.5), 9.4, 12, "IMPLAUSIBLE"),
        (promise(10, 0.5), 9.4, 99, "IMPLAUSIBLE"),  # goes before every other verdict
        (promise(10, 0.5), 12, 19, "PASS"),
        (promise(10, 0.5), 12, 19.5, "TOO_CLOSE"),  # PASS as stated, FAIL if 0.5 ms closer
        (promise(10, 0.5), 12, 20.5, "TOO_CLOSE"),  # FAIL as stated, PASS if 0.5 ms farther
        (promise(10, 0.5), 12, 21.5, "FAIL"),
        (promise(10, 0.5), 20.5, 20.8, "TOO_CLOSE"),
        (promise(10, 0.5), 20.5, 30, "FAIL"),  # the best sample might be within, the P99 is not
        (promise(10, 0.5), 21.5, 30, "UNACHIEVABLE"),
        (promise(0), 0.2, 0.4, "TOO_CLOSE"),  # one site: the distance says nothing
        (promise(0, 0.02), 0.2, 0.4, "TOO_CLOSE"),
        (promise(0, 0.02, allowance_ms=1), 0.2, 0.4, "PASS"),  # the allowance does
        (promise(0, 0.02, allowance_ms=1), 0.2, 50, "FAIL"),
        (promise(0, 0.02, allowance_ms=1), 2, 50, "UNACHIEVABLE"),
        (promise(0.3, 0.5), 9, 30, "TOO_CLOSE"),
        (promise(0.3, 0.5, allowance_ms=1.0), 9, 30, "TOO_CLOSE"),  # allowance = multiplier × uncertainty
        (promise(0.3, 0.5, allowance_ms=1.1), 9, 30, "UNACHIEVABLE"),
        (promise(0.3, 0.5, allowance_ms=1.0), 0.5, 0.9, "PASS"),  # within the allowance alone
    ],
)
def test_verdicts_by_values(terms, min_ms, p99_ms, expected):
    """Each rule and each border of docs/verdicts.md."""
    assert decide_by_values(terms, min_ms / 1e3, p99_ms / 1e3) == expected


def measured(n, over, within_ms=15, over_ms=30, minutes=None):
    rtt = Histogram.of([within_ms * MS] * (n - over) + [over_ms * MS] * over)
    return Measured(rtt, judged=n, over_limit=over, minutes=minutes)


def by_counts(terms, what, objective=0.99):
    return decide_by_counts(terms, what, proof(what, terms.limit_seconds), objective)


@given(st.integers(1, 3000), st.data())
def test_more_samples_over_the_limit_never_improve_the_verdict(n, data):
    """PASS, then NOT_PROVEN, then FAIL as the count grows; never back."""
    order = [Verdict.PASS, Verdict.NOT_PROVEN, Verdict.FAIL]
    counts = sorted(data.draw(st.lists(st.integers(0, n - 1), min_size=2, max_size=6)))
    ranks = [order.index(by_counts(promise(10), measured(n, over))) for over in counts]
    assert ranks == sorted(ranks)


PROMISES = st.builds(promise, st.floats(0.5, 100), st.floats(0, 10), st.floats(1, 4), st.floats(0, 20))


@given(PROMISES, st.lists(st.floats(0, 400), min_size=2, max_size=2), st.floats(-1, 1))
def test_a_pass_or_fail_holds_wherever_the_machines_stand(terms, times, shift):
    """Moving them within what is not known of them never turns one into the other."""
    min_s, p99_s = (t / 1e3 for t in sorted(times))
    verdict = decide_by_values(terms, min_s, p99_s)
    true_floor_ms = max(0.0, terms.floor.floor_seconds + shift * terms.floor.uncertainty_seconds) * 1e3
    limit_ms = terms.multiplier * true_floor_ms + terms.allowance_seconds * 1e3
    if verdict == "PASS":
        assert p99_s * 1e3 <= limit_ms + 1e-9
    if verdict == "FAIL":
        assert p99_s * 1e3 > limit_ms - 1e-9
    if verdict == "UNACHIEVABLE":
        assert min_s * 1e3 > limit_ms - 1e-9
    if verdict == "IMPLAUSIBLE":
        assert min_s * 1e3 < true_floor_ms + 1e-9


def test_many_samples_whose_verdict_hangs_on_the_place_are_too_close_not_unproven():
    """More samples would not help, better coordinates would."""
    rtt = Histogram.of([19 * MS] * 5000 + [20 * MS + 1000] * 75 + [21 * MS] * 25 + [40 * MS] * 30)
    what = Measured(rtt, judged=5130, over_limit=60)
    assert by_counts(promise(10, 0.7), what) == "TOO_CLOSE"
    assert by_counts(promise(10), what) == "NOT_PROVEN"


def test_clustered_samples_prove_less():
    """Slow samples of one bad quarter of an hour are no proof that would hold in a dispute."""
    spread, clustered = MinuteCounts(), MinuteCounts()
    for minute in range(1440):
        spread.add({}, 6, 1 if minute % 12 == 0 else 0)
        clustered.add({}, 6, 6 if minute < 20 else 0)
    assert by_counts(promise(10), measured(8640, 120, minutes=spread)) == "FAIL"
    assert by_counts(promise(10), measured(8640, 120, minutes=clustered)) == "NOT_PROVEN"


def test_windows_judged_against_no_limit_are_counted_from_buckets():
    """A limit that is stated later can be applied to what was recorded before, within what buckets can tell."""
    uncounted = Measured(measured(1440, 7).rtt)
    assert by_counts(promise(10), uncounted) == "PASS"
    assert not proof(uncounted, 0.02).exact
    assert by_counts(promise(10), Measured(measured(1440, 22).rtt)) == "FAIL"
    at_the_limit = Measured(Histogram.of([15 * MS] * 1400 + [20 * MS - 1] * 20 + [20 * MS + 1] * 20))
    assert by_counts(promise(10), at_the_limit) == "NOT_PROVEN"
