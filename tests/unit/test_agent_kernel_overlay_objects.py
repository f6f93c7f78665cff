"""Configured overlays from Kubernetes objects."""

import pytest

from agent.kernel.overlay_objects import parse_kubernetes_yaml
from agent.kernel.parse_error import ParseError
from agent.kernel.tunnels import TunnelKind
from tests.corpus import field_file
from tests.host_samples import CILIUM


@pytest.mark.corpus
def test_calico_objects_from_the_field():
    """A live IPPool encapsulates always, an Installation between subnets, a FelixConfiguration turns WireGuard on for IPv4."""
    (pool,) = parse_kubernetes_yaml(field_file("7-host/cni_calico_ippool_vxlan_always_live.yaml"))
    assert (pool.kind, pool.when, pool.underlay_family) == (TunnelKind.VXLAN, "always", "ipv4")
    assert pool.networks == ("100.72.0.0/16",)
    (installed,) = parse_kubernetes_yaml(
        field_file("7-host/cni_calico_installation_vxlan_crosssubnet_operator.yaml")
    )
    assert (installed.kind, installed.when, installed.mtu) == (TunnelKind.VXLAN, "cross-subnet", None)
    (felix,) = parse_kubernetes_yaml(field_file("7-host/cni_calico_felixconfiguration_wireguard_v3.yaml"))
    assert (felix.kind, felix.underlay_family, felix.interface) == (
        TunnelKind.WIREGUARD,
        "ipv4",
        "wireguard.cali",
    )


@pytest.mark.corpus
def test_flannel_config_map_from_the_field():
    """The JSON inside kube-flannel's ConfigMap is read."""
    (config,) = parse_kubernetes_yaml(field_file("7-host/cni_flannel_kube-flannel-cfg_configmap.yaml"))
    assert (config.owner, config.kind, config.networks) == ("flannel", TunnelKind.VXLAN, ("10.244.0.0/16",))


def test_cilium_with_wireguard_is_two_overlays():
    """Cilium's tunnel and its encryption each take their bytes; mtu is the underlay's."""
    tunnel, wireguard = parse_kubernetes_yaml(CILIUM)
    assert (tunnel.kind, tunnel.underlay_mtu) == (TunnelKind.GENEVE, 1450)
    assert (wireguard.kind, wireguard.interface) == (TunnelKind.WIREGUARD, "cilium_wg0")


def test_cilium_native_routing_encapsulates_nothing():
    """routing-mode: native means no tunnel, whatever protocol is named beside it."""
    (config,) = parse_kubernetes_yaml(CILIUM.replace(b"tunnel\n", b"native\n").replace(b'"true"', b'"false"'))
    assert config.kind is TunnelKind.NONE


def test_calico_mtus_and_pools():
    """Calico's mtu is the pods'; CrossSubnet and IPv6 pools are told; 0 means that Calico detects it."""
    text = b"""
kind: Installation
spec:
  calicoNetwork:
    mtu: 1430
    ipPools:
    - {cidr: "2001:db8::/48", encapsulation: VXLAN}
    - {cidr: 10.0.0.0/8, encapsulation: None}
---
kind: IPPool
spec: {cidr: 10.1.0.0/16, ipipMode: CrossSubnet, vxlanMode: Never}
---
kind: FelixConfiguration
spec: {vxlanMTU: 1410, wireguardEnabledV6: true, wireguardMTUV6: 0}
"""
    six, plain, ipip, wireguard, vxlan = parse_kubernetes_yaml(text)
    assert (six.kind, six.mtu, six.underlay_family) == (TunnelKind.VXLAN, 1430, "ipv6")
    assert plain.kind is TunnelKind.NONE
    assert (ipip.kind, ipip.when) == (TunnelKind.IPIP, "cross-subnet")
    assert (wireguard.underlay_family, wireguard.mtu) == ("ipv6", None)
    assert (vxlan.kind, vxlan.mtu) == (TunnelKind.VXLAN, 1410)


def test_other_objects_say_nothing():
    """Objects that configure no overlay are skipped, also empty documents."""
    assert parse_kubernetes_yaml(b"kind: Pod\nspec: {}\n---\n---\n- a list\n") == ()


ALIASES = b"a: &a [x,x,x,x,x,x,x,x,x]\n" + b"".join(
    b"%c: &%c [%s]\n" % (c, c, b",".join([b"*%c" % (c - 1)] * 9)) for c in b"bcdefgh"
)


@pytest.mark.parametrize(
    "text",
    [
        b"kind: IPPool\nspec: [1]\n",
        b"kind: IPPool\nspec: {cidr: 2024-13-45}\n",
        b"a: [1, 2\n",
        b"? [1]\n: 2\n",
        b"\x00",
        ALIASES + b"kind: IPPool\nspec: {cidr: *h}\n",
        ALIASES + b"kind: Installation\nspec: *h\n",
    ],
)
def test_malformed_objects_are_one_clear_error(text):
    """Wrong types, impossible dates, broken YAML and aliases that multiply end in a parse error, and at once."""
    with pytest.raises(ParseError):
        parse_kubernetes_yaml(text)
