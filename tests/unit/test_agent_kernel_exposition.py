from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics_families
from prometheus_client.parser import text_string_to_metric_families as text_families

from agent.kernel.counters import CounterReading
from agent.kernel_exposition import render
from agent.net.tcp_counters import TcpReading
from agent.sockets import GroupReading, Quantiles, SocketReading, Traffic

COUNTERS = {
    "Tcp": {"OutSegs": 1000, "RetransSegs": 20, "CurrEstab": 3},
    "TcpExt": {"TCPFastRetrans": 7, "TCPSynRetrans": 2},
}
TCP = TcpReading(CounterReading(1, "boot", 1, COUNTERS), None, {})
GROUP = GroupReading(
    connections=2,
    opened=None,
    closed=None,
    rtt_seconds=None,
    min_rtt_seconds=None,
    cwnd_segments=Quantiles(10, 10, 12, 12, 12),
    ssthresh_segments=None,
    delivery_rate_bits_per_second=None,
    ssthresh_unset=2,
    congestion={"bbr": 2},
    traffic=Traffic("bytes", 10_000_000, 600_000, None, None, None),
)
SOCKETS = SocketReading("inet_diag", 5, cut=False, interrupted=False, groups={"nyc": GROUP})


def values(parse, text):
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in parse(text)
        for sample in family.samples
    }


def test_both_formats_carry_the_kernels_figures():
    """The names that rules stand on have the values that were read, in text and in OpenMetrics."""
    text = values(text_families, render(TCP, SOCKETS, {"nyc"}, openmetrics=False).decode())
    assert text == values(
        openmetrics_families, render(TCP, SOCKETS, {"nyc"}, openmetrics=True).decode() + "# EOF\n"
    )
    assert text["lightfloor_tcp_segments_sent_total", ()] == 1000
    assert text["lightfloor_tcp_segments_retransmitted_total", ()] == 20
    assert text["lightfloor_tcp_retransmits_total", (("kind", "fast"),)] == 7
    assert text["lightfloor_netstat_tcpext_tcpsynretrans_total", ()] == 2
    assert text["lightfloor_netstat_tcp_currestab", ()] == 3
    assert text["lightfloor_peer_retransmit_ratio", (("destination", "nyc"),)] == 0.06
    assert text["lightfloor_peer_cwnd_segments", (("destination", "nyc"), ("stat", "p90"))] == 12
    assert text["lightfloor_peer_congestion", (("algorithm", "bbr"), ("destination", "nyc"))] == 2


def test_what_was_not_read_is_not_there():
    """An unknown figure has no sample, rather than a zero; without a reading there is nothing at all."""
    text = render(TCP, SOCKETS, {"nyc"}, openmetrics=False).decode()
    assert "lightfloor_peer_rtt_seconds" not in text
    assert "lightfloor_peer_rwnd_limited_ratio" not in text
    assert 'kind="spurious_dsack"' not in text
    assert render(None, None, (), openmetrics=False) == b""


def test_a_peer_that_left_is_gone_before_the_next_reading():
    """Its group of the last reading is not shown."""
    assert b"nyc" not in render(TCP, SOCKETS, {"fra"}, openmetrics=False)
