"""What the kernel tells of TCP, against loss and windows that are known: two hosts and the link between them."""

import contextlib
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
NEAR, FAR = f"lfk-near-{os.getpid()}", f"lfk-far-{os.getpid()}"
LOSSY, CLEAN = "10.99.0.2", "10.99.0.3"
GROUPS = {"lossy": [LOSSY], "clean": [CLEAN]}

pytestmark = [
    pytest.mark.netns,
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root"),
    pytest.mark.skipif(
        not all(map(shutil.which, ("ip", "nft", "ethtool"))), reason="needs ip, nft and ethtool"
    ),
]


def run(*argv):
    subprocess.run(argv, check=True, capture_output=True)


class Host:
    """The endpoint program in a namespace, driven line by line."""

    def __init__(self, namespace):
        self.process = subprocess.Popen(
            ["ip", "netns", "exec", namespace, sys.executable, str(Path(__file__).with_name("endpoint.py"))],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": str(ROOT)},
        )  # fmt: skip

    def start(self, *command):
        self.process.stdin.write(json.dumps(command) + "\n")
        self.process.stdin.flush()

    def finish(self):
        return json.loads(self.process.stdout.readline())

    def do(self, *command):
        self.start(*command)
        return self.finish()

    def close(self):
        self.process.stdin.close()
        self.process.wait(timeout=20)
        self.process.stdout.close()


@pytest.fixture
def link():
    """Two namespaces joined by a veth pair, packets as on a wire (no segmentation offload), an empty drop chain."""
    for namespace in (NEAR, FAR):
        run("ip", "netns", "add", namespace)
    try:
        run("ip", "link", "add", "lfk0", "netns", NEAR, "type", "veth", "peer", "name", "lfk0", "netns", FAR)
        for namespace, addresses in ((NEAR, ["10.99.0.1"]), (FAR, [LOSSY, CLEAN])):
            for address in addresses:
                run("ip", "-n", namespace, "addr", "add", f"{address}/24", "dev", "lfk0")
            for device in ("lo", "lfk0"):
                run("ip", "-n", namespace, "link", "set", device, "up")
            offloads = [word for name in ("tso", "gso", "gro") for word in (name, "off")]
            run("ip", "netns", "exec", namespace, "ethtool", "-K", "lfk0", *offloads)
        run(
            "ip",
            "netns",
            "exec",
            FAR,
            "nft",
            "add table ip t; add chain ip t drops { type filter hook input priority 0 ; }",
        )
        yield
    finally:
        for namespace in (NEAR, FAR):
            run("ip", "netns", "del", namespace)


@pytest.fixture
def hosts(link):
    """The near and the far endpoint; the near one has had its first reading."""
    with contextlib.ExitStack() as stack:
        near, far = Host(NEAR), Host(FAR)
        for host in (near, far):
            stack.callback(host.close)
        near.do("read", GROUPS)
        far.do("read", {})
        yield near, far


def drop(rule):
    """Let the far host lose packets by this rule."""
    run("ip", "netns", "exec", FAR, "nft", f"add rule ip t drops {rule} drop")


def connect(near, far, address, port, receive_buffer=0):
    far.do("listen", port, receive_buffer)
    far.start("accept")
    near.do("connect", address, port)
    far.finish()


def transfer(near, far, size):
    far.start("receive", size)
    near.do("send", size)
    far.finish()
    time.sleep(0.1)  # the last acknowledgement


def sums(kinds, *names):
    return sum(kinds[name] for name in names)


def test_known_loss_gives_the_known_ratio_of_the_peer_that_has_it(hosts):
    """Every 20th data packet lost to one address: 5% retransmitted there, nothing at the other, fast and not by timeout."""
    near, far = hosts
    drop(f"ip daddr {LOSSY} ip length > 1000 numgen inc mod 20 == 7")
    connect(near, far, CLEAN, 5001)
    transfer(near, far, 4_000_000)
    clean = near.do("read", GROUPS)
    connect(near, far, LOSSY, 5002)
    transfer(near, far, 8_000_000)
    lossy = near.do("read", GROUPS)
    assert clean["groups"]["clean"]["ratio"] == 0
    assert clean["groups"]["lossy"]["connections"] == 0
    assert clean["ratio"] == 0
    assert 0.045 <= lossy["groups"]["lossy"]["ratio"] <= 0.06
    assert lossy["groups"]["lossy"]["ssthresh_unset"] == 0
    # the host-wide ratio divides by segments without those sent again
    assert 0.045 <= lossy["ratio"] <= 0.07
    kinds, retransmitted = lossy["kinds"], lossy["trouble"]["segments_retransmitted"]
    assert kinds["fast"] >= 0.9 * retransmitted > 0
    assert kinds["sack_recovery"] > 0
    assert kinds["syn"] == 0
    assert sums(kinds, "timeout", "tail_loss_probe") <= 0.05 * retransmitted


