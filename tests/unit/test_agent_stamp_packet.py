"""STAMP packets lie octet by octet where RFC 8762 puts them, signed as it says, and nothing malformed passes."""

import hashlib
import hmac

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.kernel.parse_error import ParseError
from agent.stamp import packet
from agent.stamp.packet import ErrorEstimate, Reply, Request

KEY = bytes(range(32))
REQUEST = Request(0x01020304, b"\xe1" * 8, 0xC5D6, 0x7788)
REPLY = Reply(0x0A0B0C0D, b"\xa3" * 8, 0x8501, 0x7788, b"\xb2" * 8, 0x01020304, b"\xe1" * 8, 0xC5D6, 61)


def laid_out(size, **fields):
    """Octets at their offsets, zeros elsewhere: field names are at_<offset>."""
    octets = bytearray(size)
    for name, value in fields.items():
        at = int(name.removeprefix("at_"))
        octets[at : at + len(value)] = value
    return bytes(octets)


def signed(body):
    return body[:96] + hmac.new(KEY, body[:96], hashlib.sha256).digest()[:16]


UNSIGNED_REQUEST = laid_out(
    44, at_0=b"\1\2\3\4", at_4=b"\xe1" * 8, at_12=b"\xc5\xd6", at_14=b"\x77\x88"
)  # RFC 8762, figure 2; SSID: RFC 8972, figure 1
SIGNED_REQUEST = signed(
    laid_out(112, at_0=b"\1\2\3\4", at_16=b"\xe1" * 8, at_24=b"\xc5\xd6", at_26=b"\x77\x88")
)  # RFC 8762, figure 4
UNSIGNED_REPLY = laid_out(
    44, at_0=b"\x0a\x0b\x0c\x0d", at_4=b"\xa3" * 8, at_12=b"\x85\1", at_14=b"\x77\x88", at_16=b"\xb2" * 8,
    at_24=b"\1\2\3\4", at_28=b"\xe1" * 8, at_36=b"\xc5\xd6", at_40=b"\x3d",
)  # fmt: skip  # RFC 8762, figure 5
SIGNED_REPLY = signed(
    laid_out(
        112, at_0=b"\x0a\x0b\x0c\x0d", at_16=b"\xa3" * 8, at_24=b"\x85\1", at_26=b"\x77\x88", at_32=b"\xb2" * 8,
        at_48=b"\1\2\3\4", at_64=b"\xe1" * 8, at_72=b"\xc5\xd6", at_80=b"\x3d",
    )
)  # fmt: skip  # RFC 8762, figure 7


@pytest.mark.parametrize(("key", "octets"), [(None, UNSIGNED_REQUEST), (KEY, SIGNED_REQUEST)])
def test_request_layout(key, octets):
    """Session-Sender packets are 44 and 112 octets with every field at the RFC's offset, both ways."""
    assert packet.pack_request(REQUEST, key) == octets
    assert packet.parse_request(octets, key) == REQUEST


@pytest.mark.parametrize(
    ("key", "request_octets", "octets"),
    [(None, UNSIGNED_REQUEST, UNSIGNED_REPLY), (KEY, SIGNED_REQUEST, SIGNED_REPLY)],
)
def test_reply_layout(key, request_octets, octets):
    """Session-Reflector packets are as long as the request with every field at the RFC's offset, both ways."""
    assert packet.pack_reply(REPLY, key, request_octets) == octets
    assert packet.parse_reply(octets, key) == REPLY


def test_scapys_own_layers_agree():
    """scapy's STAMP layers take our packets apart into what was put in, and make the same octets of it again."""
    from scapy.contrib.stamp import STAMPSessionReflectorTestUnauthenticated as TheirReply
    from scapy.contrib.stamp import STAMPSessionSenderTestUnauthenticated as TheirRequest

    request, reply = TheirRequest(UNSIGNED_REQUEST), TheirReply(UNSIGNED_REPLY)
    assert (request.seq, request.ssid, bytes(request.err_estimate)) == (
        REQUEST.sequence,
        REQUEST.session,
        b"\xc5\xd6",
    )
    assert (reply.seq, reply.seq_sender, reply.ttl_sender) == (
        REPLY.sequence,
        REPLY.sender_sequence,
        REPLY.sender_ttl,
    )
    for theirs, ours in ((request, UNSIGNED_REQUEST), (reply, UNSIGNED_REPLY)):
        theirs.clear_cache()
        assert bytes(theirs) == ours


@pytest.mark.parametrize("extra", [b"", b"\x80\x01\x00\x02ab", bytes(500)])
def test_reply_is_exactly_as_long_as_the_request(extra):
    """TLVs and padding come back as they were sent (RFC 8972, 4): no more octets than came."""
    reply = packet.pack_reply(REPLY, None, UNSIGNED_REQUEST + extra)
    assert reply == UNSIGNED_REPLY + extra


