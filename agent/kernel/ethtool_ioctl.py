"""Byte layouts of the SIOCETHTOOL ioctl (include/uapi/linux/ethtool.h): requests out, answers in. No ioctl here.

Each call passes a buffer that begins with the command; the kernel answers in place. Names of features and
counters come as tables of 32-byte strings. Decoders raise ParseError for a short answer.
"""

import struct
from dataclasses import dataclass

from agent.kernel.ethtool import Driver, Feature, LinkSettings
from agent.kernel.parse_error import ParseError

SOURCE = "ethtool ioctl"

GDRVINFO, GSTRINGS, GSTATS, GFEATURES = 0x03, 0x1B, 0x1D, 0x3A
GSSET_INFO, GCHANNELS, GET_TS_INFO, GLINKSETTINGS, GLINK = 0x37, 0x3C, 0x41, 0x4C, 0x0A
SS_STATS, SS_FEATURES = 1, 4
STRING_BYTES = 32

DRVINFO = struct.Struct("=I32s32s32s32s32s12s5I")  # cmd driver version fw_version bus_info erom_version …
SSET_INFO = struct.Struct("=IIQI")  # cmd, reserved, mask of sets, then one length per set asked for
STRINGS_HEAD = struct.Struct("=III")  # cmd, set, count
STATS_HEAD = struct.Struct("=II")  # cmd, count; then u64 each
FEATURES_HEAD = struct.Struct("=II")  # cmd, blocks of 32 features
FEATURE_BLOCK = struct.Struct("=IIII")  # available, requested, active, never_changed
CHANNELS = struct.Struct("=9I")  # cmd, max rx/tx/other/combined, then the same now
TS_INFO = struct.Struct("=IIiI3II3I")  # cmd, capabilities, PTP clock index, tx types, …, rx filters, …
LINK_SETTINGS = struct.Struct("=II7Bb4B7I")  # cmd speed duplex port phy autoneg … words per link-mode mask …
LINK_MODE_WORDS_OFFSET = 15
SPEED_UNKNOWN = (0, 0xFFFF, 0xFFFFFFFF)
DUPLEX = {0: "half", 1: "full"}
# include/uapi/linux/net_tstamp.h SOF_TIMESTAMPING_*: bit → name
TIMESTAMPING_BITS = {
    0: "tx_hardware",
    1: "tx_software",
    2: "rx_hardware",
    3: "rx_software",
    4: "software",
    6: "raw_hardware",
}


@dataclass(frozen=True, slots=True)
class Channels:
    """Queues in use and the most the device has. combined: serving both directions."""

    rx: int
    tx: int
    combined: int
    max_rx: int
    max_tx: int
    max_combined: int


@dataclass(frozen=True, slots=True)
class Timestamping:
    """What the device can stamp; ptp_clock is the index of its hardware clock, None without one."""

    capabilities: frozenset[str]
    ptp_clock: int | None


def decode_driver(answer: bytes) -> Driver:
    """struct ethtool_drvinfo."""
    _need(answer, DRVINFO.size, "drvinfo")
    _, driver, version, firmware, bus, *_ = DRVINFO.unpack_from(answer)
    return Driver(*(_string(part) or None for part in (driver, version, firmware, bus)))


def decode_string_set_size(answer: bytes) -> int:
    """struct ethtool_sset_info for one set: its number of strings; 0 when the driver has none."""
    _need(answer, SSET_INFO.size, "sset_info")
    _, _, mask, count = SSET_INFO.unpack_from(answer)
    return int(count) if mask else 0


def decode_strings(answer: bytes) -> list[str]:
    """struct ethtool_gstrings."""
    _need(answer, STRINGS_HEAD.size, "gstrings")
    _, _, count = STRINGS_HEAD.unpack_from(answer)
    _need(answer, STRINGS_HEAD.size + count * STRING_BYTES, "gstrings")
    starts = range(STRINGS_HEAD.size, STRINGS_HEAD.size + count * STRING_BYTES, STRING_BYTES)
    return [_string(answer[at : at + STRING_BYTES]) for at in starts]


def decode_statistics(answer: bytes, names: list[str]) -> dict[str, int]:
    """struct ethtool_stats. Raises ParseError when the driver's number of counters changed since the names were read."""
    _need(answer, STATS_HEAD.size, "stats")
    _, count = STATS_HEAD.unpack_from(answer)
    if count != len(names):
        raise ParseError(SOURCE, "stats", f"{count} counters for {len(names)} names")
    _need(answer, STATS_HEAD.size + 8 * count, "stats")
    return dict(zip(names, struct.unpack_from(f"={count}Q", answer, STATS_HEAD.size), strict=True))


