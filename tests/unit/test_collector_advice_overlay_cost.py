"""What an overlay costs, from both ways to the same server."""

import pytest

from agent.advice.finding import Severity
from collector.advice.fleet import advise_fleet
from collector.advice.overlay_cost import overlay_findings
from collector.fleet import parse_fleet
from histories import fleet_text
from hosts import MS, host, path

OVERLAY_OF = {"fra-wg": "FRA"}


def found(**overlay):
    own = host(paths=[path("FRA"), path("fra-wg", address="10.0.0.2", **overlay)])
    return overlay_findings([own], OVERLAY_OF)


def test_headers_alone_are_a_remark():
    """Half a millisecond more: told, with its figures, and nothing to be warned of."""
    (finding,) = found(p50_ns=20.5 * MS, p99_ns=22.5 * MS)
    assert finding.severity is Severity.INFO
    assert "+0.5 ms at P99" in finding.words["en"].what
    assert finding.evidence[0].value == pytest.approx(0.5 * MS)
    assert "隧道" in finding.words["zh"].title


@pytest.mark.parametrize(
    ("overlay", "said"),
    [
        ({"p99_ns": 40 * MS}, "+18.0 ms"),
        ({"lost": 72, "answered": 3528}, "+2.00 percentage points"),
        ({"throughput_bits_per_second": 3e8}, "throughput 33.3% of it"),
    ],
)
def test_time_loss_or_throughput_that_it_costs_is_a_warning(overlay, said):
    """Beyond 10% and 5 ms at P99, half a point of loss, a fifth of the throughput: each by itself."""
    (finding,) = found(**overlay)
    assert finding.severity is Severity.WARNING
    assert said in finding.words["en"].what


def test_an_overlay_that_takes_a_better_way_is_said_to():
    """Less time over it is a negative cost."""
    (finding,) = found(p50_ns=15 * MS, p99_ns=17 * MS)
    assert finding.severity is Severity.INFO
    assert "-5.0 ms" in finding.words["en"].what


@pytest.mark.parametrize("overlay", [{"samples": 100}, {"probe": "icmp"}, {"answered": 20, "lost": 1}])
def test_one_way_alone_proves_nothing(overlay):
    """Few samples, another probe, an unknown loss: no claim."""
    assert found(**overlay) == []
    assert overlay_findings([host(paths=[path("fra-wg")])], OVERLAY_OF) == []


def test_overlay_addresses_are_no_servers():
    """In a fleet with one they get no advice of their own and stand in the way of no hub."""
    nodes = dict.fromkeys(("a", "b", "c", "d", "b-wg"), ("nebula", "x"))
    text = fleet_text(nodes, ["nebula"], {"x": ("eu", 50.1, 8.7)})
    text = text.replace('name = "b-wg"', 'name = "b-wg"\noverlay_of = "b"')
    others = {name: [other for other in nodes if other != name] for name in "abcd"}
    others["b"].remove("b-wg")
    evidence = {
        name: host(node=name, paths=[path(other) for other in known]) for name, known in others.items()
    }
    evidence["b-wg"] = host({}, paths=[], node="b-wg")
    advices = advise_fleet(parse_fleet(text, "fleet"), evidence)
    rules = {(advice.node, finding.id) for advice in advices for finding in advice.findings}
    assert {(name, "overlay-cost") for name in "acd"} <= rules
    assert ("b", "overlay-cost") not in rules
    assert [rule for _, rule in rules].count("hub-choice") == 1