def test_a_lost_syn_is_a_syn_retransmit_and_nothing_else(hosts):
    """The first SYN lost: one SYN sent again after one timeout; no data was."""
    near, far = hosts
    drop("tcp flags & (syn | ack) == syn numgen inc mod 2 == 0")
    connect(near, far, LOSSY, 5003)
    kinds = near.do("read", GROUPS)["kinds"]
    assert kinds["syn"] == 1
    assert kinds["timeout"] == 1
    assert sums(kinds, "fast", "slow_start", "tail_loss_probe", "sack_recovery") == 0


def test_a_lost_tail_is_found_by_a_probe(hosts):
    """The last of ten packets lost: a tail-loss probe, not a timeout and no fast retransmit of other packets."""
    near, far = hosts
    connect(near, far, LOSSY, 5004)
    transfer(near, far, 10 * 1448)
    near.do("read", GROUPS)
    drop(f"ip daddr {LOSSY} ip length > 1000 numgen inc mod 10 == 9")
    transfer(near, far, 10 * 1448)
    kinds = near.do("read", GROUPS)["kinds"]
    assert kinds["tail_loss_probe"] == 1
    assert sums(kinds, "timeout", "slow_start", "syn", "fast") == 0


def test_a_path_that_goes_dead_gives_timeouts(hosts):
    """Nothing arrives for a while: timeouts and slow-start retransmits, not fast ones."""
    near, far = hosts
    connect(near, far, LOSSY, 5005)
    transfer(near, far, 10 * 1448)
    near.do("read", GROUPS)
    drop(f"ip daddr {LOSSY}")
    far.start("receive", 10 * 1448)
    near.do("send", 10 * 1448)
    time.sleep(1.5)
    run("ip", "netns", "exec", FAR, "nft", "flush", "chain", "ip", "t", "drops")
    far.finish()
    time.sleep(0.1)
    kinds = near.do("read", GROUPS)["kinds"]
    assert kinds["timeout"] >= 1
    assert kinds["slow_start"] >= 1
    assert kinds["fast"] <= kinds["slow_start"]


def test_a_closed_receive_window_is_seen_on_both_sides(hosts):
    """A receiver that does not read: it advertises zero, the sender probes and says what it waits for."""
    near, far = hosts
    # small, so that what the sender has written at once is sure to fill it
    connect(near, far, LOSSY, 5006, receive_buffer=8192)
    written = near.do("write", 1 << 30)
    time.sleep(1)
    sender, receiver = near.do("read", GROUPS), far.do("read", {})
    assert receiver["trouble"]["to_zero_window"] >= 1
    assert receiver["trouble"]["from_zero_window"] == 0
    assert sender["trouble"]["window_probes_sent"] >= 1
    assert sender["trouble"]["to_zero_window"] == 0
    assert sender["groups"]["lossy"]["rwnd_limited"] > 0.8
    far.do("receive", written)
    time.sleep(0.2)
    assert far.do("read", {})["trouble"]["from_zero_window"] >= 1


def test_a_namespace_is_seen_as_its_own(hosts):
    """What one namespace does is not in the counters of another, and they do not pass for the same."""
    near, far = hosts
    far.do("listen", 5007)
    far.do("read", {})
    outside = Host(NEAR)
    try:
        first = outside.do("read", {})
    finally:
        outside.close()
    near.do("read", GROUPS)
    for _ in range(3):
        far.do("connect", LOSSY, 5007)
    there, here = far.do("read", {}), near.do("read", GROUPS)
    assert there["trouble"]["segments_sent"] >= 9
    assert here["trouble"]["segments_sent"] == 0
    assert here["namespace"] == first["namespace"] != there["namespace"]
