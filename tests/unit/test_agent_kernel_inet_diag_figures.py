import contextlib
import struct
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.kernel import inet_diag
from agent.kernel.inet_diag import messages
from agent.kernel.inet_diag_figures import NO_SSTHRESH, LayoutBook
from agent.kernel.inet_diag_socket import decode_socket
from agent.kernel.parse_error import ParseError
from agent.kernel.tcp_info import OFFSETS

FIXTURES = Path(__file__).resolve().parents[1] / "fixtures/kernel"
DUMPS = [path.read_bytes() for path in sorted(FIXTURES.glob("inet_diag_6.18_v*.bin"))]


def message(attributes):
    body = b"".join(
        struct.pack("=HH", 4 + len(data), kind) + data + bytes(-len(data) % 4) for kind, data in attributes
    )
    head = struct.pack("=IHHII", 88 + len(body), 20, 0, 1, 0)
    fixed = struct.pack(
        "=4B2s2s16s16sIQ5I",
        2,
        1,
        0,
        0,
        b"\0\x16",
        b"\x0f\xa0",
        bytes(16),
        b"\n\0\0\1" + bytes(12),
        0,
        77,
        *[0] * 5,
    )
    return head + fixed + body


def info(length, **fields):
    data = bytearray(length)
    for name, value in fields.items():
        struct.pack_into("=Q" if name in ("busy_us", "rwnd_limited_us", "sndbuf_limited_us", "bytes_sent", "bytes_retrans",
                                          "delivery_rate") else "=I", data, OFFSETS[name], value)  # fmt: skip
    return bytes(data)


def read(book, data, offset=0, length=None):
    """Figures of one message, and how its totals are counted."""
    layout = book.layout_of(data, offset, length or len(data))
    return None if layout is None else (layout.struct.unpack_from(data, offset), layout.account)


def port_text(port):
    return str(int.from_bytes(port, "big") or "*")


@pytest.mark.parametrize("data", DUMPS, ids=["v4 all", "v4 few", "v6 all", "v6 few"])
def test_the_short_cut_gives_what_the_full_decoder_gives(data):
    """Figures by learned layout equal the fields of the fully decoded socket, whatever attributes were asked for."""
    book, seen = LayoutBook(), 0
    for found in messages(data):
        if found.type != inet_diag.SOCK_DIAG_BY_FAMILY:
            continue
        socket = decode_socket(data, found)
        figures, account = read(book, data, found.offset, found.length)
        _, family, ports, _, cookie, _, rtt_us, ssthresh, cwnd, early, _, rate, late, _, congestion = figures
        is_v6 = "[" in socket.local + socket.remote or socket.local.startswith("*:")
        assert family == (inet_diag.AF_INET6 if is_v6 else inet_diag.AF_INET)
        assert f"{cookie:x}" == socket.sk
        assert port_text(ports[:2]) == socket.local.split(":")[-1]
        assert port_text(ports[2:]) == socket.remote.split(":")[-1]
        assert (rtt_us or None) == (None if socket.rtt_seconds is None else round(socket.rtt_seconds * 1e6))
        assert (ssthresh if ssthresh < NO_SSTHRESH else None) == socket.ssthresh
        assert cwnd == socket.cwnd
        assert rate * 8 == (socket.delivery_rate_bits_per_second or 0)
        assert congestion.rstrip(b"\0").decode() == socket.congestion
        busy_us, _, _, sent, retransmitted = account.read(early + late)
        assert (sent, retransmitted) == (socket.bytes_sent, socket.bytes_retrans)
        assert busy_us == round(socket.busy_seconds * 1e6)
        seen += 1
    assert seen


def test_a_second_layout_of_the_same_length_is_noticed():
    """Two messages of one length with tcp_info in different places are both read right."""
    tail = [(inet_diag.INFO, info(280, snd_cwnd=10, rtt_us=5)), (inet_diag.CONG, b"bbr\0")]
    first = message([(8, b"\0"), *tail])
    second = message([*tail, (21, b"\0\0\0\0")])
    book = LayoutBook()
    assert len(first) == len(second)
    for data in (first, second, first, second):
        figures, _ = read(book, data)
        assert (figures[6], figures[8], figures[14]) == (5, 10, b"bbr\0")


@pytest.mark.parametrize(
    ("length", "unit", "totals"),
    [
        (280, "bytes", (7, 6, 5, 1000, 20)),
        (224, "bytes", (7, 6, 5, 1000, 20)),
        (192, "segments", (7, 6, 5, 50, 3)),
        (168, "segments", (0, 0, 0, 50, 3)),
        (144, "segments", (0, 0, 0, 50, 3)),
    ],
)
def test_totals_come_from_what_the_kernel_has(length, unit, totals):
    """Bytes since 4.19, segments before, times held back since 4.10."""
    held = {"total_retrans": 3, "segs_out": 50, "busy_us": 7, "rwnd_limited_us": 6, "sndbuf_limited_us": 5,
            "bytes_sent": 1000, "bytes_retrans": 20}  # fmt: skip
    fields = {name: value for name, value in held.items() if OFFSETS[name] < length}
    data = message([(inet_diag.INFO, info(length, **fields)), (inet_diag.CONG, b"cubic\0")])
    figures, account = read(LayoutBook(), data)
    assert account.unit == unit
    assert account.read(figures[9] + figures[12]) == totals
    assert account.has_times == (length >= 192)


def test_an_ancient_kernel_has_no_totals_but_the_rest():
    """104 bytes of tcp_info (2.6.32) give RTT and window; totals, minimum RTT and rate are not there."""
    data = message([(inet_diag.INFO, info(104, snd_cwnd=7, rtt_us=9)), (inet_diag.CONG, b"reno\0")])
    figures, account = read(LayoutBook(), data)
    assert (figures[6], figures[8]) == (9, 7)
    assert figures[9] == figures[10] == figures[11] == figures[12] == b""
    assert account is None


def test_a_socket_without_tcp_info_has_no_figures():
    """A FIN-WAIT-2 kept as a time-wait socket carries none."""
    assert read(LayoutBook(), message([(8, b"\0")])) is None


@settings(max_examples=200)
@given(st.integers(0, len(DUMPS[3]) - 1), st.integers(0, 12), st.binary(max_size=12))
def test_a_damaged_dump_gives_figures_or_a_parse_error(start, length, replacement):
    """No damage raises anything but ParseError."""
    data = DUMPS[3][:start] + replacement + DUMPS[3][start + length :]
    book = LayoutBook()
    with contextlib.suppress(ParseError):
        for found in messages(data):
            book.layout_of(data, found.offset, found.length)
