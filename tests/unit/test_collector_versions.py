"""One verdict from several versions of a contract."""

import itertools

import pytest

from agent.wire.histogram import Histogram
from agent.wire.series import Family, Outcome, SeriesKey, TimeSource
from collector.contract import SlaClass
from collector.floor import Floor
from collector.latency import Verdict
from collector.measured import Measured
from collector.sla import judge
from collector.versions import by_versions, version_of

MS = 1_000_000
SERIES = SeriesKey("fra", "sin", "tcp", Family.IPV4, TimeSource.TCP_INFO)
FLOOR = Floor(1021.5, 0.010, 0.0, 1.468, "stated")


def over(count, of=1440):
    rtt = Histogram.of([12 * MS] * (of - count) + [30 * MS] * count)
    return Measured(rtt, of, count, {Outcome.OK: of})


CASES = {
    Verdict.PASS: over(0),
    Verdict.NOT_PROVEN: over(10),
    Verdict.FAIL: over(40),
    Verdict.UNACHIEVABLE: over(1440),
    Verdict.NO_DATA: Measured(),
}


def version(measured, sla=SlaClass()):  # noqa: B008 - frozen
    return version_of(judge(SERIES, measured, FLOOR, sla), "then", "later")


def row(*versions):
    return by_versions(judge(SERIES, over(0), FLOOR, SlaClass()), versions)


def test_the_cases_are_what_they_are_called():
    """The table below stands on them."""
    assert {verdict: version(measured).verdict for verdict, measured in CASES.items()} == {
        v: v for v in CASES
    }


@pytest.mark.parametrize(("one", "other"), list(itertools.combinations_with_replacement(CASES, 2)))
def test_a_row_passes_only_if_every_version_does(one, other):
    """Breach over doubt, doubt over silence, silence never as a pass; in either order the same."""
    verdict = row(version(CASES[one]), version(CASES[other])).verdict
    assert verdict is row(version(CASES[other]), version(CASES[one])).verdict
    both = {one, other}
    if Verdict.FAIL in both or Verdict.UNACHIEVABLE in both:
        assert verdict in (Verdict.FAIL, Verdict.UNACHIEVABLE)
    elif len(both) == 1:
        assert verdict is one
    else:
        assert verdict is Verdict.NOT_PROVEN


def test_time_without_a_class_was_promised_nothing():
    """It is listed and decides nothing; with no class at any time nothing is decided."""
    found = row(version(CASES[Verdict.UNACHIEVABLE], None), version(CASES[Verdict.PASS]))
    assert (found.verdict, found.over_limit, len(found.versions)) == (Verdict.PASS, 0, 2)
    whole = judge(SERIES, over(1440), FLOOR, None)
    assert by_versions(whole, [version(over(1440), None)] * 2).verdict is Verdict.NOT_PROVEN


def test_the_rows_counts_are_the_sum_of_its_versions():
    """Each sample was held against the limit of its own time."""
    found = row(version(over(3)), version(over(5)))
    assert (found.proof.samples, found.over_limit, found.proof.exact) == (2880, 8, True)
