"""Kernel parameters from every place they are written."""

import pytest

from agent.kernel.parse_error import ParseError
from agent.kernel.sysctl import dotted, normalise, parse_sysctl, parse_sysctl_file, parse_value, path_of
from tests.corpus import field_file, field_table
from tests.host_samples import recorded


@pytest.mark.parametrize(
    ("data", "value"),
    [
        (b"1\n", 1),
        (b"-1\n", -1),
        (b"4096\t87380\t6291456\n", [4096, 87380, 6291456]),
        (b"reno cubic bbr\n", "reno cubic bbr"),
        (b"\n", ""),
        (b"007\n", "007"),
        (b"4294967295\n", 4294967295),
        (b"1.5\n", "1.5"),
    ],
)
def test_values_of_proc_sys(data, value):
    """Numbers are numbers, triples are lists, anything else stays text."""
    assert parse_value(data) == value


@pytest.mark.corpus
def test_sysctl_a_of_centos():
    """All 900 lines of a real `sysctl -a` are read; keys that this old kernel lacks are absent, not zero."""
    sysctls = parse_sysctl(field_file("7-host/sysctl_a_centos7.7.txt"))
    assert sysctls.system == "linux"
    assert sysctls.values["net.ipv4.tcp_sack"] == 1
    assert sysctls.values["net.ipv4.tcp_rmem"] == [4096, 87380, 6291456]
    assert sysctls.values["net.ipv4.tcp_congestion_control"] == "cubic"
    assert sysctls.values["vm.swappiness"] == 30
    assert "drive speed:\t\t1" in sysctls.values["dev.cdrom.info"]
    assert "net.core.netdev_budget_usecs" not in sysctls.values


@pytest.mark.corpus
def test_freebsd_is_recognised():
    """FreeBSD's output is told from Linux's, and its values of several lines stay whole."""
    sysctls = parse_sysctl(field_file("7-host/sysctl_a_freebsd12.txt"))
    assert sysctls.system == "freebsd"
    assert sysctls.values["kern.ostype"] == "FreeBSD"
    assert sysctls.values["net.inet.tcp.sack.enable"] == 1
    assert sysctls.values["kern.version"].startswith("FreeBSD 12.1-RELEASE")
    assert "\n1 PART da0s1 21474803712 512" in sysctls.values["kern.geom.conftxt"]
    assert len(sysctls.values) == 2848


def test_own_recording():
    """This project's own 6.18 recording agrees with its lines one by one."""
    lines = recorded("sysctl_a_6.18.txt").decode().splitlines()
    values = parse_sysctl("\n".join(lines).encode()).values
    assert values == {key: normalise(value) for key, _, value in (line.partition(" =") for line in lines)}
    assert isinstance(values["net.ipv4.tcp_wmem"], list)


@pytest.mark.corpus
def test_sysctl_d_file_from_the_field():
    """The tuning file of a blog post: the tcp_mem that no machine has memory for is there as it stands."""
    settings = parse_sysctl_file(field_file("7-host/sysctl_d_blog_bbr_64MB.conf"), "99-bbr.conf")
    assert settings["net.ipv4.tcp_mem"].value == [33554432, 33554432, 33554432]
    assert settings["net.core.default_qdisc"].value == "fq"
    assert (settings["net.core.rmem_max"].file, settings["net.core.rmem_max"].line) == ("99-bbr.conf", 10)


@pytest.mark.corpus
def test_expected_tuning_values_read_alike():
    """ESnet's table of triples reads as the triples a kernel would show."""
    rows = [
        row
        for row in field_table("9-expected/esnet_fasterdata_host_tuning.tsv")
        if row["key"].endswith("mem")
    ]
    assert all(len(normalise(row["value"])) == 3 for row in rows)


def test_sysctl_d_notation():
    """Slashes, a leading minus, comments of both kinds, and the later line winning, as sysctl.d(5) says."""
    text = b"""# comment
; comment
net/ipv4/conf/eth0.100/forwarding = 1
-net.core.default_qdisc=fq_codel
net.core.default_qdisc = fq
-net.ipv4.conf.all.*
"""
    settings = parse_sysctl_file(text)
    assert {key: setting.value for key, setting in settings.items()} == {
        "net.ipv4.conf.eth0/100.forwarding": 1,
        "net.core.default_qdisc": "fq",
    }


@pytest.mark.parametrize("parse", [parse_sysctl, parse_sysctl_file])
def test_line_without_a_value_names_its_place(parse):
    """A line that is no assignment is an error with its number."""
    with pytest.raises(ParseError, match="line 2"):
        parse(b"vm.swappiness = 60\nnonsense\n")


def test_dotted_key_and_path():
    """A VLAN's dot survives both ways."""
    key = dotted("net/ipv4/conf/eth0.100/mtu")
    assert key == "net.ipv4.conf.eth0/100.mtu"
    assert path_of(key) == "proc/sys/net/ipv4/conf/eth0.100/mtu"
    assert dotted(key) == key
