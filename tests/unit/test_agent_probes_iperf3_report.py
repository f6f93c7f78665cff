import contextlib
import json
import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.inspect import inspect
from agent.kernel.parse_error import ParseError
from agent.probes.iperf3_report import Direction, Report, parse_report

FIXTURES = Path(__file__).parents[1] / "fixtures" / "iperf3"
CORPUS = Path(os.environ.get("LIGHTFLOOR_CORPUS", Path(__file__).resolve().parents[2].parent / "shared/data"))


def recorded(name: str) -> bytes:
    return (FIXTURES / f"3.12_{name}.json").read_bytes()


def forward(report: Report) -> Direction:
    assert report.forward is not None
    return report.forward


def reverse(report: Report) -> Direction:
    assert report.reverse is not None
    return report.reverse


def test_throughput_is_what_the_receiver_counted():
    """The sender's count, which includes its socket buffer, is kept beside the receiver's but is not the throughput."""
    raw = json.loads(recorded("tcp"))["end"]
    way = forward(parse_report(recorded("tcp")))
    assert (way.measured_by, way.bits_per_second) == ("receiver", raw["sum_received"]["bits_per_second"])
    assert way.sender is not None
    assert way.sender.bytes == raw["sum_sent"]["bytes"]


def test_tcp_facts_of_the_sending_socket_are_in_seconds_and_bytes():
    """RTT is printed in µs and read in seconds; window, PMTU, retransmits and algorithm come with it."""
    raw = json.loads(recorded("tcp"))["end"]["streams"][0]["sender"]
    way = forward(parse_report(recorded("tcp")))
    assert way.rtt_mean_seconds == raw["mean_rtt"] / 1e6
    assert (way.cwnd_max_bytes, way.pmtu_bytes, way.retransmits) == (
        raw["max_snd_cwnd"],
        65535,
        raw["retransmits"],
    )
    assert way.congestion_algorithm == "bbr"


def test_a_receiving_socket_never_lends_its_window_to_the_sender():
    """In -R iperf3 prints the receiving socket's cwnd as the sender's; here it is unknown, the retransmits are not."""
    way = reverse(parse_report(recorded("tcp_reverse")))
    assert (way.cwnd_max_bytes, way.rtt_mean_seconds, way.pmtu_bytes) == (None, None, None)
    assert way.retransmits == 20


def test_both_directions_of_a_bidirectional_run_are_kept_apart():
    """Forward and reverse of --bidir -P 2 have their own totals, streams and intervals."""
    raw = json.loads(recorded("tcp_bidir_P2"))["end"]
    report = parse_report(recorded("tcp_bidir_P2"))
    assert report.parallel_streams == 2
    assert forward(report).bytes == raw["sum_received"]["bytes"]
    assert reverse(report).bytes == raw["sum_received_bidir_reverse"]["bytes"]
    assert reverse(report).cwnd_max_bytes is None
    assert forward(report).cwnd_max_bytes == max(s["sender"]["max_snd_cwnd"] for s in raw["streams"][:2])
    assert forward(report).intervals[0].bytes != reverse(report).intervals[0].bytes


def test_client_and_server_of_one_run_agree():
    """The server's JSON gives the same received bytes; what only the client knows is None there, not zero."""
    for name in ("tcp", "tcp_P4", "tcp_bidir_P2", "udp"):
        client, server = parse_report(recorded(name)), parse_report(recorded(f"server_{name}"))
        assert server.role == "server"
        assert forward(server).receiver == forward(client).receiver
        assert forward(server).sender is None
        assert server.cpu_remote_ratio is None


def test_a_server_that_sends_does_not_know_what_arrived():
    """The zeros that a sending server prints for the far receiver are unknown: no loss, no jitter, no throughput of 0."""
    way = reverse(parse_report(recorded("server_udp_reverse")))
    assert (way.measured_by, way.receiver) == ("sender", None)
    assert (way.lost_packets, way.loss_ratio, way.jitter_seconds) == (None, None, None)


