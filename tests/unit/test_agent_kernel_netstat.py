import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.inspect import inspect
from agent.kernel.netstat import parse_netstat, parse_snmp
from agent.kernel.parse_error import ParseError

CORPUS = Path(os.environ.get("LIGHTFLOOR_CORPUS", Path(__file__).resolve().parents[2].parent / "shared/data"))
FIXTURES = Path(__file__).resolve().parents[1] / "fixtures/kernel"
NETSTAT = (FIXTURES / "netstat_6.18.txt").read_bytes()


def test_every_column_of_a_real_file_is_kept_under_its_own_name():
    """netstat of Linux 6.18: as many counters per group as the file has columns, each with its column's value."""
    parsed = parse_netstat(NETSTAT)
    lines = NETSTAT.decode().splitlines()
    for header, values in zip(lines[::2], lines[1::2], strict=True):
        group = header.split(":")[0]
        assert parsed[group] == dict(zip(header.split()[1:], map(int, values.split()[1:]), strict=True))
    assert set(parsed) == {"TcpExt", "IpExt", "MPTcpExt"}


def test_snmp_has_the_segments_that_the_retransmit_ratio_stands_on():
    """/proc/net/snmp gives signed values: MaxConn is −1 on every host."""
    tcp = parse_snmp((FIXTURES / "snmp_6.18.txt").read_bytes())["Tcp"]
    assert tcp["MaxConn"] == -1
    assert tcp["OutSegs"] > tcp["RetransSegs"] >= 0


def test_a_counter_in_the_middle_moves_no_other():
    """A new column between old ones changes only itself (PowerDNS issue 18012, pcp issue 242)."""
    old = parse_netstat(b"TcpExt: A ListenOverflows\nTcpExt: 1 7\n")
    new = parse_netstat(b"TcpExt: A InCsumErrors ListenOverflows\nTcpExt: 1 99 7\n")
    assert old["TcpExt"]["ListenOverflows"] == new["TcpExt"]["ListenOverflows"] == 7


def test_icmp_types_are_as_many_as_were_seen():
    """IcmpMsg may have any number of columns, or none (netdata issue 976)."""
    assert parse_snmp(b"IcmpMsg: InType3 OutType3\nIcmpMsg: 2293 2746\n") == {
        "IcmpMsg": {"InType3": 2293, "OutType3": 2746}
    }
    assert parse_snmp(b"IcmpMsg: \nIcmpMsg: \n") == {"IcmpMsg": {}}


def test_a_group_in_two_pairs_is_one_group():
    """A protocol with more than one pair in one reading is put together (tcollector issue 134)."""
    assert parse_snmp(b"Ip: A B\nIp: 216404593054 2\nIp: C B\nIp: 3 4\n") == {
        "Ip": {"A": 216404593054, "B": 4, "C": 3}
    }


@pytest.mark.parametrize(
    ("data", "where", "reason"),
    [
        (b"", "line 1", "empty"),
        (b"TcpExt: A B\nTcpExt: 1\n", "line 2", "2 names but 1 values of TcpExt"),
        (b"TcpExt: A\nIpExt: 1\n", "line 2", "TcpExt"),
        (b"TcpExt: A\n", "line 1", "without a line of values"),
        (b"TcpExt: A\nTcpExt: x\n", "line 2", "values of the line before"),
        (b"Ip: A\nIp: 1\nIp6InReceives  7\nIp6InHdrErrors 0\n", "line 3", "Group: Name"),
        (b"TcpExt: A\nTcpExt: 1_0\n", "line 2", "values of the line before"),
        ("TcpExt: A\nTcpExt: ٣\n".encode(), "line 2", "values of the line before"),
        (b"TcpExt: A\nTcpExt: \xff\n", "byte 18", "UTF-8"),
    ],
)
def test_a_malformed_file_is_one_clear_error(data, where, reason):
    """What is not a pair of lines is refused with its line."""
    with pytest.raises(ParseError) as caught:
        parse_netstat(data)
    assert caught.value.where == where
    assert reason in caught.value.reason


def test_a_cut_file_is_refused():
    """Every real cut of the file within its last line either keeps all columns or is an error."""
    whole = parse_netstat(NETSTAT)
    for cut in range(len(NETSTAT) - 200, len(NETSTAT) - 1):
        try:
            part = parse_netstat(NETSTAT[:cut])
        except ParseError:
            continue
        assert {group: set(part[group]) for group in part} == {group: set(whole[group]) for group in part}


@given(st.binary(max_size=300) | st.lists(st.sampled_from(NETSTAT.split(b" ")), max_size=40).map(b" ".join))
def test_any_bytes_give_counters_or_a_parse_error(data):
    """Arbitrary bytes and shuffled pieces of a real file never raise anything but ParseError."""
    try:
        parsed = parse_netstat(data)
    except ParseError:
        return
    assert all(isinstance(value, int) for counters in parsed.values() for value in counters.values())


@pytest.mark.corpus
@pytest.mark.skipif(not CORPUS.is_dir(), reason="the field data is not here")
@pytest.mark.parametrize("path", sorted((CORPUS / "4-procnet").glob("*.txt")), ids=lambda path: path.name)
def test_field_files_read_correctly(path):
    """Every recorded file of every kernel parses as what it is, and as nothing else."""
    data = path.read_bytes()
    source = "snmp6" if "snmp6" in path.name else "snmp" if "snmp" in path.name else "netstat"
    parsed = inspect(source, data)
    assert sum(map(len, parsed.values())) == (
        len(data.splitlines()) if source == "snmp6" else (len(data.split()) - len(data.splitlines())) // 2
    )
    with pytest.raises(ParseError):
        inspect("snmp" if source == "snmp6" else "snmp6", data)
