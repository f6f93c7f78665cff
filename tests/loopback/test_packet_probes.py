"""The packet probes on this host's own loopback, with real sockets and the kernel's stamps, on both event loops."""

import asyncio
import contextlib
import os
import socket
import subprocess
import sys
import time

import pytest

from agent.flight import Unavailable, fly
from agent.net.network import SystemNetwork
from agent.net.reflect import StampReflector
from agent.net.resolve import Resolver
from agent.probes import PROBES, icmp, syn, udp
from agent.probes.icmp import ICMP_KIND
from agent.probes.syn import SYN_KIND
from agent.probes.udp import UDP_KIND
from agent.sample import Burst, Target
from agent.stamp.packet import Request, error_bits_of, key_of, ntp_of, pack_request, parse_reply
from agent.wire.series import Family, Outcome
from agent_process import ROOT, AgentProcess

LOOPBACK = {Family.IPV4: "127.0.0.1", Family.IPV6: "::1"}
KEY_TEXT = "0f" * 32

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="raw sockets need CAP_NET_RAW")
families = pytest.mark.parametrize("family", list(Family))


@contextlib.asynccontextmanager
async def a_network():
    network = SystemNetwork()
    try:
        yield network
    finally:
        network.close()


@contextlib.asynccontextmanager
async def a_reflector(host="127.0.0.1", *, per_second=1e6, key=None, admits=lambda _: True):
    reflector = StampReflector(host, 0, per_second, key, admits)
    try:
        yield reflector
    finally:
        reflector.close()


@contextlib.contextmanager
def a_listener(family):
    domain = socket.AF_INET6 if family is Family.IPV6 else socket.AF_INET
    with socket.create_server((LOOPBACK[family], 0), family=domain) as server:
        yield server.getsockname()[1]


async def probe(network, kind, options, family, port, *, count=1, timeout=0.5, bursts=1):
    """Samples of `count` targets at one address, burst after burst."""
    samples, memory = [], {}
    targets = [Target(f"t{n}", family, LOOPBACK[family], port) for n in range(count)]
    for _ in range(bursts):
        burst = Burst(
            options, timeout, targets, network, lambda _, s: samples.append(s), lambda *_: None, memory
        )
        await fly(burst, kind)
    return samples


@needs_root
@families
async def test_syn_tells_open_from_closed(family):
    """An open port answers, a closed one refuses; both with the kernel's time, far below what Python could take."""
    async with a_network() as network:
        with a_listener(family) as port:
            (opened,) = await probe(network, SYN_KIND, syn.Options(), family, port)
        (closed,) = await probe(network, SYN_KIND, syn.Options(), family, port)
    assert (opened.outcome, closed.outcome) == (Outcome.OK, Outcome.REFUSED)
    assert 0 < opened.rtt_ns < 10_000_000
    assert 0 < closed.rtt_ns < 10_000_000


@needs_root
@families
async def test_icmp_echo_answers(family):
    """This host answers its own echo, on whichever kind of socket it may have."""
    async with a_network() as network:
        samples = await probe(network, ICMP_KIND, icmp.Options(), family, 0, count=20)
    assert {sample.outcome for sample in samples} == {Outcome.OK}
    assert all(sample.rtt_ns > 0 and sample.result["ttl"] == 64 for sample in samples)


@families
async def test_udp_needs_no_privilege_and_agrees_with_its_reflector(family):
    """Every request is answered, nothing lost in either direction, and the reflector's time is not in the round trip."""
    async with a_network() as network, a_reflector(LOOPBACK[family]) as reflector:
        samples = await probe(network, UDP_KIND, udp.Options(), family, reflector.port, count=20, bursts=5)
    assert [sample.outcome for sample in samples] == [Outcome.OK] * 100
    assert all(sample.rtt_ns >= 0 and sample.result["reflector_ns"] > 0 for sample in samples)
    assert sum(sample.result["lost_forward"] + sample.result["lost_backward"] for sample in samples) == 0
    assert reflector.packets["reflected"] == 100


async def test_udp_in_authenticated_mode(tmp_path):
    """With the same key on both sides it works; without one the reflector says nothing."""
    (tmp_path / "key").write_text(KEY_TEXT + "\n")
    signed = udp.Options(key_file=str(tmp_path / "key"))
    async with a_network() as network, a_reflector(key=key_of(KEY_TEXT)) as reflector:
        (good,) = await probe(network, UDP_KIND, signed, Family.IPV4, reflector.port)
        (bad,) = await probe(network, UDP_KIND, udp.Options(), Family.IPV4, reflector.port, timeout=0.2)
    assert (good.outcome, bad.outcome) == (Outcome.OK, Outcome.TIMEOUT)
    assert reflector.packets["malformed"] == 1


