"""The text of `ip address` and `ip -d link`."""

from ipaddress import ip_interface

import pytest

from agent.kernel.ip_address import parse_ip_address
from agent.kernel.parse_error import ParseError
from tests.corpus import field_file, field_table
from tests.host_samples import recorded


@pytest.mark.corpus
@pytest.mark.parametrize(
    ("name", "peer", "address", "plugin"),
    [
        ("cni_calico-wg_pod_ip_a", "if17", "10.42.65.71/32", "calico-wg"),
        ("cni_cilium-wg_pod_ip_a", "if15", "10.0.2.63/32", "cilium-wg"),
        ("cni_flannel_pod_ip_a", "if9", "10.42.2.3/24", "flannel"),
        ("cni_kubeovn_pod_ip_a", "if16", "10.16.0.10/16", None),
    ],
)
def test_pods_of_the_field(name, peer, address, plugin):
    """A pod's eth0, its peer and address; its MTU is the one in the table of measured plugins."""
    loopback, eth0 = parse_ip_address(field_file(f"7-host/{name}.txt"))
    assert (loopback.name, loopback.mtu, loopback.peer) == ("lo", 65536, None)
    assert (eth0.name, eth0.peer, eth0.state, eth0.qdisc) == ("eth0", peer, "UP", "noqueue")
    assert eth0.addresses[0] == ip_interface(address)
    assert eth0.addresses[1].version == 6
    measured = {
        row["cni"]: row["iface_mtu"] for row in field_table("9-expected/cni_measured_mtu_2024_shared.tsv")
    }
    assert eth0.mtu == int(measured.get(plugin, "8900"))


@pytest.mark.corpus
def test_text_without_indentation():
    """Lines that lost their indentation in a ticket are still told apart."""
    (link,) = parse_ip_address(field_file("7-host/cni_vxlan_calico_ip_a_mtu1450.txt"))
    assert (link.index, link.name, link.mtu) == (8, "vxlan.calico", 1450)
    assert [str(address) for address in link.addresses] == [
        "100.72.225.192/32",
        "fe80::6493:cff:fe91:10db/64",
    ]


def test_kinds_of_virtual_devices():
    """`ip -d link` names each kind; the tunnel's own words are kept."""
    links = {link.name: link for link in parse_ip_address(recorded("ip_d_link_6.18.txt"))}
    assert {name: link.kind for name, link in links.items()} == {
        "lo": None,
        "veth0": "veth",
        "veth1": "veth",
        "vxlan0": "vxlan",
        "vxlan6": "vxlan",
        "br0": "bridge",
        "mv0": "macvlan",
    }
    assert links["vxlan0"].details[:6] == ("id", "7", "local", "10.0.0.1", "dev", "veth0")


@pytest.mark.parametrize(
    "text", [b"", b"inet 10.0.0.1/8\n", b"1: lo: <UP> mtu x\n", b"1: lo: <UP> mtu 5\n inet nonsense\n"]
)
def test_malformed(text):
    """No interface, or an address that is none, is an error."""
    with pytest.raises(ParseError):
        parse_ip_address(text)
