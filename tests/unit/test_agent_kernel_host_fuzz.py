"""Whatever bytes a host's file holds, a parser gives a value or a ParseError."""

import struct
from contextlib import suppress

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agent.inspect import inspect
from agent.kernel import cgroup, ethtool_ioctl, rtnetlink
from agent.kernel.assignments import parse_assignments, parse_environ
from agent.kernel.ethtool import parse_statistics
from agent.kernel.overlay_config import parse_flannel_subnet_env
from agent.kernel.parse_error import ParseError
from agent.kernel.route import parse_ip_route
from agent.kernel.sysctl import parse_value
from tests.host_samples import SAMPLES, recorded

BINARY = {
    "links": (rtnetlink.decode_links, recorded("rtnetlink_links_6.18.bin")),
    "routes": (
        lambda data: rtnetlink.decode_routes(data, {3: "veth0"}),
        recorded("rtnetlink_routes_6.18.bin"),
    ),
    "driver": (ethtool_ioctl.decode_driver, bytes(ethtool_ioctl.DRVINFO.size)),
    "strings": (ethtool_ioctl.decode_strings, struct.pack("=III", 0x1B, 1, 2) + b"rx_drops".ljust(64, b"\0")),
    "statistics": (
        lambda d: ethtool_ioctl.decode_statistics(d, ["a", "b"]),
        struct.pack("=IIQQ", 0x1D, 2, 7, 8),
    ),
    "features": (
        lambda d: ethtool_ioctl.decode_features(d, ["a"] * 40),
        struct.pack("=II8I", 0x3A, 2, *range(8)),
    ),
    "channels": (ethtool_ioctl.decode_channels, bytes(36)),
    "timestamping": (ethtool_ioctl.decode_timestamping, bytes(44)),
    "link settings": (ethtool_ioctl.decode_link_settings, bytes(48)),
    "set size": (ethtool_ioctl.decode_string_set_size, bytes(20)),
}
OTHERS = {
    "environ": (parse_environ, b"PATH=/bin\0A=b\0"),
    "assignments": (lambda data: parse_assignments(data, "os-release"), b'NAME="Debian GNU/Linux"\n'),
    "cpu.max": (cgroup.parse_cpu_max, b"50000 100000\n"),
    "cfs quota": (lambda data: cgroup.parse_cfs_quota(data, b"100000\n"), b"-1\n"),
    "flat keyed": (cgroup.parse_flat_keyed, b"nr_periods 5\nthrottled_usec 12\n"),
    "memory limit": (cgroup.parse_memory_limit, b"9223372036854771712\n"),
    "sysctl value": (parse_value, b"4096\t87380\t6291456\n"),
    "ip -6 route": (lambda data: parse_ip_route(data, ipv6=True), recorded("ip_6_route_6.18.txt")),
}


@st.composite
def damaged(draw, sample):
    """The sample with a few pieces replaced, doubled or cut out, or bytes of no meaning."""
    if draw(st.booleans()) and draw(st.booleans()):
        return draw(st.binary(max_size=400))
    data = sample[:4000]
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(data)))
        stop = min(len(data), start + draw(st.integers(0, 30)))
        junk = draw(
            st.one_of(
                st.binary(max_size=8),
                st.sampled_from([b"-1", b"9" * 30, b":", b"=", b"\n", b"0x", b" ", b"[", b"\xff"]),
            )
        )
        data = data[:start] + junk + data[stop:]
    return data


QUIET = settings(max_examples=120, deadline=None, suppress_health_check=list(HealthCheck))


@pytest.mark.parametrize("source", sorted(SAMPLES))
def test_a_good_sample_becomes_json(source):
    """Every source's sample is read and can be printed as JSON."""
    assert len(orjson.dumps(inspect(source, SAMPLES[source]))) > 2


@pytest.mark.parametrize("source", sorted(SAMPLES))
@QUIET
@given(data=st.data())
def test_damaged_text_gives_a_value_or_a_parse_error(source, data):
    """A damaged file is one clear error or a value, never another exception."""
    with suppress(ParseError):
        orjson.dumps(inspect(source, data.draw(damaged(SAMPLES[source]))))


@pytest.mark.parametrize("name", sorted(BINARY | OTHERS))
@QUIET
@given(data=st.data())
def test_damaged_bytes_give_a_value_or_a_parse_error(name, data):
    """The same holds for the kernel's binary answers and for the small files."""
    parse, sample = (BINARY | OTHERS)[name]
    parse(sample)
    with suppress(ParseError):
        parse(data.draw(damaged(sample)))


def test_statistics_without_the_agreed_number_are_refused():
    """Counters whose number differs from their names' are never paired with the wrong ones."""
    with pytest.raises(ParseError, match="2 counters for 1 names"):
        ethtool_ioctl.decode_statistics(struct.pack("=IIQQ", 0x1D, 2, 7, 8), ["only"])
    assert parse_statistics(b"NIC statistics:\n     rx: 5\n") == {"rx": 5}


def test_a_file_that_is_no_subnet_env_is_refused():
    """An environment file without flannel's names is not taken for one."""
    with pytest.raises(ParseError, match="neither FLANNEL_SUBNET nor FLANNEL_MTU"):
        parse_flannel_subnet_env(b"PATH=/bin\n")