def test_udp_loss_and_jitter_come_from_the_receiver():
    """jitter_ms becomes seconds; loss is lost over expected datagrams."""
    document = json.loads(recorded("udp"))
    document["end"]["sum_received"] |= {"lost_packets": 13, "packets": 520, "jitter_ms": 2.5}
    way = forward(parse_report(json.dumps(document).encode()))
    assert (way.loss_ratio, way.jitter_seconds, way.out_of_order) == (0.025, 0.0025, 0)


def test_omitted_seconds_are_marked_and_stay_out_of_the_figures():
    """Intervals within -O are there, marked, and do not enter the RTT."""
    way = forward(parse_report(recorded("omit")))
    assert [interval.omitted for interval in way.intervals] == [True, False]
    counted = json.loads(recorded("omit"))["intervals"][1]["streams"][0]
    assert way.rttvar_mean_seconds == counted["rttvar"] / 1e6


def test_no_received_byte_is_no_throughput():
    """A receiver that counted nothing gives None, never 0 bit/s; the sender's bytes stay visible."""
    document = json.loads(recorded("tcp"))
    document["end"]["sum_received"] |= {"bytes": 0, "bits_per_second": 0}
    way = forward(parse_report(json.dumps(document).encode()))
    assert (way.bits_per_second, way.bytes) == (None, 0)
    document["end"]["sum_sent"] |= {"bytes": 0, "bits_per_second": 0}
    with pytest.raises(ParseError, match="nothing was transferred"):
        parse_report(json.dumps(document).encode())


def test_numbers_as_strings_and_missing_keys_are_read():
    """A figure in quotes is a figure; a missing one is None."""
    document = json.loads(recorded("tcp"))
    document["end"]["sum_received"]["bits_per_second"] = "3.01563e+07"
    del document["end"]["sum_sent"]["retransmits"], document["end"]["cpu_utilization_percent"]
    del document["start"]["test_start"]
    report = parse_report(json.dumps(document).encode())
    assert forward(report).bits_per_second == 30_156_300
    assert (forward(report).retransmits, report.cpu_local_ratio, report.protocol) == (None, None, "tcp")


def test_a_negative_count_is_unknown():
    """iperf3's -1 retransmits and the negative losses of 3.1 mean not known."""
    document = json.loads(recorded("udp"))
    document["end"]["sum_received"]["lost_packets"] = -3
    way = forward(parse_report(json.dumps(document).encode()))
    assert (way.lost_packets, way.loss_ratio) == (None, None)


def test_not_a_number_as_old_versions_print_it():
    """printf's nan in iperf 3.0's JSON is read as unknown."""
    text = recorded("udp").decode().replace('"lost_percent":\t0', '"lost_percent":\t-nan')
    assert "-nan" in text
    assert forward(parse_report(text.encode())).packets == 521


def test_events_give_the_same_report_as_one_object():
    """--json-stream (3.17 and newer) is the same report, one event per line."""
    document = json.loads(recorded("tcp_bidir"))
    events = [
        ("start", document["start"]),
        *(("interval", i) for i in document["intervals"]),
        ("end", document["end"]),
    ]
    lines = [json.dumps({"event": kind, "data": data}) for kind, data in events]
    assert parse_report("\n".join(lines).encode()) == parse_report(recorded("tcp_bidir"))
    full = "\n".join([*lines, json.dumps(document)])
    assert parse_report(full.encode()) == parse_report(recorded("tcp_bidir"))
    for cut, reason in (
        (lines[:-1], "end: missing"),
        ([*lines[:2], '{"event": "error", "data": "busy"}'], "busy"),
    ):
        with pytest.raises(ParseError, match=reason):
            parse_report("\n".join(cut).encode())
    with pytest.raises(ParseError, match="second run"):
        parse_report("\n".join(lines + lines).encode())


