import struct
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.kernel import inet_diag
from agent.kernel.inet_diag import address_text, attributes, encode_request, error_number, messages
from agent.kernel.parse_error import ParseError

DUMP = (Path(__file__).resolve().parents[1] / "fixtures/kernel/inet_diag_6.18_v4_figures.bin").read_bytes()


def test_the_request_is_the_one_the_kernel_documents():
    """nlmsghdr, then inet_diag_req_v2 with TCP, the states and the attributes as bits."""
    request = encode_request(inet_diag.AF_INET, states=1 << 1, attributes=(inet_diag.INFO,))
    assert len(request) == 72
    assert struct.unpack_from("=IHH", request) == (72, 20, 0x301)
    assert struct.unpack_from("=BBBBI", request, 16) == (2, 6, 2, 0, 2)
    assert not any(request[24:])


def test_a_dump_is_walked_to_its_done_message():
    """A recorded dump of Linux 6.18 is sockets and one NLMSG_DONE without error."""
    *sockets, done = messages(DUMP)
    assert {message.type for message in sockets} == {inet_diag.SOCK_DIAG_BY_FAMILY}
    assert done.type == inet_diag.NLMSG_DONE
    assert error_number(DUMP, done) == 0
    for message in sockets:
        found = {
            kind for kind, _, _ in attributes(DUMP, message.offset + 88, message.offset + message.length)
        }
        assert {inet_diag.INFO, inet_diag.CONG} <= found


def test_an_error_message_gives_its_errno():
    """NLMSG_ERROR carries the negative error number."""
    data = struct.pack("=IHHIIi", 36, inet_diag.NLMSG_ERROR, 0, 1, 0, -2) + bytes(16)
    assert error_number(data, next(messages(data))) == 2


@pytest.mark.parametrize("length", [0, 15, 4000])
def test_a_length_that_leaves_the_buffer_is_refused(length):
    """Neither an endless loop on 0 nor a read beyond the end."""
    with pytest.raises(ParseError, match="byte 0"):
        list(messages(struct.pack("=IHHII", length, 20, 0, 1, 0)))


def test_addresses_are_written_as_people_write_them():
    """IPv4, IPv6, and IPv4 within IPv6."""
    assert address_text(bytes([192, 0, 2, 1])) == "192.0.2.1"
    assert address_text(bytes(15) + b"\1") == "::1"
    assert address_text(inet_diag.V4_MAPPED + bytes([192, 0, 2, 1])) == "::ffff:192.0.2.1"


@given(
    st.binary(max_size=200)
    | st.tuples(st.integers(0, len(DUMP)), st.binary(max_size=8)).map(lambda t: DUMP[: t[0]] + t[1])
)
def test_any_bytes_are_walked_or_are_a_parse_error(data):
    """Cut and damaged dumps end in a ParseError at worst."""
    try:
        for message in messages(data):
            for _, start, length in attributes(data, message.offset + 88, message.offset + message.length):
                assert message.offset + 88 < start <= start + length <= message.offset + message.length
    except ParseError:
        pass
