import json
import os
import shutil
import subprocess
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.inspect import inspect
from agent.kernel.parse_error import ParseError
from agent.probes.qperf import QperfSpec, client_argv, parse_output, server_argv

FIXTURES = Path(__file__).parents[1] / "fixtures" / "qperf"
CORPUS = Path(os.environ.get("LIGHTFLOOR_CORPUS", Path(__file__).resolve().parents[2].parent / "shared/data"))


def recorded(name: str) -> bytes:
    return (FIXTURES / f"0.4.11_{name}.txt").read_bytes()


@pytest.mark.parametrize(
    ("line", "key", "value"),
    [
        ("latency  =  35,039 ns", "latency_seconds", 35.039e-6),
        ("latency  =  15.6 us", "latency_seconds", 15.6e-6),
        ("latency\t=\t1.34 ms", "latency_seconds", 1.34e-3),
        ("latency = 1 sec", "latency_seconds", 1.0),
        ("bw = 222 MB/sec", "bits_per_second", 1.776e9),
        ("bw = 4500619264 bytes/sec", "bits_per_second", 36004954112),
        ("bw = 840 Mb/sec", "bits_per_second", 840e6),
        ("recv_bw = 5.78 GB/sec", "bits_per_second", 46.24e9),
        ("send_bw = 5 Tb/sec\n recv_bw = 1 bits/sec", "sent_bits_per_second", 5e12),
        ("msg_rate = 76.8 K/sec", "messages_per_second", 76800),
        ("bw = 1 KB/sec\n send_msgs = 1.5 million", "sent_messages", 1_500_000),
        ("bw = 1 KB/sec\n recv_bytes = 2 MiB", "received_bytes", 2 << 20),
    ],
)
def test_every_unit_becomes_seconds_or_bits_per_second(line, key, value):
    """us, ms, ns, bytes, bits and their thousands are read as one unit each."""
    (result,) = parse_output(f"tcp_bw:\n    {line}\n".encode())
    assert getattr(result, key) == pytest.approx(value, rel=1e-12)


def test_default_and_unified_units_say_the_same():
    """-uu -vvs of the same tests reads as the default output does, with the counts beside it."""
    (result,) = parse_output(recorded("udp_bw_unified"))
    assert (result.bits_per_second, result.sent_bits_per_second) == (9441312768 * 8, 9815883776 * 8)
    assert result.loss_ratio == pytest.approx(1 - 288126 / 299557)
    (latency,) = parse_output(recorded("tcp_lat_unified"))
    assert latency.latency_seconds == 25937e-9
    assert latency.other["loc_send_msgs"] == (19278.0, "")


def test_several_tests_in_one_output_stay_apart():
    """-v tcp_bw tcp_lat: two results, unknown lines kept with their unit."""
    bandwidth, latency = parse_output(recorded("verbose"))
    assert (bandwidth.test, latency.test) == ("tcp_bw", "tcp_lat")
    assert bandwidth.other["port"] == (19912.0, "")
    assert latency.other["loc_cpus_used"] == (51.0, "% cpus")
    assert bandwidth.loss_ratio is None  # of TCP, what is missing is in flight


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "no output"),
        (recorded("refused"), "line 2: 127.0.0.1: failed to connect"),
        (
            b"tcp_lat:\n    latency  =  15.6 us\ntcp_bw:\nserver not responding\n",
            "line 4: server not responding",
        ),
        (b"tcp_bw:\n", "tcp_bw: no bandwidth"),
        (recorded("conf"), "conf: no bandwidth"),
        (b"tcp_bw:\n  bw = 0 bytes/sec\n", "no message came through"),
        (b"udp_bw:\n  send_bw = 1 GB/sec\n  recv_bw = 0 bytes/sec\n", "no message came through"),
        (b"tcp_lat:\n  latency = 5 parsecs\n", "wants a number and one of ns, us, ms, sec"),
        (b"tcp_lat:\n  latency = 5 us\n  latency = 5 us\n", "a second latency"),
        (b"bash: qperf: command not found\n", "not qperf's output"),
    ],
)
def test_a_failed_run_is_its_reason_never_zero(data, reason):
    """qperf's own words, or what is missing."""
    with pytest.raises(ParseError, match=reason):
        inspect("qperf", data)


def test_inspect_gives_plain_values():
    """What inspect returns is JSON without further help."""
    assert json.loads(json.dumps(inspect("qperf", recorded("tcp_lat"))))[0]["latency_seconds"] == 25.7 / 1e6


def test_the_command_lines_fix_both_ports_and_the_units():
    """The data port is fixed for the firewall, the units for the parser."""
    spec = msgspec.convert({"test": "udp_bw", "duration_seconds": 5, "message_bytes": 1200}, QperfSpec)
    assert client_argv("qperf", spec, "192.0.2.1", 19765, 19766) == [
        *("qperf", "192.0.2.1", "-lp", "19765", "-ip", "19766", "-t", "5", "-m", "1200", "-uu", "-vvs", "udp_bw"),
    ]  # fmt: skip
    assert server_argv("qperf", 19765) == ["qperf", "-lp", "19765"]


@pytest.mark.debian
def test_the_installed_qperf_knows_every_option():
    """A refused connection after the options means that qperf accepted all of them, and reads as the failure it is."""
    if shutil.which("qperf") is None:
        pytest.skip("qperf is not installed")
    argv = client_argv("qperf", QperfSpec(message_bytes=1), "127.0.0.1", 1, 2)
    done = subprocess.run(argv, capture_output=True, timeout=30)
    with pytest.raises(ParseError, match="failed to connect"):
        parse_output(done.stdout + done.stderr)


@given(
    st.one_of(
        st.binary(max_size=200),
        st.lists(
            st.sampled_from(
                [
                    "tcp_bw:",
                    "bw = ",
                    "latency = ",
                    "1",
                    "9" * 25,
                    ",",
                    ".5",
                    " us",
                    " GB/sec",
                    "\n",
                    "x = y",
                    "send_msgs = ",
                ]
            ),
            max_size=20,
        ).map(lambda parts: "".join(parts).encode()),
    )
)
def test_any_bytes_give_results_or_a_parse_error(data):
    """No input makes another exception, and no result says zero."""
    try:
        results = parse_output(data)
    except ParseError:
        return
    assert all(result.bits_per_second != 0 and result.latency_seconds != 0 for result in results)


@pytest.mark.corpus
def test_every_real_output_is_read():
    """The collected outputs: GB, MB, Mb per second, us and ms, with spaces and tabs."""
    files = sorted((CORPUS / "5-iperf3").glob("qperf*"))
    if not files:
        pytest.skip(f"no corpus at {CORPUS}")
    read = {path.name: {r.test: r for r in parse_output(path.read_bytes())} for path in files}
    assert read["qperf_azure_vmware_onprem_ms.txt"]["tcp_lat"].latency_seconds == 1.34e-3
    assert read["qperf_wg_blog_bits_per_sec.txt"]["tcp_bw"].bits_per_second == 840e6
    assert read["qperf_go_test_tabs.txt"]["tcp_bw"].bits_per_second == pytest.approx(40.56e9)
    assert read["qperf_kvm_tcp_udp_GB.txt"]["udp_bw"].sent_bits_per_second == pytest.approx(6.768e9)
