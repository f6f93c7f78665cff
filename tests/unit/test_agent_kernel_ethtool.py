"""The text of ethtool."""

import pytest

from agent.kernel.ethtool import (
    Driver,
    Feature,
    allowance_exceeded,
    parse_driver,
    parse_features,
    parse_settings,
    parse_statistics,
)
from agent.kernel.parse_error import ParseError
from tests.corpus import field_file
from tests.host_samples import recorded


@pytest.mark.corpus
@pytest.mark.parametrize(
    ("name", "count", "off", "fixed"),
    [
        ("ethtool_k_flannel1_vxlan_k3x", 39, "large-receive-offload", "tx-lockless"),
        ("ethtool_k_virtio_eth0_no_indent_k5x6x", 57, "tx-nocache-copy", "tx-gso-robust"),
        ("ethtool_k_vmware_eno16777736_annotated", 43, "rx-checksumming", "tx-vlan-offload"),
    ],
)
def test_features_of_the_field(name, count, off, fixed):
    """Every line of real outputs, without indentation, with tabs, with a remark behind a value."""
    features = parse_features(field_file(f"7-host/{name}.txt"))
    assert len(features) == count
    assert features["generic-receive-offload"] == Feature(enabled=True)
    assert not features[off].enabled
    assert features[fixed].fixed
    if "vmware" in name:
        assert features["tx-udp_tnl-segmentation"] == Feature(enabled=False, fixed=True)


def test_requested_state():
    """A feature that was asked for and could not be had says so."""
    features = parse_features(b"rx-gro: off [requested on]\ntx-lro: on [requested off]\nlro: off [fixed]\n")
    assert [features[name].requested for name in ("rx-gro", "tx-lro", "lro")] == [True, False, None]


@pytest.mark.corpus
def test_settings_of_the_field():
    """Speed in bit/s, duplex, negotiation and link; lists of modes stay together."""
    settings = parse_settings(field_file("7-host/ethtool--default1.txt"))
    assert (settings.speed_bits_per_second, settings.duplex) == (10**9, "full")
    assert (settings.autonegotiation, settings.link_detected) == (True, True)
    assert settings.properties["Supported link modes"].endswith("1000baseT/Full")


def test_unknown_speed_is_none():
    """A virtio interface says Unknown!, which is not 0."""
    settings = parse_settings(recorded("ethtool_virtio_6.18.txt"))
    assert (settings.speed_bits_per_second, settings.duplex, settings.link_detected) == (None, None, True)


def test_driver_and_statistics_of_a_virtio_guest():
    """Empty answers are None; counters keep the driver's names."""
    driver = parse_driver(recorded("ethtool_i_virtio_6.18.txt"))
    assert driver == Driver("virtio_net", "1.0.0", None, "0000:00:03.0")
    assert parse_statistics(recorded("ethtool_S_virtio_6.18.txt"))["rx_drops"] == 0


def test_allowances_of_ena():
    """The provider's five limits by their short names."""
    text = b"NIC statistics:\n     tx_timeout: 0\n     bw_in_allowance_exceeded: 7\n     pps_allowance_exceeded: 0\n"
    assert allowance_exceeded(parse_statistics(text)) == {"bw_in": 7, "pps": 0}


@pytest.mark.parametrize(
    ("parse", "text"),
    [
        (parse_features, b""),
        (parse_features, b"rx-checksumming: maybe\n"),
        (parse_driver, b"version: 1\n"),
        (parse_settings, b"eth0:\n"),
        (parse_statistics, b"NIC statistics:\n rx: many\n"),
        (parse_statistics, b"garbage\n"),
    ],
)
def test_malformed(parse, text):
    """Another tool's output is not taken for ethtool's."""
    with pytest.raises(ParseError):
        parse(text)
