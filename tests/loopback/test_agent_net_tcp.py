"""TCP handshakes with real peers of every kind: one end each, the kernel's time, nothing left behind."""

import asyncio
import errno
import os
import socket
import struct
import threading
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import pytest

from agent.net.network import SystemNetwork
from agent.net.tcp import Connect
from agent.probes import tcp
from agent.sample import Burst, Target
from agent.wire.series import Family, Outcome
from fakes import open_descriptors

TIME_WAIT = "06"
LINGER_RESET = struct.pack("=ii", 1, 0)


@pytest.fixture
async def network():
    made = SystemNetwork()
    yield made
    made.close()


def listener(host="127.0.0.1", backlog=1024):
    sock = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)
    sock.bind((host, 0))
    sock.listen(backlog)
    return sock


@contextmanager
def serving(sock, reset=False):
    """Accept and close at once, by RST or FIN, in a thread of its own."""

    def serve():
        with suppress(OSError):
            while True:
                connection, _ = sock.accept()
                if reset:
                    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER_RESET)
                connection.close()

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield sock.getsockname()[1]
    finally:
        sock.shutdown(socket.SHUT_RDWR)
        thread.join()
        sock.close()


def free_port(host="127.0.0.1"):
    with closing(listener(host)) as sock:
        return sock.getsockname()[1]


async def probe(network, address, port, *, count=1, timeout=1.0, **options):
    """What the tcp probe records for `count` targets at this address, in the order it does."""
    family = Family.IPV6 if ":" in address else Family.IPV4
    targets = [Target(f"peer{n}", family, address, port) for n in range(count)]
    recorded = []
    burst = Burst(
        tcp.Options(**options), timeout, targets, network,
        lambda target, sample: recorded.append((target, sample)), lambda *_: None,
    )  # fmt: skip
    await tcp.run(burst)
    assert sorted(target.destination for target, _ in recorded) == sorted(t.destination for t in targets)
    return [sample for _, sample in recorded]


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
async def test_an_open_port_gives_the_kernels_round_trip(network, host):
    """Each of 50 handshakes at once is answered, with a time below a loopback's worst second, over both families."""
    with serving(listener(host)) as port:
        samples = await probe(network, host, port, count=50)
    assert {sample.outcome for sample in samples} == {Outcome.OK}
    assert all(0 < sample.rtt_ns < 1_000_000_000 for sample in samples)


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
async def test_a_closed_port_is_refused(network, host):
    """An RST is an outcome of its own, or an answer where that is asked for; the kernel has no time for it."""
    port = free_port(host)
    [sample] = await probe(network, host, port)
    assert (sample.outcome, sample.rtt_ns) == (Outcome.REFUSED, None)
    [sample] = await probe(network, host, port, refused_is_answer=True)
    assert (sample.outcome, sample.rtt_ns) == (Outcome.OK, None)


async def test_a_server_that_resets_on_accept_is_an_open_port(network):
    """The handshake succeeded: its time is good, though the socket has an error by the time it is read."""
    with serving(listener(), reset=True) as port:
        samples = [sample for _ in range(10) for sample in await probe(network, "127.0.0.1", port, count=20)]
    assert {sample.outcome for sample in samples} == {Outcome.OK}
    assert all(sample.rtt_ns > 0 for sample in samples)


async def test_a_full_accept_queue_is_loss_not_latency(network):
    """A listener that accepts nothing drops SYNs: those probes time out or were retransmitted, none is a slow OK."""
    with closing(listener(backlog=0)) as sock:
        samples = await probe(network, "127.0.0.1", sock.getsockname()[1], count=8, timeout=1.6)
    late = [sample for sample in samples if sample.outcome is not Outcome.OK]
    assert len(late) >= 5
    assert {sample.outcome for sample in late} <= {Outcome.TIMEOUT, Outcome.SYN_RETRANSMITTED}
    assert all(sample.rtt_ns is None for sample in late)
    assert all(sample.rtt_ns < 500_000_000 for sample in samples if sample.outcome is Outcome.OK)


async def test_the_source_address_is_the_one_asked_for(network):
    """The peer sees the address that the options name, over both families."""
    for host, source in (("127.0.0.1", "127.0.0.9"), ("::1", "::1")):
        with closing(listener(host)) as sock:
            [sample] = await probe(network, host, sock.getsockname()[1], source_address=source)
            assert sample.outcome is Outcome.OK
            connection, peer = sock.accept()
            connection.close()
            assert peer[0] == source


