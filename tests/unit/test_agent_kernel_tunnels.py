"""Which interfaces are tunnels and what they add to each packet, against published tables."""

import re

import pytest

from agent.kernel.tunnels import OVERHEADS, Tunnel, TunnelKind, overhead_bytes, tunnel_kind
from tests.corpus import field_table


@pytest.mark.corpus
def test_overheads_agree_with_calicos_mtu_table():
    """Network MTU minus our overhead is the MTU that Calico's documentation prescribes, for every row and column."""
    checked = 0
    for row in field_table("9-expected/calico_mtu_table.tsv"):
        network = int(row["network_mtu"].split()[0])
        hidden = (
            100 if "AKS" in row["network_mtu"] else 0
        )  # the path carries 100 less than the interface says
        for column in ("ipip_ipv4", "vxlan_ipv4", "vxlan_ipv6", "wireguard_ipv4", "wireguard_ipv6"):
            kind, family = column.split("_")
            loss = hidden if kind == "wireguard" else 0  # the table applies it where DF is set
            assert network - loss - overhead_bytes(TunnelKind(kind), family) == int(row[column]), (
                row,
                column,
            )
            checked += 1
    assert checked == 30


@pytest.mark.corpus
def test_overheads_agree_with_the_published_constants():
    """Each constant that names one of our kinds has our number of bytes."""
    ours = {
        "IP-in-IP (IPv4)": ("ipip", "ipv4"),
        "VXLAN over IPv4": ("vxlan", "ipv4"),
        "VXLAN over IPv6": ("vxlan", "ipv6"),
        "WireGuard over IPv4": ("wireguard", "ipv4"),
        "WireGuard over IPv6": ("wireguard", "ipv6"),
    }
    rows = {
        row["what"]: int(row["bytes"]) for row in field_table("9-expected/overlay_overhead_constants.tsv")
    }
    assert {what: overhead_bytes(TunnelKind(kind), family) for what, (kind, family) in ours.items()} == {
        what: rows[what] for what in ours
    }


@pytest.mark.corpus
def test_overheads_agree_with_measured_plugins():
    """On a 9000-byte network the measured loss of each plugin is a sum of our overheads."""
    kinds = {"wg": 60, "noencap": 0, "baremetal": 0, "kuberouter": 0}
    for row in field_table("9-expected/cni_measured_mtu_2024_shared.tsv"):
        expected = next((loss for word, loss in kinds.items() if re.search(word, row["cni"])), 50)
        if row["cni"] == "cilium-wg":  # its tunnel runs inside WireGuard, for which it reserves IPv6's 80
            expected = OVERHEADS[TunnelKind.VXLAN].ipv4 + OVERHEADS[TunnelKind.WIREGUARD].ipv6
        assert int(row["overhead_from_9000"]) == expected, row


@pytest.mark.parametrize(
    ("interface", "signs", "found"),
    [
        ("flannel.1", {"devtype": "vxlan"}, (TunnelKind.VXLAN, "DEVTYPE")),
        ("wg0", {"devtype": "wireguard", "arphrd": 65534}, (TunnelKind.WIREGUARD, "DEVTYPE")),
        ("tunl0", {"arphrd": 768}, (TunnelKind.IPIP, "device type")),
        ("six", {"arphrd": 776}, (TunnelKind.SIT, "device type")),
        ("anything", {"link_kind": "geneve"}, (TunnelKind.GENEVE, "rtnetlink")),
        ("flannel.1", {"arphrd": 1}, (TunnelKind.VXLAN, "name")),
        ("vxlan0", {"link_kind": "bridge"}, None),
        ("wgbr", {"devtype": "bridge"}, None),
        ("eth0", {"arphrd": 1}, None),
    ],
)
def test_kind_by_the_strongest_sign(interface, signs, found):
    """What the kernel names wins; a name decides only where the kernel is silent."""
    assert tunnel_kind(interface, **signs) == found


def test_unknown_underlay_family_leaves_the_overhead_unknown():
    """Without the outer family there is no number, not the smaller one."""
    assert Tunnel("wg0", TunnelKind.WIREGUARD, "name").overhead_bytes is None
    assert overhead_bytes(TunnelKind.SIT, "ipv6") is None
    assert overhead_bytes(TunnelKind.TUN, "ipv4") is None
    assert Tunnel("wg0", TunnelKind.WIREGUARD, "name", underlay_family="ipv6").overhead_bytes == 80