def decode_features(answer: bytes, names: list[str]) -> dict[str, Feature]:
    """struct ethtool_gfeatures: by the kernel's name of each feature that the device knows at all."""
    _need(answer, FEATURES_HEAD.size, "gfeatures")
    _, blocks = FEATURES_HEAD.unpack_from(answer)
    if blocks * 32 < len(names):
        raise ParseError(SOURCE, "gfeatures", f"{blocks} blocks for {len(names)} names")
    _need(answer, FEATURES_HEAD.size + blocks * FEATURE_BLOCK.size, "gfeatures")
    features: dict[str, Feature] = {}
    for bit, name in enumerate(names):
        block, mask = divmod(bit, 32)
        available, requested, active, never = FEATURE_BLOCK.unpack_from(
            answer, FEATURES_HEAD.size + 16 * block
        )
        flag = 1 << mask
        if name:
            enabled, fixed = bool(active & flag), bool(never & flag) or not available & flag
            wanted = bool(requested & flag)
            features[name] = Feature(enabled, fixed, wanted if wanted != enabled and not fixed else None)
    return features


def decode_channels(answer: bytes) -> Channels:
    """struct ethtool_channels."""
    _need(answer, CHANNELS.size, "channels")
    _, max_rx, max_tx, _, max_combined, rx, tx, _, combined = CHANNELS.unpack_from(answer)
    return Channels(rx, tx, combined, max_rx, max_tx, max_combined)


def decode_timestamping(answer: bytes) -> Timestamping:
    """struct ethtool_ts_info."""
    _need(answer, TS_INFO.size, "ts_info")
    _, bits, clock, *_ = TS_INFO.unpack_from(answer)
    names = frozenset(name for bit, name in TIMESTAMPING_BITS.items() if bits & 1 << bit)
    return Timestamping(names, clock if clock >= 0 else None)


def decode_link_settings(answer: bytes) -> LinkSettings:
    """struct ethtool_link_settings, fixed part."""
    _need(answer, LINK_SETTINGS.size, "link_settings")
    _, speed_mbps, duplex, _, _, autonegotiation, *_ = LINK_SETTINGS.unpack_from(answer)
    return LinkSettings(
        speed_bits_per_second=None if speed_mbps in SPEED_UNKNOWN else speed_mbps * 10**6,
        duplex=DUPLEX.get(duplex),
        autonegotiation=bool(autonegotiation),
    )


def link_mode_words(answer: bytes) -> int:
    """How many 32-bit words per link-mode mask the kernel wants: it answers the first call with their negative."""
    _need(answer, LINK_SETTINGS.size, "link_settings")
    return abs(int(LINK_SETTINGS.unpack_from(answer)[9]))


# `ethtool -k` prints the kernel's features under these older names (ethtool.c off_flag_def): group → members.
LEGACY_FEATURES: dict[str, tuple[str, ...]] = {
    "rx-checksumming": ("rx-checksum",),
    "tx-checksumming": (
        "tx-checksum-ipv4",
        "tx-checksum-ip-generic",
        "tx-checksum-ipv6",
        "tx-checksum-fcoe-crc",
        "tx-checksum-sctp",
    ),
    "scatter-gather": ("tx-scatter-gather", "tx-scatter-gather-fraglist"),
    "tcp-segmentation-offload": (
        "tx-tcp-segmentation",
        "tx-tcp-ecn-segmentation",
        "tx-tcp-mangleid-segmentation",
        "tx-tcp6-segmentation",
    ),
    "generic-segmentation-offload": ("tx-generic-segmentation",),
    "generic-receive-offload": ("rx-gro",),
    "large-receive-offload": ("rx-lro",),
}


def legacy_features(features: dict[str, Feature]) -> dict[str, Feature]:
    """Features under the names people know: a group is on when any member is, fixed when all are."""
    groups: dict[str, Feature] = {}
    for group, members in LEGACY_FEATURES.items():
        present = [features[member] for member in members if member in features]
        if present:
            requested = next((f.requested for f in present if f.requested is not None), None)
            groups[group] = Feature(any(f.enabled for f in present), all(f.fixed for f in present), requested)
    return groups


def _string(raw: bytes) -> str:
    return raw.partition(b"\0")[0].decode(errors="replace")


def _need(answer: bytes, size: int, where: str) -> None:
    if len(answer) < size:
        raise ParseError(SOURCE, where, f"{size} bytes were expected, got {len(answer)}")