async def test_the_interface_is_the_one_asked_for(network):
    """Loopback is reached through lo; through a device that is not there the host fails, not the path."""
    if os.geteuid():
        pytest.skip("binding to a device needs CAP_NET_RAW before Linux 5.7")
    with serving(listener()) as port:
        [good] = await probe(network, "127.0.0.1", port, interface="lo")
        [bad] = await probe(network, "127.0.0.1", port, interface="none0")
    assert good.outcome is Outcome.OK
    assert (bad.outcome, bad.detail) == (Outcome.FAILED, "No such device")


@pytest.mark.parametrize(
    ("address", "options", "outcome"),
    [
        ("127.0.0.1", {"source_address": "192.0.2.1"}, Outcome.FAILED),
        ("127.0.0.1", {"source_address": "::1"}, Outcome.FAILED),
        ("fe80::1%none0", {}, Outcome.FAILED),
        ("255.255.255.255", {}, Outcome.UNREACHABLE),
    ],
)
async def test_a_connect_that_cannot_begin_ends_alone(network, address, options, outcome):
    """An address this host does not have or reach ends its probe with a reason; others in the burst are not hurt."""
    samples = await probe(network, address, 80, count=2, **options)
    assert {sample.outcome for sample in samples} == {outcome}
    assert all(sample.detail and "Unknown" not in sample.detail for sample in samples)
    with serving(listener()) as port:
        ended = {}
        connects = [Connect("fe80::1%none0", 80), Connect("127.0.0.1", port)]
        await network.handshakes(connects, 1.0, ended.__setitem__)
    assert (ended[0].answered, ended[0].error) == (False, errno.EAFNOSUPPORT)
    assert ended[1].answered


async def test_nothing_is_left_after_two_thousand_probes(network):
    """No TIME_WAIT at either end and not one descriptor more than before."""
    with serving(listener()) as port:
        await probe(network, "127.0.0.1", port)
        before = open_descriptors()
        for _ in range(100):
            samples = await probe(network, "127.0.0.1", port, count=20)
            assert {sample.outcome for sample in samples} == {Outcome.OK}
        assert open_descriptors() <= before + 1  # the server's thread may hold one
        assert time_waits(port) == 0


def time_waits(port):
    """Sockets of this port in TIME_WAIT, at either end."""
    ours = f":{port:04X}"
    lines = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return sum(
        1 for line in lines if line[3] == TIME_WAIT and (line[1].endswith(ours) or line[2].endswith(ours))
    )


async def test_a_cancelled_burst_records_nothing_and_closes_all(network):
    """A stop in the middle leaves no descriptor and no callback behind."""
    with closing(listener(backlog=0)) as sock:
        port = sock.getsockname()[1]
        await probe(network, "127.0.0.1", port, timeout=0.2, count=4)  # fill the queue
        before = open_descriptors()
        ended = {}
        connects = [Connect("127.0.0.1", port)] * 10
        task = asyncio.create_task(network.handshakes(connects, 30.0, ended.__setitem__))
        await asyncio.sleep(0.1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert open_descriptors() == before
        answered_before = dict(ended)
        await asyncio.sleep(0.1)
        assert ended == answered_before


@pytest.mark.parametrize("host_is_open", [True, False])
async def test_a_stalled_loop_invents_no_timeout(network, host_is_open):
    """This process stands still for longer than the timeout: what the kernel had by then is what counts."""
    with serving(listener()) as port:
        target = port if host_is_open else free_port()
        asyncio.get_running_loop().call_soon(stall, 0.3)
        samples = await probe(network, "127.0.0.1", target, count=5, timeout=0.1)
    assert {sample.outcome for sample in samples} == {Outcome.OK if host_is_open else Outcome.REFUSED}


def stall(seconds):
    threading.Event().wait(seconds)


def limit_that_leaves(free):
    """An RLIMIT_NOFILE under which this many descriptors are still to be had."""
    used = {int(fd.name) for fd in Path("/proc/self/fd").iterdir()}
    limit = 0
    while free >= 0:
        free -= limit not in used
        limit += 1
    return limit - 1


async def test_out_of_descriptors_is_this_hosts_failure(network):
    """EMFILE is neither loss nor a crash; those that still got a socket are measured."""
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with serving(listener()) as port:
        await probe(network, "127.0.0.1", port)
        resource.setrlimit(resource.RLIMIT_NOFILE, (limit_that_leaves(5), hard))
        try:
            samples = await probe(network, "127.0.0.1", port, count=40)
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    outcomes = {sample.outcome for sample in samples}
    assert outcomes == {Outcome.OK, Outcome.FAILED}
    assert {s.detail for s in samples if s.outcome is Outcome.FAILED} == {"Too many open files"}