def test_shortest_twamp_light_packet_is_answered_in_its_own_size():
    """41 octets hold all that a TWAMP-Light reflector says; 40 are refused rather than answered with more."""
    assert packet.pack_reply(REPLY, None, UNSIGNED_REQUEST[:41]) == UNSIGNED_REPLY[:41]
    assert packet.parse_request(UNSIGNED_REQUEST[:41], None) == REQUEST
    with pytest.raises(ParseError, match="at least 41 octets"):
        packet.parse_request(UNSIGNED_REQUEST[:40], None)


@pytest.mark.parametrize("parse", [packet.parse_request, packet.parse_reply])
@given(flipped=st.integers(0, 112 * 8 - 1))
def test_one_flipped_bit_breaks_the_signature(parse, flipped):
    """No bit of an authenticated packet can change unnoticed."""
    octets = bytearray(SIGNED_REQUEST)
    octets[flipped // 8] ^= 1 << flipped % 8
    with pytest.raises(ParseError, match="HMAC"):
        parse(bytes(octets), KEY)


def test_unsigned_packet_does_not_pass_where_a_key_is_set():
    """Neither a short one nor one padded to the size."""
    for octets in (UNSIGNED_REQUEST, UNSIGNED_REQUEST.ljust(112, b"\0")):
        with pytest.raises(ParseError):
            packet.parse_request(octets, KEY)


@given(unix_ns=st.integers(0, 4_200_000_000 * 10**9))
def test_ntp_time_is_kept_to_the_nanosecond(unix_ns):
    """1970 to 2103, over NTP's era change in 2036."""
    assert packet.unix_ns_of(packet.ntp_of(unix_ns), ptp=False) == unix_ns


def test_ntp_time_of_a_known_moment():
    """1970-01-01 is 2,208,988,800 s after 1900 (RFC 5905, figure 4); a half second is the top bit of the fraction."""
    assert packet.ntp_of(500_000_000) == (2_208_988_800).to_bytes(4, "big") + b"\x80\0\0\0"


def test_ptp_time_is_seconds_and_nanoseconds():
    """A truncated PTP stamp counts nanoseconds, not fractions (RFC 8186, 2)."""
    assert packet.unix_ns_of(b"\0\0\0\5\0\0\0\7", ptp=True) == 5_000_000_007


@given(synchronised=st.booleans(), error_ns=st.integers(1, 10**12), ptp=st.booleans())
def test_error_estimate_never_states_less_than_the_error(synchronised, error_ns, ptp):
    """Rounding goes up, by less than 1%, or one unit of 2**−32 s."""
    stated = packet.parse_error_estimate(packet.pack_error(ErrorEstimate(synchronised, error_ns, ptp)))
    assert (stated.synchronised, stated.ptp) == (synchronised, ptp)
    assert error_ns <= stated.error_ns <= error_ns * 1.01 + 1


def test_error_estimate_of_every_small_error_is_valid():
    """Also where rounding up carries into another bit: the multiplier is never 0, which would mean no estimate."""
    for error_ns in range(1, 3000):
        stated = packet.parse_error_estimate(
            packet.pack_error(ErrorEstimate(synchronised=True, error_ns=error_ns))
        )
        assert stated.synchronised
        assert stated.error_ns >= error_ns


def test_error_estimate_bits():
    """S, Z, scale, multiplier from the top (RFC 4656, 4.1.2): 1 s is 128 × 2**(25 − 32)."""
    assert packet.pack_error(ErrorEstimate(True, 10**9)) == 0x8000 | 25 << 8 | 128
    assert packet.parse_error_estimate(0x8000).synchronised is False


def test_unsynchronised_clock_says_so():
    """Without a bound, S is clear and the multiplier is not 0, as the RFC demands."""
    bits = packet.error_bits_of(None)
    assert bits & 0x8000 == 0
    assert bits & 0xFF


@pytest.mark.parametrize("text", ["", "zz" * 16, "00" * 15])
def test_bad_key_is_refused(text):
    """A key is hexadecimal and has at least 16 octets."""
    with pytest.raises(ParseError):
        packet.key_of(text)
    assert packet.key_of("00" * 16) == bytes(16)


@pytest.mark.parametrize("parse", [packet.parse_request, packet.parse_reply])
@given(data=st.binary(max_size=200), key=st.sampled_from([None, KEY]))
def test_any_bytes_give_a_packet_or_a_parse_error(parse, data, key):
    """Fuzz: a value or ParseError; a value's times can be read whatever they are."""
    try:
        value = parse(data, key)
    except ParseError as error:
        assert error.source.startswith("STAMP")  # noqa: PT017 - a value is as good
        return
    for field in value:
        if isinstance(field, bytes):
            packet.unix_ns_of(field, ptp=False)
            packet.unix_ns_of(field, ptp=True)
