"""What may be said about a lease, and nothing else."""

import contextlib

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.wire.lease import Lease, LeaseAnswer, LeaseReport, Terms
from agent.wire.series import Family

TERMS = Terms("iperf3", 10, 10**6)


def lease(**changes):
    given = {
        "id": "0" * 32, "role": "client", "peer": "b", "family": Family.IPV4, "own_address": "192.0.2.1",
        "peer_address": "192.0.2.2", "terms": TERMS, "seconds_left": 20.0, "port": 5201,
    }  # fmt: skip
    return Lease(**(given | changes))


def test_both_parts_come_back_as_they_were_sent():
    """Client and server."""
    for part in (lease(), lease(role="server", port=None), None):
        answer = LeaseAnswer(1.5, part)
        assert msgspec.json.decode(msgspec.json.encode(answer), type=LeaseAnswer) == answer


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: lease(port=None),
        lambda: lease(role="server"),
        lambda: LeaseReport("ready"),
        lambda: LeaseReport("ended", port=1),
    ],
)
def test_a_port_is_known_exactly_where_a_server_listens(wrong):
    """A client cannot be sent nowhere."""
    with pytest.raises(ValueError, match="port"):
        wrong()


@given(st.binary(max_size=200))
def test_any_bytes_are_a_report_or_one_error(body):
    """Nothing else comes out of a decoder that faces the network."""
    for model in (LeaseAnswer, LeaseReport):
        with contextlib.suppress(msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            msgspec.json.decode(body, type=model)
