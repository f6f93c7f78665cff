"""Byte layouts of the ethtool ioctl."""

import struct

import pytest

from agent.kernel import ethtool_ioctl as layout
from agent.kernel.ethtool import Driver, Feature
from agent.kernel.parse_error import ParseError

SIZES = [
    (layout.DRVINFO, 196),
    (layout.FEATURE_BLOCK, 16),
    (layout.CHANNELS, 36),
    (layout.TS_INFO, 44),
    (layout.LINK_SETTINGS, 48),
]


@pytest.mark.parametrize(("layout", "size"), SIZES)
def test_sizes_are_the_headers(layout, size):
    """Each layout has the size of the struct in linux/ethtool.h."""
    assert layout.size == size


def test_driver():
    """Names end at their first NUL; empty ones are None."""
    answer = struct.pack(
        "=I32s32s32s32s32s12s5I", 3, b"ena", b"2.8.0g", b"", b"0000:00:05.0", b"", b"", *range(5)
    )
    assert layout.decode_driver(answer) == Driver("ena", "2.8.0g", None, "0000:00:05.0")


def test_features():
    """Active, fixed and requested bits, also in the second block of 32."""
    names = ["rx-checksum", "tx-lockless", "rx-gro", *[""] * 30, "rx-lro"]
    first = struct.pack("=IIII", 0b101, 0b101, 0b011, 0b010)  # available, requested, active, never changed
    second = struct.pack("=IIII", 0b10, 0, 0b10, 0)
    features = layout.decode_features(struct.pack("=II", 0x3A, 2) + first + second, names)
    assert features == {
        "rx-checksum": Feature(enabled=True),
        "tx-lockless": Feature(enabled=True, fixed=True),
        "rx-gro": Feature(enabled=False, requested=True),
        "rx-lro": Feature(enabled=True, requested=False),
    }


def test_legacy_names():
    """`ethtool -k`'s groups: on when a member is, fixed when all are, absent without members."""
    groups = layout.legacy_features(
        {
            "tx-checksum-ipv4": Feature(False, True),
            "tx-checksum-ip-generic": Feature(True),
            "rx-lro": Feature(False, True),
        }
    )
    assert groups == {"tx-checksumming": Feature(True), "large-receive-offload": Feature(False, True)}


def test_link_settings():
    """25 Gbit/s full duplex; unknown speed and duplex are None."""

    def answer(speed, duplex):
        return struct.pack("=II7Bb4B7I", 0x4C, speed, duplex, 0, 0, 1, 0, 0, 0, -3, *[0] * 11)

    settings = layout.decode_link_settings(answer(25_000, 1))
    assert (settings.speed_bits_per_second, settings.duplex, settings.autonegotiation) == (
        25 * 10**9,
        "full",
        True,
    )
    assert layout.link_mode_words(answer(0, 0)) == 3
    unknown = layout.decode_link_settings(answer(0xFFFFFFFF, 0xFF))
    assert (unknown.speed_bits_per_second, unknown.duplex) == (None, None)


def test_channels_and_timestamping():
    """Queues in use and at most; stamps by name, no clock as None."""
    channels = layout.decode_channels(struct.pack("=9I", 0x3C, 0, 0, 1, 8, 0, 0, 1, 4))
    assert (channels.combined, channels.max_combined) == (4, 8)
    stamps = layout.decode_timestamping(struct.pack("=IIi8I", 0x41, 0b11010, -1, *[0] * 8))
    assert stamps == layout.Timestamping(frozenset({"tx_software", "rx_software", "software"}), None)


def test_set_without_strings():
    """A cleared mask means that the driver has no such set."""
    assert layout.decode_string_set_size(struct.pack("=IIQI", 0x37, 0, 0, 99)) == 0
    assert layout.decode_string_set_size(struct.pack("=IIQI", 0x37, 0, 2, 99)) == 99


def test_short_answer():
    """An answer cut short is an error, not zeros."""
    with pytest.raises(ParseError, match="196 bytes were expected"):
        layout.decode_driver(b"short")
