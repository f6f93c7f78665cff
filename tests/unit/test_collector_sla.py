"""One path's row: its figures, its verdict, and what it says of what is not known."""

import msgspec
import pytest

from agent.wire.histogram import Histogram
from agent.wire.series import Family, Outcome, SeriesKey, TimeSource
from collector.contract import SlaClass
from collector.floor import Floor
from collector.measured import Measured, MinuteCounts
from collector.sla import judge

MS = 1_000_000
SERIES = SeriesKey("fra", "sin", "tcp", Family.IPV4, TimeSource.TCP_INFO)
FLOOR = Floor(1021.5, 0.010, 0.0, 1.468, "stated")
CONTRACT_KEYS = [
    "source",
    "destination",
    "probe",
    "family",
    "samples",
    "over_limit",
    "p50_seconds",
    "p99_seconds",
    "floor_seconds",
    "limit_seconds",
    "ratio_to_floor",
    "static_inflation",
    "dynamic_inflation",
    "loss_ratio",
    "verdict",
]


def measured(n, over=0, lost=0, **more):
    rtt = Histogram.of([12 * MS] * (n - over) + [30 * MS] * over)
    return Measured(rtt, n, over, {Outcome.OK: n, Outcome.TIMEOUT: lost}, **more)


def minutes(available, probed):
    counts = MinuteCounts()
    for minute in range(probed):
        counts.add({Outcome.OK if minute < available else Outcome.TIMEOUT: 6}, 0, 0)
    return counts


@pytest.mark.parametrize(
    ("samples", "over", "expected"),
    [
        (298, 0, "NOT_PROVEN"),
        (299, 0, "PASS"),
        (299, 1, "NOT_PROVEN"),
        (1440, 7, "PASS"),
        (1440, 8, "NOT_PROVEN"),
        (1440, 21, "NOT_PROVEN"),
        (1440, 22, "FAIL"),
        (8640, 70, "PASS"),
        (8640, 71, "NOT_PROVEN"),
        (8640, 102, "NOT_PROVEN"),
        (8640, 103, "FAIL"),
        (100, 3, "NOT_PROVEN"),
        (100, 4, "FAIL"),
    ],
)
def test_the_verdict_table_at_its_borders(samples, over, expected):
    """The contract's table, one sample to either side."""
    verdict = judge(SERIES, measured(samples, over), FLOOR, SlaClass())
    assert (verdict.verdict, verdict.samples, verdict.over_limit) == (expected, samples, over)


def test_the_row_has_the_contracts_keys_and_figures():
    """`sla --json` prints these names, whatever else it adds."""
    row = msgspec.to_builtins(judge(SERIES, measured(1440, 30, lost=10), FLOOR, SlaClass()))
    assert list(row)[: len(CONTRACT_KEYS)] == CONTRACT_KEYS
    assert row["limit_seconds"] == pytest.approx(0.020)
    assert row["p50_seconds"] == pytest.approx(0.012, rel=0.011)
    assert row["p99_seconds"] == pytest.approx(0.030, rel=0.011)
    assert row["ratio_to_floor"] == pytest.approx(3.0, rel=0.011)
    assert row["static_inflation"] == pytest.approx(1.2)
    assert row["dynamic_inflation"] == pytest.approx(2.5, rel=0.011)
    assert row["loss_ratio"] == pytest.approx(10 / 1450)


def test_no_data_is_none_and_never_zero():
    """A path nobody measured has no figures, good or bad."""
    verdict = judge(SERIES, Measured(), FLOOR, SlaClass())
    assert verdict.verdict == "NO_DATA"
    assert {verdict.p50_seconds, verdict.p99_seconds, verdict.loss_ratio, verdict.over_limit} == {None}
    assert verdict.ratio_to_floor is verdict.availability is verdict.loss_interval is None


def test_a_path_that_never_answers_is_no_data_with_a_loss_of_one():
    """Silence has no latency; it has loss, and a class that limits loss fails it."""
    silent = Measured(outcomes={Outcome.TIMEOUT: 500})
    assert judge(SERIES, silent, FLOOR, SlaClass()).verdict == "NO_DATA"
    verdict = judge(SERIES, silent, FLOOR, SlaClass(loss_ratio_max=0.01))
    assert (verdict.verdict, verdict.loss_ratio) == ("FAIL", 1.0)


def test_without_coordinates_nothing_is_proven_but_figures_stand():
    """A site nobody placed has no floor; its paths are measured and not judged."""
    verdict = judge(SERIES, measured(5000), None, SlaClass())
    assert (verdict.verdict, verdict.limit_seconds, verdict.ratio_to_floor) == ("NOT_PROVEN", None, None)
    assert "coordinates" in verdict.reason
    assert verdict.p99_seconds == pytest.approx(0.012)


def test_without_a_class_in_force_nothing_is_proven():
    """No promise is invented for a time that had none."""
    assert "no SLA class" in judge(SERIES, measured(5000), FLOOR, None).reason


