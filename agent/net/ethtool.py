"""Asking a driver through the SIOCETHTOOL ioctl (net/ethtool/ioctl.c dev_ethtool). Needs no privilege to read."""

import fcntl
import socket
import struct
from array import array

from agent.kernel import ethtool_ioctl as layout
from agent.kernel.ethtool import Driver, Feature, LinkSettings

SIOCETHTOOL = 0x8946
IFREQ = struct.Struct("16sP16x")  # name, pointer to the command's buffer; padded to struct ifreq
MAX_STRINGS = 65536


class Ethtool:
    """One socket for all questions. Every method raises OSError when the driver has no answer (EOPNOTSUPP)."""

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._counter_names: dict[str, list[str]] = {}

    def close(self) -> None:
        self._socket.close()

    def driver(self, interface: str) -> Driver:
        return layout.decode_driver(self._ask(interface, layout.GDRVINFO, bytes(layout.DRVINFO.size - 4)))

    def features(self, interface: str) -> dict[str, Feature]:
        """By the kernel's names, and by the older names of `ethtool -k` for the groups."""
        names = self._strings(interface, layout.SS_FEATURES)
        blocks = (len(names) + 31) // 32
        request = struct.pack("=I", blocks) + bytes(blocks * layout.FEATURE_BLOCK.size)
        features = layout.decode_features(self._ask(interface, layout.GFEATURES, request), names)
        return features | layout.legacy_features(features)

    def channels(self, interface: str) -> layout.Channels:
        return layout.decode_channels(self._ask(interface, layout.GCHANNELS, bytes(layout.CHANNELS.size - 4)))

    def timestamping(self, interface: str) -> layout.Timestamping:
        return layout.decode_timestamping(
            self._ask(interface, layout.GET_TS_INFO, bytes(layout.TS_INFO.size - 4))
        )

    def link_settings(self, interface: str) -> LinkSettings:
        """Speed and duplex. The first call learns how long the masks are, the second gets the answer."""
        rest = bytearray(layout.LINK_SETTINGS.size - 4)
        words = layout.link_mode_words(self._ask(interface, layout.GLINKSETTINGS, bytes(rest)))
        at = layout.LINK_MODE_WORDS_OFFSET - 4
        rest[at : at + 1] = struct.pack("=b", words)
        return layout.decode_link_settings(
            self._ask(interface, layout.GLINKSETTINGS, bytes(rest) + bytes(12 * words))
        )

    def statistics(self, interface: str) -> dict[str, int]:
        """The driver's own counters. Their names are asked for once per interface, and again when their number changed."""
        names = self._counter_names.get(interface)
        if names is None or len(names) != self._string_count(interface, layout.SS_STATS):
            names = self._counter_names[interface] = self._strings(interface, layout.SS_STATS)
        if not names:
            return {}
        request = struct.pack("=I", len(names)) + bytes(8 * len(names))
        return layout.decode_statistics(self._ask(interface, layout.GSTATS, request), names)

    def _string_count(self, interface: str, string_set: int) -> int:
        request = struct.pack("=IQI", 0, 1 << string_set, 0)
        count = layout.decode_string_set_size(self._ask(interface, layout.GSSET_INFO, request))
        return min(count, MAX_STRINGS)

    def _strings(self, interface: str, string_set: int) -> list[str]:
        count = self._string_count(interface, string_set)
        request = struct.pack("=II", string_set, count) + bytes(count * layout.STRING_BYTES)
        return layout.decode_strings(self._ask(interface, layout.GSTRINGS, request))

    def _ask(self, interface: str, command: int, rest: bytes) -> bytes:
        buffer = array("B", struct.pack("=I", command) + rest)
        request = IFREQ.pack(interface.encode(), buffer.buffer_info()[0])
        fcntl.ioctl(self._socket, SIOCETHTOOL, request)
        return buffer.tobytes()