@families
async def test_closed_udp_port_is_refused(family):
    """The host's own port-unreachable message ends the probe at once."""
    with socket.socket(
        socket.AF_INET6 if family is Family.IPV6 else socket.AF_INET, socket.SOCK_DGRAM
    ) as sock:
        sock.bind((LOOPBACK[family], 0))
        port = sock.getsockname()[1]
    async with a_network() as network:
        samples = await probe(network, UDP_KIND, udp.Options(), family, port, count=5, bursts=4)
    assert [sample.outcome for sample in samples] == [Outcome.REFUSED] * 20


async def test_errors_of_one_target_do_not_spoil_the_others():
    """Refused, unreachable and answered probes share a socket: stamps stay with their packets after failed sends."""
    async with a_network() as network, a_reflector() as reflector:
        outcomes, memory = {}, {}
        targets = [
            Target("good", Family.IPV4, "127.0.0.1", reflector.port),
            Target("closed", Family.IPV4, "127.0.0.1", 1),
            Target("broadcast", Family.IPV4, "255.255.255.255", 9),  # EACCES: the send itself fails
        ]
        for _ in range(10):
            burst = Burst(
                udp.Options(), 0.5, targets, network,
                lambda t, s: outcomes.setdefault(t.destination, []).append(s.outcome), lambda *_: None, memory,
            )  # fmt: skip
            await fly(burst, UDP_KIND)
    assert outcomes["good"] == [Outcome.OK] * 10
    assert outcomes["closed"] == [Outcome.REFUSED] * 10
    assert outcomes["broadcast"] == [Outcome.UNREACHABLE] * 10


@needs_root
async def test_thousand_targets_in_one_burst():
    """A burst larger than any queue: every probe has one outcome, and each its stamps."""
    async with a_network() as network:
        with a_listener(Family.IPV4) as port:
            samples = await probe(network, SYN_KIND, syn.Options(legs=0), Family.IPV4, port, count=1000)
    assert len(samples) == 1000
    assert sum(sample.outcome is Outcome.INVALID for sample in samples) == 0
    assert sum(sample.outcome is Outcome.OK for sample in samples) >= 990  # one address, one backlog


async def test_stamps_of_a_long_burst_do_not_fill_the_queue():
    """With the receive buffer that an unprivileged agent gets, five hundred sends in a row keep their stamps."""
    async with a_network() as network, a_reflector() as reflector:
        network.channel(UDP_KIND, Family.IPV4).endpoint.sock.setsockopt(
            socket.SOL_SOCKET, socket.SO_RCVBUF, 106_496
        )
        samples = await probe(network, UDP_KIND, udp.Options(), Family.IPV4, reflector.port, count=500)
    assert sum(sample.outcome is Outcome.INVALID for sample in samples) == 0


@needs_root
async def test_stopped_burst_leaves_no_watcher_and_records_nothing():
    """A cancelled burst gives no outcome of its own; the runner does that."""
    async with a_network() as network:
        samples = []
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
            silent.bind(("127.0.0.1", 0))
            target = Target("silent", Family.IPV4, "127.0.0.1", silent.getsockname()[1])
            burst = Burst(udp.Options(), 30, [target], network, lambda *s: samples.append(s), lambda *_: None)
            task = asyncio.create_task(fly(burst, UDP_KIND))
            await asyncio.sleep(0.05)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
    assert samples == []


def ask(sock, reflector, packet):
    sock.sendto(packet, ("127.0.0.1", reflector.port))


async def answers(sock, seconds=0.3):
    """What arrives within some time."""
    loop, got = asyncio.get_running_loop(), []
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            while True:
                got.append(await loop.sock_recv(sock, 4096))
    return got


@pytest.fixture
def asker():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.setblocking(False)
        sock.bind(("127.0.0.1", 0))
        yield sock


def a_request(sequence=0):
    return pack_request(Request(sequence, ntp_of(time.time_ns()), error_bits_of(None), 7), None)


async def test_reflector_never_answers_with_more_than_it_got(asker):
    """From empty to large: a reply has the length of its request, or there is none."""
    async with a_reflector() as reflector:
        for size in (0, 1, 14, 40, 41, 43, 44, 45, 112, 1400):
            ask(asker, reflector, a_request().ljust(size, b"\0")[:size])
        got = await answers(asker)
    assert sorted(map(len, got)) == [41, 43, 44, 45, 112, 1400]
    assert reflector.packets["malformed"] == 4


async def test_reflector_answers_nobody_but_members(asker):
    """A stranger gets nothing back, and is counted."""
    async with a_reflector(admits=lambda address: address != "127.0.0.1") as reflector:
        ask(asker, reflector, a_request())
        assert await answers(asker) == []
        assert reflector.packets["stranger"] == 1


async def test_reflector_holds_each_source_to_a_rate(asker):
    """Of a hundred at once ten are answered."""
    async with a_reflector(per_second=10) as reflector:
        for sequence in range(100):
            ask(asker, reflector, a_request(sequence))
        got = await answers(asker)
    assert 10 <= len(got) <= 15
    assert reflector.packets["limited"] == 100 - len(got)


