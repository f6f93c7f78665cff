import socket
from pathlib import Path

from agent.clock import SystemClock
from agent.kernel.counters import Increments, tcp_trouble
from agent.net.tcp_counters import TcpCounterReader


def read_file(path):
    return (Path("/") / path).read_bytes()


def test_what_this_host_sends_is_counted():
    """Segments of a connection made between two readings are in the second one's increments."""
    reader = TcpCounterReader(read_file, SystemClock())
    first = reader.read()
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()):
        second = reader.read()
    assert first.since is None
    assert isinstance(second.since, Increments)
    assert tcp_trouble(second.since.counters).segments_sent >= 2
    assert second.totals.namespace > 0
    assert second.states["TCP"]["mem"] >= 0


def test_absent_and_refused_files_are_told_apart(tmp_path):
    """A kernel without IPv6 has no snmp6; a file that is no counters is malformed; the rest is read."""

    def partly(path):
        if path.endswith("snmp6"):
            raise FileNotFoundError(path)
        return b"rubbish" if path.endswith("netstat") else read_file(path)

    found = TcpCounterReader(partly, SystemClock()).read()
    assert found.unreadable["proc/net/snmp6"] == "absent"
    assert "netstat: line 1" in found.unreadable["proc/net/netstat"]
    assert tcp_trouble(found.totals.counters).segments_sent is not None
    assert tcp_trouble(found.totals.counters).listen_overflows is None