WHOLE = recorded("tcp")


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "no output"),
        (recorded("refused"), "unable to connect to server: Connection refused"),
        (recorded("interrupted"), r"the client has terminated \(after 3 intervals\)"),
        (recorded("server_interrupted"), "the client has terminated"),
        (WHOLE[: len(WHOLE) // 2], "truncated"),
        (WHOLE[:-2], "truncated"),
        (WHOLE + WHOLE, "2 reports"),
        (WHOLE + b"iperf3: exiting", "more output after 1 complete"),
        (
            b"iperf3: error - unable to connect to server: Connection refused\n",
            "^iperf3: line 1: unable to connect",
        ),
        (b"Connecting to host 192.0.2.1, port 5201\n[  5]   0.00-1.00   sec", "run iperf3 with -J"),
        (b'{"start": {}, "intervals": []}', "end: missing"),
        (b'{"start": {}, "intervals": [], "end": {}}', "end: empty"),
        (b'{"start": {}, "end": {"streams": []}}', "end.streams: missing"),
        (
            b'{"start": {"test_start": {"protocol": "TCP"}}, "end": {"streams": []}}',
            "end.sum_received: missing",
        ),
        (b'{"start": {}, "end": {"sum_sent": 3, "streams": [{}]}}', "end.sum_sent: an object was expected"),
        (b'{"start": 1, "end": {}}', "start: missing"),
        (b"[1]", "run iperf3 with -J"),
        (b"{" * 100_000, "not JSON|truncated"),
        (b'{"start":' + b"[" * 100_000, "no iperf3 prints|truncated"),
    ],
)
def test_whatever_is_no_finished_report_is_a_failure_with_its_reason(data, reason):
    """An error object, a cut, two documents, plain text, no end or an empty one: a reason, never 0 bit/s."""
    with pytest.raises(ParseError, match=reason):
        inspect("iperf3", data)


def test_inspect_gives_plain_values():
    """What inspect returns is JSON without further help."""
    shown = json.loads(json.dumps(inspect("iperf3", recorded("udp_bidir"))))
    assert shown["protocol"] == "udp"
    assert shown["reverse"]["loss_ratio"] == 0


@given(
    st.one_of(
        st.binary(max_size=300),
        st.text(alphabet='{}[]":, 0123456789einfansumrdst_\n', max_size=300).map(str.encode),
    )
)
def test_any_bytes_give_a_report_or_a_parse_error(data):
    """No input makes another exception."""
    with contextlib.suppress(ParseError):
        parse_report(data)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["bytes", "udp", "sender", "streams"]), inner, max_size=3)
    ),
    max_leaves=5,
)


@settings(max_examples=300)
@given(st.data())
def test_any_value_anywhere_in_a_report_gives_a_report_or_a_parse_error(data):
    """Replacing or removing any part of a real report never makes another exception, and never invents 0 bit/s."""
    document = json.loads(recorded(data.draw(st.sampled_from(["tcp_bidir", "udp", "server_tcp"]))))
    for _ in range(data.draw(st.integers(1, 3))):
        node = document
        while True:
            keys = list(node) if isinstance(node, dict) else list(range(len(node)))
            if not keys:
                break
            key = data.draw(st.sampled_from(keys))
            if not isinstance(node[key], dict | list) or data.draw(st.integers(0, 3)) == 0:
                node[key] = data.draw(JSON)
                break
            node = node[key]
    try:
        report = parse_report(json.dumps(document).encode())
    except ParseError:
        return
    json.dumps(inspect("iperf3", json.dumps(document).encode()))
    assert all(way is None or way.bits_per_second != 0 for way in (report.forward, report.reverse))


@pytest.mark.corpus
def test_every_real_output_is_read_or_refused_with_a_reason():
    """The collected outputs of iperf 3.0 to 3.21: reports have figures, the others are refused."""
    files = sorted((CORPUS / "5-iperf3").glob("iperf*"))
    if not files:
        pytest.skip(f"no corpus at {CORPUS}")
    refused = {}
    for path in files:
        try:
            report = parse_report(path.read_bytes())
        except ParseError as error:
            refused[path.name] = str(error)
            continue
        way = report.forward or report.reverse
        assert way is not None, path.name
        assert way.intervals, path.name
        assert way.bits_per_second is None or way.bits_per_second > 1e5, path.name
    reasons = ("text", "error", "truncated", "no_end", "antrea", "server")
    assert sorted(refused) == [path.name for path in files if any(word in path.name for word in reasons)]
    loss = parse_report((CORPUS / "5-iperf3/iperf-3.16_flannel_dus-client.json").read_bytes()).forward
    assert loss is not None
    assert loss.loss_ratio == 32387 / 6548509
