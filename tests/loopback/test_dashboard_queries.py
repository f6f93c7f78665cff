"""What the dashboards' queries say of given series, by Prometheus' own rule tester: right figures, and none where nothing is known."""

import shutil
import subprocess
from dataclasses import dataclass

import pytest
import yaml

from grafana_view import documents, filled, queries

pytestmark = [
    pytest.mark.debian,
    pytest.mark.skipif(shutil.which("promtool") is None, reason="needs promtool (Debian package prometheus)"),
]
CHOSEN = {
    "__rate_interval": "4m",
    "__range": "10m",
    "node": ".*",
    "destination": ".*",
    "probe": "tcp",
    "family": "ipv4",
    "period": "30d",
}
TCP = 'probe="tcp",family="ipv4"'


@dataclass(frozen=True)
class Case:
    """A query by dashboard and panel, the series there are (one value a minute), and what it says after ten minutes."""

    claim: str
    board: str
    panel: str
    series: dict[str, str]
    says: dict[str, float]
    query: str = "A"


def infos(**provider_of):
    """lightfloor_node_info of nodes and their providers."""
    return {
        f'lightfloor_node_info{{node="{node}",provider="{name}"}}': "1x10"
        for node, name in provider_of.items()
    }


def sla(metric, source, value, more=""):
    name = f'lightfloor_sla_{metric}{{source="{source}",destination="z",{TCP}{more}}}'
    return {name: f"{value}x10"}


def outcomes(node, provider, outcome, per_minute):
    labels = f'node="{node}",provider="{provider}",destination="z",{TCP},outcome="{outcome}"'
    return {f"lightfloor_probe_outcomes_total{{{labels}}}": f"0+{per_minute}x10"}


