import csv
import io
import json
import os
import struct
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scapy.layers.inet import IP, TCP
from scapy.layers.l2 import Ether
from scapy.utils import rdpcap

from agent.inspect import inspect
from agent.kernel.capture import analyse
from agent.kernel.parse_error import ParseError

FIXTURES = Path(__file__).parents[1] / "fixtures" / "pcap"
CORPUS = Path(os.environ.get("LIGHTFLOOR_CORPUS", Path(__file__).resolve().parents[2].parent / "shared/data"))


def recorded(name):
    return analyse(io.BytesIO((FIXTURES / f"{name}.pcap").read_bytes()))


def capture_of(*packets, link=1):
    """A pcap of (seconds, frame)."""
    data = struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, link)
    for at, packet in packets:
        frame = bytes(packet)
        data += struct.pack("<IIII", int(at), round(at % 1 * 1e6), len(frame), len(frame)) + frame
    return data


@pytest.mark.parametrize("name", ["lo_v4", "lo_v6_nano", "any_sll", "any_sll2"])
def test_the_same_exchange_reads_alike_on_every_link_layer(name):
    """100 bytes there, 5000 back, closed by both: in IPv4 and IPv6, on Ethernet and both cooked captures."""
    capture = recorded(name)
    (flow,) = capture.flows
    assert (flow.state, flow.initiator.payload_bytes, flow.responder.payload_bytes) == ("closed", 100, 5000)
    assert flow.responder.port == 7000
    assert flow.responder.mss_bytes == (1440 if "v6" in name else 1460)
    assert flow.handshake_rtt_seconds is not None
    assert flow.initiator.retransmitted_segments + flow.responder.retransmitted_segments == 0
    assert (capture.truncated, capture.undecoded) == (None, 0)


def test_a_lost_syn_is_a_late_syn_ack_with_a_true_rtt():
    """The SYN-ACK came a second after the first SYN; the timestamps prove that it answered the second within 1 ms."""
    (flow,) = recorded("syn_loss").flows
    assert (flow.late_syn_ack, flow.syn_retransmissions, flow.initiator.retransmits["syn"]) == (True, 1, 1)
    assert flow.syn_ack_delay_seconds == pytest.approx(1.015, abs=0.02)
    assert flow.handshake_rtt_seconds is not None
    assert flow.handshake_rtt_seconds < 0.001


def test_every_dropped_segment_is_found_as_sent_again():
    """Four segments dropped by the firewall: four retransmissions, the last by a tail-loss probe, none needless."""
    sender = recorded("loss").flows[0].initiator
    assert (sender.retransmitted_segments, sender.spurious_retransmits) == (4, 0)
    assert sender.retransmits == {"syn": 0, "fast": 3, "timeout": 0, "other": 1}


def test_timeouts_back_off_in_one_series():
    """Five drops in a row: a probe, two timeouts of the first segment with a doubled gap, then the rest in their wake."""
    sender = recorded("timeouts").flows[0].initiator
    assert sender.retransmits == {"syn": 0, "fast": 0, "timeout": 2, "other": 3}
    (series,) = sender.rto_series
    assert series.gaps_seconds == pytest.approx([0.211, 0.408], abs=0.001)


def test_a_reader_that_stalls_is_a_zero_window():
    """The receiver slept for a second: one episode, two probes, and a needless probe proven by DSACK."""
    (flow,) = recorded("zero_window").flows
    (episode,) = flow.responder.zero_windows
    assert episode.duration_seconds == pytest.approx(0.868292)
    assert (flow.initiator.window_probes, flow.initiator.zero_window_count) == (2, 0)
    assert flow.initiator.window_full is not None
    assert flow.initiator.window_full > 0
    assert (flow.responder.dsacks, flow.initiator.spurious_retransmits) == (1, 1)


def test_a_closed_port_is_refused():
    """SYN answered by RST."""
    (flow,) = recorded("refused").flows
    assert (flow.state, flow.handshake_rtt_seconds, flow.responder.resets) == ("refused", None, 1)


def test_payload_bytes_agree_with_scapy():
    """scapy's count of every recorded capture, packet by packet."""
    for path in FIXTURES.glob("*.pcap"):
        capture = analyse(io.BytesIO(path.read_bytes()))
        packets = rdpcap(str(path))
        sizes = [
            p["IP"].len - p["IP"].ihl * 4 - p[TCP].dataofs * 4
            if "IP" in p
            else p["IPv6"].plen - p[TCP].dataofs * 4
            for p in packets
        ]
        assert capture.packets == len(packets)
        assert sum(f.initiator.payload_bytes + f.responder.payload_bytes for f in capture.flows) == sum(sizes)


def test_the_table_of_connections_is_bounded_and_says_so():
    """Packets of connections beyond the limit are counted."""
    packets = [(n, Ether() / IP() / TCP(sport=n + 1, dport=80, flags="S")) for n in range(30)]
    capture = analyse(io.BytesIO(capture_of(*packets)), max_flows=10)
    assert (len(capture.flows), capture.packets_over_flow_limit, capture.packets) == (10, 20, 30)


def test_ports_used_again_are_another_connection():
    """A second SYN after a reset opens a second flow; a SYN-ACK heard first still names the right initiator."""
    there, back = Ether() / IP(src="10.0.0.1", dst="10.0.0.2"), Ether() / IP(src="10.0.0.2", dst="10.0.0.1")
    packets = [
        (1, back / TCP(sport=80, dport=5, flags="SA", seq=9, ack=1)),
        (2, back / TCP(sport=80, dport=5, flags="R", seq=10)),
        (3, there / TCP(sport=5, dport=80, flags="S", seq=77)),
        (4, back / TCP(sport=80, dport=5, flags="SA", seq=900, ack=78)),
    ]
    first, second = analyse(io.BytesIO(capture_of(*packets))).flows
    assert (first.initiator.address, first.initiator_known, first.state) == ("10.0.0.1", True, "reset")
    assert (second.state, second.handshake_rtt_seconds) == ("syn_received", 1.0)


