"""The Internet checksum."""

from hypothesis import given
from hypothesis import strategies as st

from agent.kernel.checksum import internet_checksum


def test_the_example_of_the_rfc():
    """RFC 1071, section 3: 00 01 f2 03 f4 f5 f6 f7 sums to ddf2."""
    assert internet_checksum(bytes.fromhex("0001f203f4f5f6f7")) == 0xFFFF - 0xDDF2


@given(data=st.binary(max_size=99))
def test_a_receiver_gets_zero(data):
    """Data with its checksum in it sums to zero, of odd length too."""
    even = data if len(data) % 2 == 0 else data + b"\0"
    checksum = internet_checksum(data)
    assert internet_checksum(even, checksum.to_bytes(2, "big")) == 0
