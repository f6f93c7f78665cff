"""Interface counters."""

import pytest

from agent.kernel.net_dev import DeviceCounters, parse_net_dev
from agent.kernel.parse_error import ParseError
from tests.host_samples import of_tree, recorded

HEAD = b"Inter-|   Receive |  Transmit\n face |bytes packets|bytes packets\n"


def test_errors_and_drops_of_a_slow_host():
    """Received and transmitted columns are not mixed up."""
    devices = parse_net_dev(of_tree("hong-kong/proc/net/dev"))
    assert devices["ens3"] == DeviceCounters(48211323311, 43129931, 2, 5121, 39112233121, 39221331, 0, 0)
    assert devices["flannel.1"].tx_dropped == 912


def test_own_recording():
    """Four interfaces of a 6.18 guest."""
    assert set(parse_net_dev(recorded("net_dev_6.18.txt"))) == {"lo", "ifb0", "ifb1", "eth0"}


def test_name_with_a_colon():
    """An old alias and a number glued to the colon are read."""
    devices = parse_net_dev(HEAD + b" eth0:1:7 0 0 0 0 0 0 0 8 0 0 0 0 0 0 0\n")
    assert (devices["eth0:1"].rx_bytes, devices["eth0:1"].tx_bytes) == (7, 8)


@pytest.mark.parametrize("text", [b"", b"eth0: 1\n", HEAD + b"eth0 1 2\n", HEAD + b"eth0: 1 2\n"])
def test_malformed(text):
    """Without its heading or its sixteen numbers it is another file."""
    with pytest.raises(ParseError):
        parse_net_dev(text)
