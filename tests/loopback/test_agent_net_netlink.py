import asyncio
import struct

import pytest
import uvloop

from agent.kernel.inet_diag import AF_INET, encode_request, messages
from agent.net.netlink import NetlinkUnavailableError, dump

LOOPS = pytest.mark.parametrize("loop_factory", [asyncio.new_event_loop, uvloop.new_event_loop])


def run(coroutine, loop_factory):
    with asyncio.Runner(loop_factory=loop_factory) as runner:
        return runner.run(coroutine)


@LOOPS
def test_a_dump_ends_when_its_reader_has_enough(loop_factory):
    """Every read is handed over until the done message; the answer is whole netlink messages."""
    kinds = []

    def feed(view):
        kinds.extend(message.type for message in messages(view))
        return kinds[-1] == 3

    assert run(dump(encode_request(AF_INET, 0xFFF), feed), loop_factory)
    assert set(kinds[:-1]) <= {20}


@LOOPS
def test_an_answer_that_does_not_come_is_a_timeout(loop_factory):
    """A reader that is never satisfied waits without spinning, and only until the deadline."""
    with pytest.raises(TimeoutError):
        run(dump(encode_request(AF_INET), lambda view: False, deadline_seconds=0.05), loop_factory)


def test_a_protocol_that_is_not_there_is_unavailable_with_its_reason():
    """A sandbox or kernel without it is told from a failure."""
    with pytest.raises(NetlinkUnavailableError, match="no netlink socket: Protocol not supported"):
        asyncio.run(dump(b"", lambda view: True, protocol=31))


def test_an_error_of_the_kernel_reaches_the_reader():
    """A request for an unknown protocol family is answered with NLMSG_ERROR."""
    seen = []

    def feed(view):
        seen.extend(messages(view))
        return True

    asyncio.run(dump(struct.pack("=IHHII", 16, 20, 0x301, 1, 0), feed))
    assert seen[0].type == 2
