"""The real iperf3 and qperf through the agent's probes: figures from finished tests, reasons from all others."""

import asyncio
import json
import shutil
import socket
import subprocess
import sys
import time

import pytest

from agent.net.bandwidth import free_port
from agent.net.network import SystemNetwork
from agent.net.process import ProcessResult
from agent.probes import PROBES, iperf3, qperf
from agent.sample import Burst, Target
from agent.wire.series import Family, Outcome

pytestmark = [
    pytest.mark.debian,
    pytest.mark.skipif(not (shutil.which("iperf3") and shutil.which("qperf")), reason="iperf3 and qperf"),
]


async def probe(kind, options, port, network=None, peer="127.0.0.1"):
    """The sample and the event's detail of one test."""
    network = network or SystemNetwork()
    samples, events = [], []
    target = Target("peer", Family.IPV4, peer, port)
    await PROBES[kind].run(
        Burst(
            options,
            1.0,
            [target],
            network,
            lambda _target, sample: samples.append(sample),
            lambda _target, kind, detail: events.append((kind, detail)),
        )
    )
    network.close()
    (sample,), ((name, detail),) = samples, events
    assert name == "bandwidth_test"
    return sample, detail


async def served(argv, port, network, test):
    """test() while a server started by the other agent's slot runs; what both gave."""
    ready = asyncio.Event()
    server = asyncio.create_task(
        network.bandwidth.serve(argv, port=port, peer="127.0.0.1", lifetime_seconds=15, ready=ready.set)
    )
    await asyncio.wait_for(ready.wait(), 5)
    outcome = await test()
    if argv[0] == "qperf":
        server.cancel()
    results = await asyncio.gather(server, return_exceptions=True)
    network.close()
    return outcome, results[0]


async def test_iperf3_measures_no_more_than_it_was_allowed():
    """A leased TCP test: paced by the client, bounded by the server, counted by its receiver."""
    port = free_port(20000, 29999, "127.0.0.1")
    spec = iperf3.Iperf3Spec(duration_seconds=2, bits_per_second=20_000_000)
    argv = iperf3.server_argv("iperf3", "127.0.0.1", port, 5, 25_000_000)
    (sample, detail), server = await served(argv, port, SystemNetwork(), lambda: probe("iperf3", spec, port))
    assert sample.outcome is Outcome.OK, sample
    assert sample.result["forward_bits_per_second"] == pytest.approx(20e6, rel=0.15)
    assert detail["report"]["forward"]["measured_by"] == "receiver"
    assert "intervals" not in detail["report"]["forward"]
    json.dumps(detail)
    assert iperf3.parse_report(server.stdout).role == "server"
    assert server.exit_status == 0


async def test_iperf3_over_udp_tells_jitter_and_loss():
    """Measured by the receiver."""
    port = free_port(20000, 29999, "127.0.0.1")
    spec = iperf3.Iperf3Spec(protocol="udp", duration_seconds=1, bits_per_second=5_000_000)
    argv = iperf3.server_argv("iperf3", "127.0.0.1", port, 5)
    (sample, _), _ = await served(argv, port, SystemNetwork(), lambda: probe("iperf3", spec, port))
    assert sample.result["jitter_seconds"] is not None
    assert 0 <= sample.result["loss_ratio"] <= 1


@pytest.mark.parametrize("test", ["tcp_lat", "udp_bw"])
async def test_qperf_measures_against_a_server_on_demand(test):
    """Data port above the control port, units normalised."""
    port = free_port(20000, 29998, "0.0.0.0", 2)
    spec = qperf.QperfSpec(test=test, duration_seconds=1)
    argv = qperf.server_argv("qperf", port)
    (sample, _), _ = await served(argv, port, SystemNetwork(), lambda: probe("qperf", spec, port))
    assert sample.outcome is Outcome.OK, sample
    figure = sample.result["latency_seconds" if test == "tcp_lat" else "bits_per_second"]
    assert 1e-7 < figure < 0.1 if test == "tcp_lat" else figure > 1e6


@pytest.mark.parametrize(
    ("kind", "options", "outcome"),
    [
        ("iperf3", iperf3.Iperf3Spec(duration_seconds=1), Outcome.REFUSED),
        ("qperf", qperf.QperfSpec(duration_seconds=1), Outcome.TIMEOUT),
    ],
)
async def test_nobody_there_is_told_from_a_slow_path(kind, options, outcome):
    """A closed port gives its reason and no figure."""
    sample, detail = await probe(kind, options, free_port(20000, 29999, "127.0.0.1"))
    assert (sample.outcome, sample.result) == (outcome, None)
    assert detail["reason"]


async def test_a_mute_server_is_a_timeout_at_the_deadline():
    """iperf3 itself would wait for minutes."""
    with socket.create_server(("127.0.0.1", 0)) as mute:
        began = time.monotonic()
        sample, _ = await probe("iperf3", iperf3.Iperf3Spec(duration_seconds=1), mute.getsockname()[1])
    assert sample.outcome is Outcome.TIMEOUT
    assert time.monotonic() - began < 30


async def test_a_server_that_is_killed_half_way_is_a_failed_test():
    """Partial intervals are no result."""
    port = free_port(20000, 29999, "127.0.0.1")
    server = subprocess.Popen(["iperf3", "-s", "-1", "-p", str(port)], stdout=subprocess.DEVNULL)
    await asyncio.sleep(0.5)
    test = asyncio.create_task(
        probe("iperf3", iperf3.Iperf3Spec(duration_seconds=5, bits_per_second=10**6), port)
    )
    await asyncio.sleep(1.5)
    server.kill()
    server.wait()
    sample, _ = await test
    assert (sample.outcome, sample.result) == (Outcome.FAILED, None)


async def test_a_missing_program_is_unavailable(monkeypatch):
    """Not loss, and the reason names it."""
    monkeypatch.setenv("PATH", "/nonexistent")
    sample, _ = await probe("iperf3", iperf3.Iperf3Spec(duration_seconds=1), 1)
    assert (sample.outcome, "not installed" in sample.detail) == (Outcome.UNAVAILABLE, True)


def test_an_iperf3_without_the_options_is_unavailable():
    """Too old: it says so in plain text, on standard error."""
    old = ProcessResult(1, b"", b"iperf3: unrecognized option '--connect-timeout'\nUsage: iperf3 ...")
    sample, _ = iperf3.judged(old, 10)
    assert (sample.outcome, "unrecognized option" in sample.detail) == (Outcome.UNAVAILABLE, True)


def test_by_hand_prints_the_figures():
    """`probe iperf3 HOST:PORT --json`."""
    port = free_port(20000, 29999, "127.0.0.1")
    with subprocess.Popen(
        ["iperf3", "-s", "-1", "-p", str(port), "--idle-timeout", "10"], stdout=subprocess.DEVNULL
    ) as server:
        time.sleep(0.5)
        argv = [sys.executable, "-m", "agent", "probe", "iperf3", f"127.0.0.1:{port}", "--json"]
        argv += ["--duration-seconds", "1", "--direction", "both", "--bits-per-second", "10000000"]
        done = subprocess.run(argv, capture_output=True, text=True, timeout=60)
        server.wait(timeout=10)
    shown = json.loads(done.stdout)
    assert done.returncode == 0
    assert shown["outcomes"] == {"ok": 1}
    assert shown["forward_bits_per_second"] > 1e6 < shown["reverse_bits_per_second"]
