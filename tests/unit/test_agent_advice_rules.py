"""Every rule: it fires, it does not fire, it says that there is not enough data."""

import pytest

from agent.advice.evidence import NotKnown
from agent.advice.rules import RULES
from hosts import ABSENT, GIB, HOLE, MS, VXLAN, bare, host, long_path, path

BY_ID = {rule.id: rule for rule in RULES}
S = "sysctl.net.ipv4."


FIRES = {
    "tcp-sack": host({f"{S}tcp_sack": 0}),
    "tcp-window-scaling": host({f"{S}tcp_window_scaling": 0}, paths=[long_path()]),
    "tcp-buffers": host(paths=[long_path(rwnd_limited_seconds=240.0)]),
    "tcp-mem": host(counters={"tcp_memory_pressures": 12}),
    "swappiness": host({"swap.total_bytes": GIB}, counters={"pages_swapped_in": 90_000}),
    "slow-start-after-idle": host(paths=[long_path()]),
    "congestion-control": host(paths=[long_path(segments_retransmitted=1_000)]),
    "mtu-probing": host(paths=[path(**HOLE)]),
    "retransmits": host(counters={"tcp_segments_retransmitted": 40_000, "tcp_retransmits_timeout": 30_000}),
    "listen-queue": host(counters={"tcp_listen_overflows": 400, "tcp_listen_drops": 400}),
    "zero-window": host(counters={"tcp_to_zero_window": 900}),
    "softnet": host(counters={"softnet_dropped": 5_000}),
    "offloads": host({"interface.eth0.offload.tx-checksumming": {"enabled": False, "fixed": False}}),
    "virt-acceleration": host({"virtualisation.kind": "qemu-tcg", "virtualisation.accelerated": False}),
    "nic-driver": host({"interface.eth0.driver": "e1000"}),
    "path-mtu": host(paths=[path(path_mtu_bytes=1450, icmp_seen=True)]),
    "pmtu-black-hole": host(paths=[path(**HOLE)]),
    "overlay-mtu": host(VXLAN | {"overlay.flannel.1.mtu": 1500}),
    "overlay-kind": host(VXLAN),
    "route-change": host(paths=[path(route_changes=2)]),
    "p99-over-floor": host(paths=[path(p99_ns=90 * MS)]),
    "qos": host(paths=[path(loaded_p50_ns=400 * MS)]),
    "tls-key": host(
        paths=[path(tls_protocol="TLSv1.2", peer_certificate_key="RSA", tls_handshake_p50_ns=45 * MS)]
    ),
    "udp-keepalive": host(paths=[path(nat=True, mapping_lifetime_seconds=30.0)]),
    "ipv6": host(paths=[path(), path(family="ipv6", p50_ns=45 * MS)]),
    "reject-drop": host(paths=[path(closed_port="silence")]),
}
FINE = dict.fromkeys(FIRES, host(VXLAN, paths=[
    path(loaded_p50_ns=25 * MS, tls_protocol="TLSv1.3", peer_certificate_key="EC", nat=False, closed_port="rst"),
    path(family="ipv6", p50_ns=21 * MS),
])) | {"overlay-kind": host()}  # fmt: skip
UNKNOWN = dict.fromkeys(FIRES, bare()) | {
    "swappiness": bare({"sysctl.vm.swappiness": 60}),
    "congestion-control": host(paths=[long_path(segments_sent=100, answered=20, lost=1)]),
    "retransmits": host(counters={"tcp_segments_sent": 90, "tcp_segments_retransmitted": 40}, paths=[]),
    "p99-over-floor": host(paths=[path(p99_ns=90 * MS, samples=100)]),
    "tcp-mem": host(counters={"tcp_memory_pressures": ABSENT}),
    "udp-keepalive": host(paths=[path(nat=True)]),
    "overlay-mtu": bare(
        {"overlay.wg0.kind": "wireguard", "overlay.wg0.mtu": 1420, "interfaces.names": ["wg0"]}
    ),
}


def test_every_rule_has_its_three_cases():
    """A rule without its cases is a rule that nobody has seen work."""
    assert set(FIRES) == set(FINE) == set(UNKNOWN) == set(BY_ID)


@pytest.mark.parametrize("rule", sorted(FIRES))
def test_fires(rule):
    """Each rule sees its fault, and says what it saw: a finding without evidence is an opinion."""
    found = BY_ID[rule].check(FIRES[rule])
    assert found is not None
    assert found.evidence


@pytest.mark.parametrize("rule", sorted(FINE))
def test_is_silent(rule):
    """On a host where this is in order the rule says nothing."""
    assert BY_ID[rule].check(FINE[rule]) is None


@pytest.mark.parametrize("rule", sorted(UNKNOWN))
def test_does_not_guess(rule):
    """What is not known is neither fine nor broken."""
    with pytest.raises(NotKnown):
        BY_ID[rule].check(UNKNOWN[rule])