def test_impossible_and_unachievable_are_told_from_slow():
    """A lying location, a long route and a bad day are three different letters to the provider."""
    far, near = Floor(3000, 0.030, 0.0, 1.468, "stated"), Floor(500, 0.005, 0.0, 1.468, "stated")
    assert judge(SERIES, measured(1000), far, SlaClass()).verdict == "IMPLAUSIBLE"
    assert judge(SERIES, measured(1000, 1000), near, SlaClass()).verdict == "UNACHIEVABLE"
    assert judge(SERIES, measured(1000, 50), FLOOR, SlaClass()).verdict == "FAIL"


def lossy(rows):
    """(minutes, lost of six) as one day's measurement."""
    counts = MinuteCounts()
    for count, lost in rows:
        for _ in range(count):
            counts.add({Outcome.OK: 6 - lost, Outcome.TIMEOUT: lost}, 0, 0)
    sent, lost = 6 * sum(count for count, _ in rows), sum(count * lost for count, lost in rows)
    rtt = Histogram.of([12 * MS] * (sent - lost))
    return Measured(rtt, 0, 0, {Outcome.OK: sent - lost, Outcome.TIMEOUT: lost}, counts)


def test_losses_of_one_burst_prove_less_than_as_many_spread_over_the_day():
    """18 of 8,640 lost break 0.1 % when spread; in three bad minutes they are three events, which prove nothing."""
    sla = SlaClass(loss_ratio_max=0.001)
    spread = judge(SERIES, lossy([(18, 1), (1422, 0)]), FLOOR, sla)
    burst = judge(SERIES, lossy([(3, 6), (1437, 0)]), FLOOR, sla)
    found = [row.criteria[1] for row in (spread, burst)]
    assert [each.verdict for each in found] == ["FAIL", "NOT_PROVEN"]
    assert "losses cluster" in found[1].reason
    assert (spread.loss_design_effect, burst.loss_design_effect) == (1.0, pytest.approx(6, rel=0.01))
    assert spread.loss_ratio == burst.loss_ratio
    assert burst.loss_interval[0] < spread.loss_interval[0] < spread.loss_interval[1] < burst.loss_interval[1]


@pytest.mark.parametrize(
    ("promised", "what", "expected", "word"),
    [
        (SlaClass(loss_ratio_max=0.01), measured(1440, lost=5), "PASS", "samples"),
        (SlaClass(loss_ratio_max=0.01), measured(1440, lost=14), "NOT_PROVEN", "lost"),
        (SlaClass(loss_ratio_max=0.01), measured(1440, lost=40), "FAIL", "lost"),
        (SlaClass(availability_min=0.99), measured(1440, minutes=minutes(1430, 1440)), "PASS", "samples"),
        (
            SlaClass(availability_min=0.999),
            measured(1440, minutes=minutes(1430, 1440)),
            "FAIL",
            "availability",
        ),
        (SlaClass(availability_min=0.99), measured(1440), "NOT_PROVEN", "not measured"),
        (SlaClass(path_mtu_bytes_min=1500), measured(1440, path_mtu_bytes=1500), "PASS", "samples"),
        (SlaClass(path_mtu_bytes_min=1500), measured(1440, path_mtu_bytes=1420), "FAIL", "path_mtu_bytes"),
        (SlaClass(path_mtu_bytes_min=1500), measured(1440), "NOT_PROVEN", "not measured"),
        (SlaClass(retransmit_ratio_max=0.05), measured(1440, retransmit_ratio=0.01), "PASS", "samples"),
        (
            SlaClass(retransmit_ratio_max=0.05),
            measured(1440, retransmit_ratio=0.06),
            "FAIL",
            "retransmit_ratio",
        ),
        (SlaClass(path_mtu_bytes_min=1500), measured(1440, 400, path_mtu_bytes=1500), "FAIL", "samples"),
        (SlaClass(path_mtu_bytes_min=1500), measured(100, path_mtu_bytes=1500), "NOT_PROVEN", "samples"),
    ],
)
def test_the_class_passes_only_when_every_promise_does(promised, what, expected, word):
    """A breach of any promise fails the path; an unmeasured one is never taken as kept."""
    verdict = judge(SERIES, what, FLOOR, promised)
    assert verdict.verdict == expected
    assert word in verdict.reason


def test_percentile_intervals_enclose_the_percentile_and_open_where_samples_are_few():
    """100 samples cannot bound a P99 from above, and the row says so."""
    few = judge(SERIES, measured(100), FLOOR, SlaClass())
    assert few.intervals["p99"][1] is None
    spread = Measured(Histogram.of([(10_000 + i) * 1000 for i in range(10_000)]), 10_000, 0)
    verdict = judge(SERIES, spread, FLOOR, SlaClass())
    low, high = verdict.intervals["p99"]
    assert low <= verdict.p99_seconds <= high
    assert verdict.intervals["p50"][1] - verdict.intervals["p50"][0] < 0.001
