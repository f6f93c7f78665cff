"""The installed iperf3 and qperf, run by our command lines and read by our parsers."""

import re
import shutil
import socket
import subprocess
import time
from pathlib import Path

import pytest

from agent.kernel.parse_error import ParseError
from agent.probes import iperf3, qperf
from agent.probes.iperf3_report import parse_report

pytestmark = pytest.mark.debian


def free_ports(number):
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(number)]
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


def listening(port):
    """Wait without connecting: a one-off server would take the connection for its test."""
    for _ in range(100):
        tables = "".join(Path(name).read_text() for name in ("/proc/net/tcp", "/proc/net/tcp6"))
        if re.search(rf":{port:04X} [0-9A-F]+:0000 0A ", tables):
            return
        time.sleep(0.05)
    pytest.fail(f"nothing listens on port {port}")


def test_one_iperf3_test_from_both_ends():
    """A rate-limited test both ways: each end's JSON reads, and they agree on what the server received."""
    if shutil.which("iperf3") is None:
        pytest.skip("iperf3 is not installed")
    (port,) = free_ports(1)
    spec = iperf3.Iperf3Spec(
        direction="both",
        duration_seconds=1,
        parallel_streams=2,
        bits_per_second=20_000_000,
        source_address="127.0.0.1",
    )
    server_argv = iperf3.server_argv(
        "iperf3", "127.0.0.1", port, idle_timeout_seconds=10, limit_bits_per_second=10**9
    )
    with subprocess.Popen(server_argv, stdout=subprocess.PIPE) as server:
        try:
            listening(port)
            argv = iperf3.client_argv("iperf3", spec, "127.0.0.1", port)
            client = parse_report(subprocess.run(argv, capture_output=True, timeout=20).stdout)
            told = parse_report(server.communicate(timeout=20)[0])
        finally:
            server.kill()
    assert client.forward is not None
    assert told.forward is not None
    assert client.forward.receiver == told.forward.receiver
    assert client.reverse is not None
    assert client.reverse.bits_per_second == pytest.approx(20_000_000, rel=0.5)
    assert client.parallel_streams == 2
    again = subprocess.run(argv, capture_output=True, timeout=20)
    with pytest.raises(ParseError, match=r"onnect"):
        parse_report(again.stdout)


def test_one_qperf_test_with_both_ports_fixed():
    """Latency with unified units, the counts beside it."""
    if shutil.which("qperf") is None:
        pytest.skip("qperf is not installed")
    control, data = free_ports(2)
    with subprocess.Popen(qperf.server_argv("qperf", control)) as server:
        try:
            listening(control)
            argv = qperf.client_argv("qperf", qperf.QperfSpec(duration_seconds=1), "127.0.0.1", control, data)
            done = subprocess.run(argv, capture_output=True, timeout=20)
        finally:
            server.kill()
    (result,) = qperf.parse_output(done.stdout)
    assert result.test == "tcp_lat"
    assert result.latency_seconds is not None
    assert 0 < result.latency_seconds < 0.1
