"""Source ports of raw SYNs are none that the kernel would give to a connection."""

import pytest

from agent.net.endpoint import free_ports


def test_ports_lie_above_the_kernels_range_where_there_is_room():
    """With Linux' default range the ports are those above it."""
    ports = free_ports("32768\t60999\n")
    assert ports[0] == 61000
    assert ports[-1] <= 65535


def test_ports_lie_below_the_range_where_it_reaches_the_top():
    """A range up to 65535 leaves those below it, and no privileged one."""
    ports = free_ports("20000 65535")
    assert ports[-1] == 19999
    assert min(ports) >= 1024


def test_a_range_of_everything_leaves_none():
    """Then ports must be held by sockets instead."""
    assert not free_ports("1024 65535")


@pytest.mark.parametrize("text", ["", "1", "1 2 3", "a b"])
def test_anything_else_is_refused(text):
    """A file that holds no two numbers is an error, not a guess."""
    with pytest.raises(ValueError, match=r"."):
        free_ports(text)
