"""Every sample is counted once in the open window and once in the totals, and only true times are times."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.ledger import Ledger, Tally
from agent.probes import Measure
from agent.sample import Sample
from agent.wire.batch import SCHEMA, Batch, decode, encode
from agent.wire.histogram import Histogram
from agent.wire.series import Family, Outcome, SeriesKey, TimeSource

MEASURES = (
    Measure("mtu_bytes", "gauge", "lightfloor_x_bytes", ""),
    Measure("sent", "counter", "lightfloor_x_sent_total", ""),
    Measure("first_byte_ns", "time", "lightfloor_x_seconds", ""),
)
OUTCOME_SAMPLES = st.one_of(
    st.builds(Sample, st.just(Outcome.OK), st.integers(0, 10**13)),
    st.builds(Sample, st.sampled_from(Outcome)),
)


def series(destination="nyc", family=Family.IPV4):
    return SeriesKey("fra", destination, "tcp", family, TimeSource.TCP_INFO)


@given(st.lists(st.tuples(st.sampled_from(["nyc", "sgp"]), OUTCOME_SAMPLES)), st.integers(1, 10**10))
def test_windows_and_totals_hold_every_sample_once(samples, limit_ns):
    """Outcomes add up to the samples, times to the samples with a time, over-limit counts are exact, in both books."""
    ledger = Ledger()
    half = len(samples) // 2
    windows = []
    for name in ("nyc", "sgp"):
        ledger.expect(series(name))
    for part in (samples[:half], samples[half:]):
        for name, sample in part:
            ledger.record(series(name), sample, limit_ns)
        windows += ledger.close_window(1_800_000_000, 60, {})
    for name in ("nyc", "sgp"):
        mine = [sample for to, sample in samples if to == name]
        times = [sample.rtt_ns for sample in mine if sample.rtt_ns is not None]
        closed = [window for window in windows if window.series.destination == name]
        total = ledger.totals[series(name)]
        merged = Histogram()
        for window in closed:
            merged.merge(window.rtt)
        assert merged == total.rtt == Histogram.of(times)
        assert sum(total.outcomes.values()) == sum(sum(w.outcomes.values()) for w in closed) == len(mine)
        assert total.judged == sum(w.judged for w in closed) == len(times)
        assert total.over_limit == sum(w.over_limit for w in closed) == sum(t > limit_ns for t in times)
    body = encode(Batch(SCHEMA, "fra", "0" * 32, 0, windows))
    assert decode(body).windows == windows


def test_a_series_without_samples_has_no_window_but_totals():
    """A counter starts at 0 before its first sample; a silent series makes no empty window."""
    ledger = Ledger()
    ledger.expect(series())
    assert ledger.totals == {series(): Tally()}
    assert ledger.close_window(0, 60, {}) == []


def test_a_retransmitted_syn_is_a_loss_not_a_latency():
    """It counts as an outcome and leaves the histogram and the judged count alone."""
    ledger = Ledger()
    ledger.expect(series())
    ledger.record(series(), Sample(Outcome.SYN_RETRANSMITTED), 1)
    total = ledger.totals[series()]
    assert total.outcomes == {Outcome.SYN_RETRANSMITTED: 1}
    assert (total.rtt.count, total.judged) == (0, 0)


def test_without_a_limit_nothing_is_judged():
    """An unknown limit is not a limit of zero."""
    tally = Tally()
    tally.add(Sample(Outcome.OK, 5), None)
    assert (tally.judged, tally.over_limit, tally.limit_ns, tally.rtt.count) == (0, 0, None, 1)


def test_a_series_that_left_closes_its_window_and_disappears_from_the_totals():
    """The last minute of a removed peer still counts; its metrics are gone; a late answer does not bring them back."""
    ledger = Ledger()
    gone, stays = series(family=Family.IPV6), series()
    for each in (gone, stays):
        ledger.expect(each)
        ledger.record(each, Sample(Outcome.OK, 10), None)
    ledger.keep_only([stays])
    ledger.record(gone, Sample(Outcome.OK, 20), None)
    assert list(ledger.totals) == [stays]
    assert {w.series: w.rtt.count for w in ledger.close_window(0, 60, {})} == {stays: 1, gone: 2}


def test_measures_are_kept_by_their_kind():
    """Gauges keep the latest, counters add up, times fill their own histogram; None is not measured."""
    tally = Tally()
    for mtu, sent, first in ((1500, 3, 10**6), (1420, 4, None), (None, None, 3 * 10**6)):
        result = {"mtu_bytes": mtu, "sent": sent, "first_byte_ns": first, "unlisted": "text"}
        tally.add(Sample(Outcome.OK, 1, result=result), None, measures=MEASURES)
    assert tally.gauges == {"mtu_bytes": 1420.0}
    assert tally.counters == {"sent": 7}
    assert tally.times == {"first_byte_ns": Histogram.of([10**6, 3 * 10**6])}


@pytest.mark.parametrize(
    "sample",
    [
        Sample(Outcome.OK, -1),
        Sample(Outcome.OK, 1, result={"mtu_bytes": math.nan}),
        Sample(Outcome.OK, 1, result={"mtu_bytes": math.inf}),
        Sample(Outcome.OK, 1, result={"mtu_bytes": "wide"}),
        Sample(Outcome.OK, 1, result={"sent": -1}),
        Sample(Outcome.OK, 1, result={"sent": []}),
        Sample(Outcome.OK, 1, result={"mtu_bytes": 1500, "first_byte_ns": -5}),
    ],
    ids=str,
)
def test_impossible_numbers_leave_the_books_untouched(sample):
    """What the collector would refuse a whole batch for is refused here, before anything is counted."""
    tally = Tally()
    with pytest.raises((ValueError, TypeError)):
        tally.add(sample, 5, measures=MEASURES)
    assert tally == Tally()