def test_cut_and_strange_packets_are_counted_not_guessed():
    """A frame cut inside its headers, a bad header length, an unknown link type: undecoded, and the rest stands."""
    good = bytes(Ether() / IP() / TCP(flags="S"))
    capture = analyse(io.BytesIO(capture_of((1, good[:40]), (2, good[:46] + b"\x10" + good[47:]), (3, good))))
    assert (capture.packets, capture.undecoded, len(capture.flows)) == (3, 2, 1)
    other = analyse(io.BytesIO(capture_of((1, good), link=147)))
    assert (other.link_types, other.undecoded) == ({"linktype_147": 1}, 1)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (capture_of(), r"without packets \(complete\)"),
        (capture_of((1, b"x" * 60))[:50], "without packets .byte 24: cut"),
        (b"nothing", "neither pcap"),
    ],
)
def test_nothing_to_analyse_is_a_reason(data, reason):
    """A capture without packets, one cut before its first packet, no capture."""
    with pytest.raises(ParseError, match=reason):
        inspect("pcap", data)


def test_inspect_gives_plain_values():
    """What inspect returns is JSON without further help."""
    shown = json.loads(json.dumps(inspect("pcap", (FIXTURES / "zero_window.pcap").read_bytes())))
    assert shown["packets"] == 62
    assert shown["flows"][0]["responder"]["zero_windows"][0]["end_seconds"] > 1


WHOLE = (FIXTURES / "zero_window.pcap").read_bytes()


@settings(max_examples=300)
@given(
    st.lists(st.tuples(st.integers(24, len(WHOLE) - 1), st.integers(0, 255)), max_size=60),
    st.integers(24, len(WHOLE)),
)
def test_any_damage_gives_an_analysis_or_a_parse_error(changes, cut):
    """Bytes changed anywhere after the file header, and a cut: counts that add up, or a reason."""
    data = bytearray(WHOLE[:cut])
    for at, value in changes:
        if at < cut:
            data[at] = value
    try:
        capture = analyse(io.BytesIO(bytes(data)))
    except ParseError:
        return
    seen = sum(
        f.initiator.packets + f.responder.packets + f.initiator.capture_copies + f.responder.capture_copies
        for f in capture.flows
    )
    assert seen + capture.undecoded <= capture.packets
    json.dumps(inspect("pcap", bytes(data)))


def corpus_flow(name):
    return analyse(io.BytesIO((CORPUS / "6-path" / name).read_bytes())).flows[0]


@pytest.mark.corpus
def test_times_agree_with_the_expected_values():
    """Every row of the table of values that tcpdump shows."""
    table = CORPUS / "9-expected/pcap_expected_values.tsv"
    if not table.exists():
        pytest.skip(f"no corpus at {CORPUS}")
    rows = list(csv.DictReader(table.read_text().splitlines(), delimiter="\t"))
    checked = 0
    for row in rows:
        flow, figure = corpus_flow(row["file"]), row["value"].split()
        if row["quantity"] == "SYN to SYN-ACK":
            assert flow.handshake_rtt_seconds == pytest.approx(float(figure[0]) / 1000, abs=1e-9)
        elif row["quantity"] == "retransmission gaps":
            (series,) = flow.initiator.rto_series
            assert series.gaps_seconds == pytest.approx([float(gap) for gap in figure[:5]], abs=1e-9)
            assert (series.payload_bytes, flow.initiator.retransmits["timeout"]) == (648, 5)
        else:
            assert row["quantity"] == "zero window length"
            (episode,) = flow.initiator.zero_windows
            assert episode.duration_seconds == pytest.approx(float(figure[0]) / 1000, abs=1e-9)
        checked += 1
    assert checked == len(rows) == 4


@pytest.mark.corpus
def test_every_real_capture_is_read_for_what_it_shows():
    """Duplicate ACKs and a fast retransmission, a refusal, an end, tunnels, fragments, MPTCP, reordering."""
    if not (CORPUS / "6-path").exists():
        pytest.skip(f"no corpus at {CORPUS}")
    for path in (CORPUS / "6-path").glob("pcap_*"):
        capture = analyse(io.BytesIO(path.read_bytes()))
        assert (capture.undecoded, capture.truncated) == (0, None), path.name
        assert capture.packets == len(rdpcap(str(path))), path.name
    dupack = corpus_flow("pcap_tcp_dupack.pcapng")
    assert (dupack.initiator.duplicate_acks, dupack.responder.retransmits["fast"]) == (3, 1)
    assert corpus_flow("pcap_tcp_refuseconnection.pcapng").state == "refused"
    assert corpus_flow("pcap_tcp_teardown.pcapng").state == "closed"
    assert corpus_flow("pcap_tcpdump_mptcp-v1.pcap").mptcp
    assert corpus_flow("pcap_wireshark_http-ooo.pcap").initiator.out_of_order == 4
    for name, tunnels in (
        ("tcpdump_geneve.pcap", {"geneve": 39}),
        ("wireshark_wireguard-ping-tcp.pcap", {"wireguard": 22}),
    ):
        assert analyse(io.BytesIO((CORPUS / f"6-path/pcap_{name}").read_bytes())).tunnels == tunnels
    assert analyse(io.BytesIO((CORPUS / "6-path/pcap_ip_frag_source.pcapng").read_bytes())).fragments == 6
