import json
import shutil
import subprocess
from pathlib import Path

import msgspec
import pytest

from agent.probes.iperf3 import Iperf3Spec, client_argv, clients_seen, server_argv

FIXTURES = Path(__file__).resolve().parents[1] / "fixtures/iperf3"


def test_a_tcp_test_names_its_algorithm_and_streams():
    """Every choice of the spec is on the command line; the rate, which iperf3 takes per stream, is divided."""
    spec = Iperf3Spec(
        direction="reverse",
        parallel_streams=4,
        omit_seconds=2,
        bits_per_second=80_000_000,
        congestion_algorithm="bbr",
        source_address="2001:db8::2",
    )
    argv = client_argv("/usr/bin/iperf3", spec, "2001:db8::1", 5201)
    assert argv == [
        *("/usr/bin/iperf3", "-c", "2001:db8::1", "-p", "5201", "-J", "-t", "10", "--connect-timeout", "3000"),
        *("-B", "2001:db8::2", "-R", "-P", "4", "-O", "2", "-b", "20000000", "-C", "bbr"),
    ]  # fmt: skip


def test_a_udp_test_names_its_rate_and_datagram():
    """UDP both ways at once with a payload that fits a tunnel."""
    spec = Iperf3Spec(
        protocol="udp", direction="both", duration_seconds=3, bits_per_second=5_000_000, datagram_bytes=1200
    )
    assert client_argv("iperf3", spec, "h", 1)[6:] == [
        *("-t", "3", "--connect-timeout", "3000", "-u", "--bidir", "-b", "5000000", "-l", "1200"),
    ]  # fmt: skip


def test_a_server_serves_one_test_and_leaves_unused():
    """One test, one address, a time limit and, where leased, a rate limit."""
    assert server_argv("iperf3", "192.0.2.1", 5300, 15, limit_bits_per_second=10**9) == [
        *("iperf3", "-s", "-1", "-B", "192.0.2.1", "-p", "5300", "-J", "--idle-timeout", "15"),
        *("--server-bitrate-limit", "1000000000"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        ({"protocol": "udp"}, "bits_per_second is needed"),
        (
            {"protocol": "udp", "bits_per_second": 10, "congestion_algorithm": "bbr"},
            "is for protocol = 'tcp'",
        ),
        ({"datagram_bytes": 1200}, "is for protocol = 'udp'"),
        ({"bits_per_second": 2, "parallel_streams": 3}, "less than 1 bit/s"),
        ({"congestion_algorithm": "bbr; reboot"}, "regex"),
        ({"parallel_streams": 0}, ">= 1"),
        ({"paralel_streams": 1}, "unknown field"),
    ],
)
def test_an_impossible_spec_is_refused_with_its_reason(raw, reason):
    """What iperf3 would refuse or silently ignore never reaches it."""
    with pytest.raises(msgspec.ValidationError, match=reason):
        msgspec.convert(raw, Iperf3Spec)


@pytest.mark.debian
@pytest.mark.parametrize(
    "argv",
    [
        server_argv("iperf3", "127.0.0.1", 1, 1, 1),
        client_argv("iperf3", Iperf3Spec(direction="both", parallel_streams=2, omit_seconds=1, congestion_algorithm="cubic", bits_per_second=9, source_address="127.0.0.1"), "127.0.0.1", 1),
        client_argv("iperf3", Iperf3Spec(protocol="udp", datagram_bytes=64, bits_per_second=9), "127.0.0.1", 1),
    ],
)  # fmt: skip
def test_the_installed_iperf3_knows_every_option(argv):
    """--help after the options is only reached when iperf3 accepted all of them."""
    if shutil.which("iperf3") is None:
        pytest.skip("iperf3 is not installed")
    done = subprocess.run([*argv, "--help"], capture_output=True, text=True, timeout=10)
    assert done.stdout.startswith("Usage: iperf3"), done.stderr


@pytest.mark.parametrize("path", sorted(FIXTURES.glob("3.12_server_*.json")), ids=lambda path: path.stem)
def test_a_server_s_report_names_its_clients(path):
    """Every recorded server served exactly one host."""
    document = json.loads(path.read_bytes())
    assert clients_seen(document) == {
        document["start"]["accepted_connection"]["host"].removeprefix("::ffff:")
    }