CASES = (
    Case(
        "loss counts what was lost of what was sent, is 0 where nothing was lost, and absent where nothing was sent",
        "fleet",
        "Loss by provider of the source",
        outcomes("a", "lossy", "ok", 3)
        | outcomes("a", "lossy", "timeout", 1)
        | outcomes("b", "clean", "ok", 4)
        | outcomes("c", "unsent", "skipped", 4)
        | outcomes("d", "idle", "ok", 0),
        {'{provider="lossy"}': 0.25, '{provider="clean"}': 0},
    ),
    Case(
        "the share over the limit is of judged round trips; without one there is none",
        "fleet",
        "Over the limit, by provider of the source",
        {
            f'lightfloor_probe_judged_total{{node="a",provider="p",destination="z",{TCP}}}': "0+8x10",
            f'lightfloor_probe_over_limit_total{{node="a",provider="p",destination="z",{TCP}}}': "0+2x10",
            f'lightfloor_probe_judged_total{{node="b",provider="q",destination="z",{TCP}}}': "0x10",
            f'lightfloor_probe_over_limit_total{{node="b",provider="q",destination="z",{TCP}}}': "0x10",
        },
        {'{provider="p"}': 0.25},
    ),
    Case(
        "a P99 is a share of its limit; a path without a limit has none",
        "fleet",
        "P99 ÷ limit",
        sla("p99_seconds", "a", 0.125) | sla("limit_seconds", "a", 0.25) | sla("p99_seconds", "b", 0.125),
        {'{source="a",destination="z"}': 0.5},
    ),
    Case("alerts are none where rules run and none fires", "fleet", "Alerts firing", {"path:lightfloor_probes:rate5m": "1x10"}, {"{}": 0}),
    Case("alerts are unknown where no rules run", "fleet", "Alerts firing", {"up": "1x10"}, {}),
    Case(
        "alerts that fire count, those that inform or wait do not",
        "fleet",
        "Alerts firing",
        {
            "path:lightfloor_probes:rate5m": "1x10",
            'ALERTS{alertname="LightfloorPathDown",alertstate="firing",severity="critical"}': "1x10",
            'ALERTS{alertname="LightfloorPathDown",alertstate="pending",severity="critical"}': "1x10",
            'ALERTS{alertname="LightfloorCaptureDisk",alertstate="firing",severity="info"}': "1x10",
        },
        {"{}": 1},
    ),
    Case(
        "no incident is no incident only while somebody looks",
        "fleet",
        "Open incidents",
        {"lightfloor_incidents_judged_until_timestamp_seconds": "1x10"},
        {"{}": 0},
    ),
    Case("incidents are unknown where nobody looks", "fleet", "Open incidents", {"up": "1x10"}, {}),
    Case(
        "each provider has the least budget of the paths from its nodes",
        "sla",
        "Least budget left",
        infos(a="p", b="p", c="q")
        | sla("budget_remaining_ratio", "a", 0.5, ',period="30d"')
        | sla("budget_remaining_ratio", "b", -1.5, ',period="30d"')
        | sla("budget_remaining_ratio", "c", 0.75, ',period="30d"')
        | sla("budget_remaining_ratio", "c", 0.25, ',period="month"'),
        {'{provider="p"}': -1.5, '{provider="q"}': 0.75},
    ),
    Case(
        "paths that fail are counted, and none is 0 where paths are judged",
        "sla",
        "Paths that fail",
        infos(a="p", b="p", c="q")
        | sla("verdict", "a", 1, ',verdict="FAIL"')
        | sla("verdict", "b", 1, ',verdict="UNACHIEVABLE"')
        | sla("verdict", "c", 1, ',verdict="NOT_PROVEN"'),
        {'{provider="p"}': 2, '{provider="q"}': 0},
    ),
    Case(
        "a path that burns in two windows is one path",
        "sla",
        "Paths that burn",
        infos(a="p", b="q")
        | sla("burning", "a", 1, ',window="1h"')
        | sla("burning", "a", 1, ',window="6h"')
        | sla("burning", "b", 0, ',window="1h"'),
        {'{provider="p"}': 1, '{provider="q"}': 0},
    ),
    Case(
        "only the path whose MTU changed is drawn",
        "mtu",
        "MTUs that changed",
        {
            'lightfloor_path_mtu_bytes{node="a",destination="b",family="ipv4"}': "1500x4 1420x6",
            'lightfloor_path_mtu_bytes{node="a",destination="c",family="ipv4"}': "1500x10",
        },
        {'{node="a",destination="b",family="ipv4"}': 1420},
    ),
    Case(
        "a path that carries less than its interface counts",
        "mtu",
        "Smaller than their interface",
        {
            'lightfloor_path_mtu_bytes{node="a",destination="b",family="ipv4"}': "1420x10",
            'lightfloor_path_interface_mtu_bytes{node="a",destination="b",family="ipv4"}': "1500x10",
            'lightfloor_path_mtu_bytes{node="a",destination="c",family="ipv4"}': "1500x10",
            'lightfloor_path_interface_mtu_bytes{node="a",destination="c",family="ipv4"}': "1500x10",
        },
        {"{}": 1},
    ),
    Case(
        "nodes whose last batch is old are silent; with no node known there is no figure",
        "agents",
        "Silent at the collector",
        {
            'lightfloor_node_last_batch_timestamp_seconds{node="old"}': "100x10",
            'lightfloor_node_last_batch_timestamp_seconds{node="new"}': "590x10",
        },
        {"{}": 1},
    ),
    Case(
        "an agent that answers is not one that does not",
        "agents",
        "Agents that do not",
        {'up{job="lightfloor-agent",node="a"}': "1x10", 'up{job="lightfloor-agent",node="b"}': "0x10"},
        {"{}": 1},
    ),
    Case(
        "CPU is the share of all CPUs' time, guest time not twice",
        "node",
        "CPU",
        {
            'lightfloor_host_cpu_seconds_total{node="a",mode="user"}': "0+30x10",
            'lightfloor_host_cpu_seconds_total{node="a",mode="guest"}': "0+30x10",
            'lightfloor_host_cpu_seconds_total{node="a",mode="idle"}': "0+90x10",
        },
        {'{mode="user"}': 0.25},
    ),
    Case(
        "the mean round trip is what the sum says, whatever the buckets",
        "path",
        "Round trip",
        {
            f'lightfloor_probe_rtt_seconds_sum{{node="a",destination="b",{TCP}}}': "0+3x10",
            f'lightfloor_probe_rtt_seconds_count{{node="a",destination="b",{TCP}}}': "0+24x10",
        },
        {'{node="a"}': 0.125},
    ),
    Case(
        "there is no percentile of classic buckets",
        "path",
        "Round trip",
        {
            f'lightfloor_probe_rtt_seconds_bucket{{node="a",destination="b",{TCP},le="0.125"}}': "0+3x10",
            f'lightfloor_probe_rtt_seconds_bucket{{node="a",destination="b",{TCP},le="+Inf"}}': "0+3x10",
        },
        {},
        query="D",
    ),
    Case(
        "one direction's loss is of the probes sent",
        "path",
        "Loss, there and back",
        {
            'lightfloor_probe_outcomes_total{node="a",destination="b",probe="udp",family="ipv4",outcome="ok"}': "0+12x10",
            'lightfloor_probe_outcomes_total{node="a",destination="b",probe="udp",family="ipv4",outcome="timeout"}': "0+4x10",
            'lightfloor_udp_lost_forward_total{node="a",destination="b",family="ipv4"}': "0+4x10",
        },
        {"{}": 0.25},
        query="C",
    ),
    Case(
        "segments retransmitted are of those sent; an idle node has no ratio",
        "tcp",
        "Retransmitted segments",
        {
            'lightfloor_tcp_segments_sent_total{node="a"}': "0+1600x10",
            'lightfloor_tcp_segments_retransmitted_total{node="a"}': "0+100x10",
            'lightfloor_tcp_segments_sent_total{node="b"}': "0x10",
            'lightfloor_tcp_segments_retransmitted_total{node="b"}': "0x10",
        },
        {'{node="a"}': 0.0625},
    ),
    Case(
        "a budget of tests is used by the share reserved or moved",
        "bandwidth",
        "Day's budget",
        {
            'lightfloor_bandwidth_budget_used_bytes{node="a",period="day"}': "25x10",
            'lightfloor_bandwidth_budget_limit_bytes{node="a",period="day"}': "100x10",
            'lightfloor_bandwidth_budget_used_bytes{node="a",period="month"}': "25x10",
        },
        {'{node="a"}': 0.25},
    ),
)  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.claim)
def test_the_query_says_what_the_series_mean(case, tmp_path):
    """Each case's claim."""
    chosen = CHOSEN | ({"node": "a", "destination": "b"} if case.board in {"path", "node"} else {})
    (expression,) = (
        filled(target["expr"], chosen)
        for panel, target in queries(documents()[f"lightfloor-{case.board}"])
        if (panel["title"], target["refId"]) == (case.panel, case.query)
    )
    expected = [{"labels": labels, "value": value} for labels, value in case.says.items()]
    test = {
        "interval": "1m",
        "input_series": [{"series": series, "values": values} for series, values in case.series.items()],
        "promql_expr_test": [{"expr": expression, "eval_time": "10m", "exp_samples": expected}],
    }
    (tmp_path / "test.yml").write_text(yaml.safe_dump({"rule_files": [], "tests": [test]}))
    done = subprocess.run(
        ["promtool", "test", "rules", "test.yml"], cwd=tmp_path, capture_output=True, text=True, timeout=30
    )
    assert done.returncode == 0, done.stdout + done.stderr
