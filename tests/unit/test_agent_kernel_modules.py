"""Loaded modules."""

import pytest

from agent.kernel.modules import parse_modules
from agent.kernel.parse_error import ParseError
from tests.host_samples import of_tree


def test_names():
    """Every line's first word; a kernel without loaded modules has an empty file."""
    assert {"tcp_bbr", "virtio_net", "sch_fq"} <= parse_modules(of_tree("kvm-vps-512mb/proc/modules"))
    assert parse_modules(b"") == frozenset()


@pytest.mark.parametrize("text", [b"tcp_bbr\n", b"tcp_bbr big 0\n", b"\n"])
def test_malformed(text):
    """A line has a name, a size and a use count."""
    with pytest.raises(ParseError):
        parse_modules(text)
