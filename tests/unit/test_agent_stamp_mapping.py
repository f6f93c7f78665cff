"""The question from which address one's packets come, and its answer."""

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.kernel.parse_error import ParseError
from agent.stamp.mapping import (
    LONGEST_DELAY_SECONDS,
    Answer,
    Endpoint,
    Question,
    endpoint_of,
    is_question,
    pack_answer,
    pack_question,
    parse_answer,
    parse_question,
)

NONCES = st.integers(0, 2**64 - 1)
DELAYS = st.integers(0, LONGEST_DELAY_SECONDS)
ADDRESSES = st.ip_addresses(v=4) | st.ip_addresses(v=6).filter(lambda ip: ip.ipv4_mapped is None)


@given(nonce=NONCES, delay=DELAYS, address=ADDRESSES, port=st.integers(0, 65535))
def test_an_answer_says_whom_it_saw_and_is_no_longer_than_the_question(nonce, delay, address, port):
    """Both families come back as they went in, in as many bytes as the question has."""
    question = Question(nonce, delay)
    asked = pack_question(question)
    assert is_question(asked)
    assert parse_question(asked) == question
    answer = Answer(nonce, delay, Endpoint(str(ipaddress.ip_address(address.packed)), port))
    packet = pack_answer(answer)
    assert parse_answer(packet) == answer
    assert len(packet) == len(asked)


@given(payload=st.binary(max_size=80) | st.binary(max_size=28).map(lambda tail: b"LFnat!1\0" + tail))
def test_any_bytes_are_an_answer_or_a_parse_error(payload):
    """Nothing that the network brings is another exception; what parses is what was packed."""
    try:
        answer = parse_answer(payload)
    except ParseError:
        return
    assert parse_answer(pack_answer(answer)) == answer


@given(payload=st.binary(max_size=80) | st.binary(max_size=28).map(lambda tail: b"LFnat?1\0" + tail))
def test_any_bytes_are_a_question_or_a_parse_error(payload):
    """A question that parses never asks to wait longer than is allowed."""
    try:
        question = parse_question(payload)
    except ParseError:
        return
    assert question.delay_seconds <= LONGEST_DELAY_SECONDS


def test_a_delay_beyond_the_longest_is_refused():
    """Nobody's answer waits for hours."""
    with pytest.raises(ParseError, match="at most 300 s, got 301"):
        parse_question(pack_question(Question(1, LONGEST_DELAY_SECONDS + 1)))


@pytest.mark.parametrize(
    ("told", "endpoint"),
    [
        ("::ffff:192.0.2.1", "192.0.2.1:7"),
        ("fe80::1%eth0", "[fe80::1]:7"),
        ("2001:DB8::0:1", "[2001:db8::1]:7"),
    ],
)
def test_one_address_has_one_notation(told, endpoint):
    """An own address in another notation is not taken for a NAT's."""
    assert str(endpoint_of(told, 7)) == endpoint
