from ipaddress import ip_address

import pytest

from agent.kernel.inet_diag import AF_INET, AF_INET6
from agent.socket_groups import GroupIndex, SocketGroup


def groups_of(index, text):
    packed = ip_address(text).packed
    return {
        number for number, _ in index.of(AF_INET if len(packed) == 4 else AF_INET6, packed.ljust(16, b"\0"))
    }


def test_a_peer_is_found_by_any_of_its_addresses():
    """IPv4, IPv6, and IPv4 on a socket of both families are the same peer; strangers are nobody's."""
    index = GroupIndex([SocketGroup("a", ("192.0.2.1", "2001:db8::1")), SocketGroup("b", ("192.0.2.2",))])
    assert (
        groups_of(index, "192.0.2.1")
        == groups_of(index, "::ffff:192.0.2.1")
        == groups_of(index, "2001:db8::1")
        == {0}
    )
    assert groups_of(index, "192.0.2.2") == {1}
    assert groups_of(index, "192.0.2.3") == groups_of(index, "2001:db8::2") == set()


def test_networks_hold_their_addresses_and_no_others():
    """A connection belongs to every network around its remote address, of its own family only."""
    index = GroupIndex(
        [
            SocketGroup("ten", ("10.0.0.0/8",)),
            SocketGroup("part", ("10.1.0.0/16", "fd00::/8")),
            SocketGroup("one", ("10.1.2.3",)),
        ]
    )
    for _ in range(2):  # the second time from what is remembered
        assert groups_of(index, "10.1.2.3") == {0, 1, 2}
        assert groups_of(index, "10.2.0.1") == {0}
        assert groups_of(index, "::ffff:10.1.9.9") == {0, 1}
        assert groups_of(index, "fd00::1") == {1}
        assert groups_of(index, "11.0.0.1") == set()
        # the bytes of 10.1.0.0 at the start of an IPv6 address are another address
        assert groups_of(index, "a01::") == set()
        assert groups_of(index, "::a01:203") == set()


def test_a_group_of_ports_alone_is_of_every_address():
    """Without networks the ports decide, in network order."""
    index = GroupIndex([SocketGroup("web", ports=(443, 80)), SocketGroup("peer", ("192.0.2.1",))])
    ((number, ports),) = index.of(AF_INET, bytes(16))
    assert (number, ports) == (0, {b"\x01\xbb", b"\0\x50"})
    assert groups_of(index, "192.0.2.1") == {0, 1}


def test_many_addresses_are_not_all_remembered():
    """The memory for looked-up addresses has a bound, and forgetting does not change the answer."""
    index = GroupIndex([SocketGroup("ten", ("10.0.0.0/8",)), SocketGroup("one", ("10.0.0.1",))])
    for number in range(20_000):
        assert groups_of(index, f"10.1.{number // 256}.{number % 256}") == {0}
    assert len(index.known_of(AF_INET)) <= 8193
    assert groups_of(index, "10.0.0.1") == {0, 1}


@pytest.mark.parametrize("group", [SocketGroup("x", ("frankfurt",)), SocketGroup("x", ("10.0.0.0/33",))])
def test_what_is_no_network_is_refused(group):
    """A name or an impossible prefix is a ValueError at the start, not a group that never matches."""
    with pytest.raises(ValueError, match="does not appear"):
        GroupIndex([group])


def test_two_groups_of_one_name_are_refused():
    """One would hide the other's connections."""
    with pytest.raises(ValueError, match="same name: a"):
        GroupIndex([SocketGroup("a"), SocketGroup("a", ("10.0.0.1",))])
