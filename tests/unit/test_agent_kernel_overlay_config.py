"""Configured overlays from files on the node, with the inner MTU and the underlay's kept apart."""

import pytest

from agent.kernel.overlay_config import (
    parse_cni,
    parse_flannel_net_conf,
    parse_flannel_subnet_env,
    parse_wg_quick,
)
from agent.kernel.parse_error import ParseError
from agent.kernel.tunnels import TunnelKind
from tests.corpus import field_file


def test_flannel_mtu_is_the_underlays():
    """flannel subtracts its overhead from Backend.MTU itself, so that is the outer MTU; keys are read in any case."""
    (config,) = parse_flannel_net_conf(
        b'{"Network": "10.42.0.0/16", "backend": {"TYPE": "VXLAN", "mtu": 1500}}'
    )
    assert (config.kind, config.mtu, config.underlay_mtu) == (TunnelKind.VXLAN, None, 1500)
    assert config.networks == ("10.42.0.0/16",)


@pytest.mark.parametrize(
    ("backend", "kind"),
    [("host-gw", TunnelKind.NONE), ("wireguard", TunnelKind.WIREGUARD), ("made-up", None)],
)
def test_flannel_backends(backend, kind):
    """host-gw encapsulates nothing; a backend that we do not know has an unknown kind, not a guessed one."""
    (config,) = parse_flannel_net_conf(b'{"Backend": {"Type": "%s"}}' % backend.encode())
    assert config.kind is kind


def test_flannel_with_direct_routing_encapsulates_between_subnets_only():
    """DirectRouting leaves packets alone within a subnet."""
    (config,) = parse_flannel_net_conf(b'{"Backend": {"Type": "vxlan", "DirectRouting": true}}')
    assert config.when == "cross-subnet"


@pytest.mark.corpus
def test_flannel_files_from_the_field():
    """flannel's published net-conf.json and a dual-stack subnet.env say what they say."""
    (config,) = parse_flannel_net_conf(field_file("7-host/cni_flannel_net-conf_vxlan.json"))
    assert (config.owner, config.kind, config.underlay_mtu) == ("flannel", TunnelKind.VXLAN, None)
    assert config.networks == ("10.244.0.0/16",)
    (env,) = parse_flannel_subnet_env(field_file("7-host/cni_flannel_subnet_dualstack.env"))
    assert env.mtu == 1450
    assert env.networks == ("10.42.0.0/16", "2001:cafe:42::/56")


@pytest.mark.corpus
def test_wg_quick_from_the_field():
    """The manual's example: no MTU is set, the peer is a name, so MTU and family are unknown; no key is kept."""
    (config,) = parse_wg_quick(field_file("7-host/cni_wg-quick_client_default_route.conf"), "wg0")
    assert (config.kind, config.mtu, config.underlay_family) == (TunnelKind.WIREGUARD, None, None)
    assert "Key" not in repr(config)
    assert "oK56DE9Ue9zK" not in repr(config)


@pytest.mark.parametrize(
    ("endpoints", "family"),
    [
        (("203.0.113.9:51820",), "ipv4"),
        (("[2001:db8::1]:51820", "[2001:db8::2]:1"), "ipv6"),
        (("203.0.113.9:51820", "[2001:db8::1]:51820"), None),
        ((), None),
    ],
)
def test_wireguard_family_is_that_of_literal_endpoints(endpoints, family):
    """One family among literal addresses is the underlay's; mixed or none leaves it unknown."""
    peers = "".join(f"[Peer]\nEndpoint = {endpoint}\n" for endpoint in endpoints)
    (config,) = parse_wg_quick(f"[Interface]\nMTU = 1420 # of the tunnel\n{peers}".encode(), "wg0")
    assert (config.mtu, config.underlay_family) == (1420, family)


def test_a_wireguard_error_does_not_repeat_the_line():
    """A malformed line may hold a private key, so the error names its place only."""
    with pytest.raises(ParseError, match="line 2") as caught:
        parse_wg_quick(b"[Interface]\nSECRET\n", "wg0")
    assert "SECRET" not in str(caught.value)


def test_cni_list_gives_the_plugin_that_sets_the_mtu():
    """Only plugins that make interfaces and set their MTU count; chained ones and those without do not."""
    text = (
        b'{"plugins": [{"type": "calico", "mtu": 1430}, {"type": "portmap", "mtu": 9}, {"type": "flannel"}]}'
    )
    assert [(config.owner, config.mtu) for config in parse_cni(text)] == [("calico", 1430)]
    assert parse_cni(b'{"type": "flannel", "delegate": {"mtu": 1400}}')[0].mtu == 1400


@pytest.mark.parametrize("mtu", ["70000", "-1", "true", '"9 000"', "[1]", "1" * 5000])
def test_impossible_mtu_is_refused(mtu):
    """What cannot be an MTU is a parse error, not a number."""
    with pytest.raises(ParseError):
        parse_flannel_net_conf(f'{{"Backend": {{"Type": "vxlan", "MTU": {mtu}}}}}'.encode())


def test_oversized_configuration_is_refused():
    """A file larger than people write is not read at all."""
    with pytest.raises(ParseError, match="at most"):
        parse_flannel_net_conf(b" " * (1 << 19))
