"""Whatever a node sends as facts, advice for the others is made."""

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from agent.wire.batch import Fact
from collector.advice.diagnosis import diagnose
from collector.advice.fleet import advise_fleet, comparison_of
from collector.fleet import parse_fleet
from histories import fleet_text
from hosts import FACTS, MS, NOW_S, host, path
from siblings import WORKER

FLEET = parse_fleet(
    fleet_text(dict.fromkeys(("odd", "a", "b", "c"), ("nebula", "x")), ["nebula"], {"x": ("eu", 50.1, 8.7)}),
    "fleet",
)
NAMES = sorted(
    {
        *FACTS,
        *WORKER,
        "sysctl_file.net.ipv4.tcp_sack",
        "tuners.running",
        "modules.available",
        "overlay.wg0.mtu",
    }
)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(["interface", "enabled", "mtu", "kind", "file", "underlay_mtu"]), inner, max_size=4),
    max_leaves=6,
)  # fmt: skip


@settings(max_examples=300)
@given(st.dictionaries(st.sampled_from(NAMES), VALUES, max_size=6))
def test_odd_facts_of_one_node_never_keep_the_others_from_advice(odd):
    """Any JSON as a fact's value: every node has its advice, and the odd one is compared without a fault."""
    usual = {name: replace(host(WORKER), node=name) for name in ("a", "b", "c")}
    troubled = host(
        WORKER,
        {
            "softnet_dropped": 90_000,
            "tcp_listen_overflows": 500,
            "tcp_memory_pressures": 50,
            "tcp_to_zero_window": 900,
        },
        {"net_rx_per_second": 5000.0},
        [
            path(black_hole=True, path_mtu_bytes=1400),
            path("AMS", loaded_p50_ns=400 * MS, rwnd_limited_seconds=200.0),
        ],
    )
    facts = {**troubled.facts, **{name: Fact(name, value, "test", NOW_S) for name, value in odd.items()}}
    evidence = {"odd": replace(troubled, node="odd", facts=facts), **usual}
    advices = advise_fleet(FLEET, evidence)
    assert [advice.node for advice in advices] == ["a", "b", "c", "odd"]
    for advice in advices:
        diagnose(evidence[advice.node], advice.findings)
    comparison_of(FLEET, evidence, "odd")
