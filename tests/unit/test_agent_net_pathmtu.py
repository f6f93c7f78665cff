"""The packets of the path MTU probe."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.net.pathmtu import answer, answered_size, request

NONCES = st.integers(0, 2**64 - 1)


@given(nonce=NONCES, size=st.integers(576, 65535), overhead=st.sampled_from([28, 48]))
def test_an_answer_confirms_the_size_that_was_asked(nonce, size, overhead):
    """What the agent answers says which size arrived, to whoever knows the nonce."""
    payload = request(nonce, size, overhead)
    assert len(payload) == size - overhead
    assert answered_size(answer(payload), nonce) == size


@given(payload=st.binary(max_size=100), nonce=NONCES)
def test_no_bytes_confuse_it(payload, nonce):
    """Any bytes are answered with fewer or none, and confirm nothing by accident."""
    reply = answer(payload)
    assert reply is None or len(reply) <= len(payload)
    assert answered_size(payload, nonce) is None


@given(nonce=NONCES, other=NONCES, size=st.integers(576, 65535))
def test_an_answer_to_somebody_else_is_none(nonce, other, size):
    """A guessed answer has one chance in 2**64."""
    confirmed = answered_size(answer(request(other, size, 28)), nonce)
    assert (confirmed is None) == (nonce != other)


@pytest.mark.parametrize("cut", range(18))
def test_a_head_cut_short_is_not_answered(cut):
    """A request needs its whole head."""
    assert answer(request(1, 576, 28)[:cut]) is None


def test_an_answer_is_not_answered():
    """Two agents can never be set to answer each other for ever."""
    assert answer(answer(request(1, 576, 28))) is None