async def test_reflector_counts_by_itself_and_says_when(asker):
    """Numbers from 0 whatever the sender's are; received before sent, both between our own two clock readings."""
    from agent.stamp.packet import unix_ns_of

    async with a_reflector() as reflector:
        before = time.time_ns()
        for sequence in (5, 9):
            ask(asker, reflector, a_request(sequence))
        replies = [parse_reply(data, None) for data in await answers(asker)]
        after = time.time_ns()
    assert [(reply.sequence, reply.sender_sequence) for reply in replies] == [(0, 5), (1, 9)]
    for reply in replies:
        received, sent = (unix_ns_of(stamp, ptp=False) for stamp in (reply.received, reply.sent))
        assert before <= received <= sent <= after
        assert (reply.sender_ttl, reply.session) == (64, 7)


async def test_reply_leaves_from_the_address_that_was_asked():
    """On a host with several addresses the sender hears from the one it knows."""
    async with a_reflector("0.0.0.0") as reflector:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.setblocking(False)
            sock.connect(
                ("127.0.0.77", reflector.port)
            )  # a connected socket takes nothing from any other address
            sock.send(a_request())
            assert len(await answers(sock)) == 1


async def test_without_a_host_it_reflects_both_families():
    """The default answers IPv4 and IPv6 on one port."""
    async with a_network() as network, a_reflector(None) as reflector:
        for family in Family:
            (sample,) = await probe(network, UDP_KIND, udp.Options(), family, reflector.port)
            assert sample.outcome is Outcome.OK


async def test_unopened_socket_is_unavailable_every_time_and_recovers():
    """What the host lacks is said with each burst, and the probe works as soon as it is there."""
    from dataclasses import replace

    lacks = [Unavailable("a raw socket needs CAP_NET_RAW")]

    def open_when_allowed(family):
        if lacks:
            raise lacks[0]
        return UDP_KIND.open(family)

    kind = replace(UDP_KIND, open=open_when_allowed)
    async with a_network() as network, a_reflector() as reflector:
        for _ in range(2):
            (sample,) = await probe(network, kind, udp.Options(), Family.IPV4, reflector.port)
            assert (sample.outcome, sample.detail) == (Outcome.UNAVAILABLE, "a raw socket needs CAP_NET_RAW")
        lacks.clear()
        (sample,) = await probe(network, kind, udp.Options(), Family.IPV4, reflector.port)
    assert sample.outcome is Outcome.OK


def test_every_measure_that_a_probe_finds_is_declared():
    """A name in a result that no measure has would vanish silently."""
    for kind in ("syn", "udp", "icmp"):
        names = [measure.name for measure in PROBES[kind].measures]
        assert len(set(names)) == len(names)
        assert len({measure.metric for measure in PROBES[kind].measures}) == len(names)


@needs_root
def test_agent_runs_them_on_schedule(tmp_path):
    """syn, udp and icmp of one peer: windows of round trips on /metrics, the reflector's counts."""
    agent = AgentProcess(tmp_path)
    kinds = ("syn", "udp", "icmp")
    listed = ", ".join(f'{{ kind = "{kind}", interval_seconds = 0.2 }}' for kind in kinds)
    agent.write(
        f'[[peers]]\nname = "self"\nipv4 = "127.0.0.1"\nipv6 = "::1"\nport = {agent.responder_port}\nprobes = [{listed}]\n'
    )
    with agent:
        for kind in kinds:
            labels = f'lightfloor_probe_rtt_seconds_count{{destination="self",probe="{kind}",family="ipv4"}}'
            agent.wait_until(lambda labels=labels: (agent.metric(labels) or 0) >= 3, f"three {kind} results")
        assert agent.metric('lightfloor_reflector_packets_total{result="reflected"}') >= 3
        assert agent.metric('lightfloor_udp_lost_forward_total{destination="self",family="ipv4"}') == 0
        assert agent.metric("lightfloor_probe_unavailable") is None
        agent.stop()
    assert "Traceback" not in agent.log


def test_agent_never_imports_scapy():
    """Neither the running agent nor any of its probes."""
    code = "import sys, agent.app, agent.probes; sys.exit('scapy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT).returncode == 0


async def test_resolver_knows_the_fleets_addresses_in_any_spelling():
    """The reflector's guest list: literals, however written, and names as they resolve; nobody else."""
    resolver = Resolver(60)
    await resolver.want([("2001:DB8:0::9", Family.IPV6), ("localhost", Family.IPV4)])
    assert resolver.knows("2001:db8::9")
    assert resolver.knows("127.0.0.1")
    assert not resolver.knows("192.0.2.1")
    await resolver.want([])
    assert not resolver.knows("127.0.0.1")
