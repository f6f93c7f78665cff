"""The page is what Prometheus reads: both formats parse, every value is the ledger's, and who left is gone."""

import subprocess

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from agent.exposition import CLASSIC_EXPONENTS, MESH_FAMILIES, Exposition, labels
from agent.ledger import Ledger
from agent.probes import PROBES
from agent.sample import Sample
from agent.wire.assignment import Peer
from agent.wire.histogram import Histogram
from agent.wire.series import Family, Outcome, SeriesKey, TimeSource

MS = 1_000_000
PEERS = (
    Peer("nyc", ipv4="192.0.2.1", floor_seconds=0.0608, limit_seconds=0.1216),
    Peer("[odd].name:1", ipv6="2001:db8::1"),
)
TIMES_NS = [1, 100_000, 2**-13 * 10**9 // 1, 80 * MS, 81 * MS, 125 * MS, 125 * MS + 1, 3000 * MS, 2 * 10**13]


def series(destination, family=Family.IPV4):
    return SeriesKey("fra", destination, "tcp", family, TimeSource.TCP_INFO)


def ledger_of_two():
    ledger = Ledger()
    ledger.expect(series("nyc"))
    ledger.expect(series("[odd].name:1", Family.IPV6))
    for time_ns in TIMES_NS:
        ledger.record(series("nyc"), Sample(Outcome.OK, int(time_ns)), 121_600_000)
    ledger.record(series("nyc"), Sample(Outcome.TIMEOUT), 121_600_000, 3)
    return ledger


def page(ledger, openmetrics, exposition=None, peers=PEERS):
    delays = Histogram.of([300_000, 2 * MS])
    return (exposition or Exposition()).render(ledger.totals, peers, delays, openmetrics=openmetrics).decode()


def samples(text, openmetrics):
    """(name, labels) → value, as prometheus-client's own parser reads the page; fails on a repeated sample."""
    families = parse_openmetrics(text + "# EOF\n") if openmetrics else parse_text(text)
    found = {}
    for family in families:
        for sample in family.samples:
            key = (sample.name, tuple(sorted(sample.labels.items())))
            assert key not in found
            found[key] = sample.value
    return found


@pytest.mark.parametrize("openmetrics", [False, True])
def test_every_value_is_the_ledgers(openmetrics):
    """Counts, sums, buckets, outcomes, floors and limits read back as they are, in both formats."""
    ledger = ledger_of_two()
    found = samples(page(ledger, openmetrics), openmetrics)

    def value(name, destination="nyc", family="ipv4", **more):
        return found[
            name,
            tuple(sorted({"destination": destination, "probe": "tcp", "family": family, **more}.items())),
        ]

    assert value("lightfloor_probe_rtt_seconds_count") == len(TIMES_NS)
    assert value("lightfloor_probe_rtt_seconds_sum") == pytest.approx(sum(int(t) for t in TIMES_NS) / 1e9)
    for exponent in CLASSIC_EXPONENTS:
        bound = 2.0**exponent
        exact = sum(int(time) / 1e9 <= bound for time in TIMES_NS)
        assert value("lightfloor_probe_rtt_seconds_bucket", le=repr(bound)) == exact
    assert value("lightfloor_probe_rtt_seconds_bucket", le="+Inf") == len(TIMES_NS)
    assert value("lightfloor_probe_outcomes_total", outcome="ok") == len(TIMES_NS)
    assert value("lightfloor_probe_outcomes_total", outcome="timeout") == 3
    assert value("lightfloor_probe_outcomes_total", "[odd].name:1", "ipv6", outcome="ok") == 0
    assert value("lightfloor_probe_over_limit_total") == 4
    assert value("lightfloor_probe_judged_total") == len(TIMES_NS)
    assert found["lightfloor_path_floor_seconds", (("destination", "nyc"),)] == 0.0608
    assert found["lightfloor_path_limit_seconds", (("destination", "nyc"),)] == 0.1216
    assert ("lightfloor_path_limit_seconds", (("destination", "[odd].name:1"),)) not in found
    assert found["lightfloor_schedule_delay_seconds_count", ()] == 2


@pytest.mark.parametrize("openmetrics", [False, True])
def test_what_a_probe_finds_beside_times_has_families_of_its_own(openmetrics):
    """Every measure of every probe reads back: gauges and counters as values, times as histograms; others stay away."""
    ledger = Ledger()
    for kind, probe in PROBES.items():
        key = SeriesKey("fra", "nyc", kind, Family.IPV6, probe.time_source)
        ledger.expect(key)
        ledger.record(
            key, Sample(Outcome.OK, result={measure.name: 7 * MS for measure in probe.measures}), None
        )
    found = samples(page(ledger, openmetrics), openmetrics)
    own = (("destination", "nyc"), ("family", "ipv6"))
    for measure in (measure for probe in PROBES.values() for measure in probe.measures):
        if measure.kind == "time":
            assert found[f"{measure.metric}_count", own] == 1
            assert found[f"{measure.metric}_sum", own] == pytest.approx(0.007)
        else:
            assert found[measure.metric, own] == 7 * MS


@pytest.mark.parametrize("openmetrics", [False, True])
def test_an_agent_without_peers_has_a_page(openmetrics):
    """Nothing to show still parses, with every family announced."""
    text = page(Ledger(), openmetrics, peers=())
    samples(text, openmetrics)
    for family in MESH_FAMILIES:
        total = "_total" if family.kind == "counter" and not openmetrics else ""
        assert f"# TYPE {family.name}{total} {family.kind}\n" in text


def test_a_peer_that_left_is_gone_and_its_templates_with_it():
    """The next scrape has no series of it, and nothing is remembered that would make the agent grow for ever."""
    ledger, exposition = ledger_of_two(), Exposition()
    assert 'destination="nyc"' in page(ledger, openmetrics=False, exposition=exposition)
    ledger.keep_only([series("[odd].name:1", Family.IPV6)])
    text = page(ledger, openmetrics=False, exposition=exposition, peers=PEERS[1:])
    assert "nyc" not in text
    assert "[odd].name:1" in text
    for n in range(50):
        ledger.keep_only([])
        ledger.expect(series(f"peer{n}"))
        page(ledger, openmetrics=False, exposition=exposition)
    assert len(exposition._templates) == 1


@pytest.mark.parametrize("value", ["plain", 'a"b', "a\\b", "a\nb", "%d %s %%", "{}", "é\u2028"])
def test_labels_are_escaped(value):
    """A label can hold anything and reads back the same."""
    text = f"m{{{labels(x=value)}}} 1\n"
    [family] = parse_text(text)
    assert family.samples[0].labels == {"x": value}


@pytest.mark.debian
def test_promtool_finds_nothing_to_complain_about():
    """Names, units, help and types are as Prometheus' own linter wants them."""
    try:
        done = subprocess.run(
            ["promtool", "check", "metrics"],
            input=page(ledger_of_two(), openmetrics=False),
            capture_output=True,
            text=True,
        )
    except FileNotFoundError:
        pytest.skip("promtool is not installed (Debian package prometheus)")
    assert (done.returncode, done.stdout + done.stderr) == (0, "")
