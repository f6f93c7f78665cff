"""Packets' headers into a pcap file: an AF_PACKET socket with bounds on time, bytes and rate (packet(7)).

The socket is of type SOCK_DGRAM, so a packet begins with its IP header (LINKTYPE_RAW) on every kind of interface.
"""

import socket
import struct
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from agent.net.endpoint import attach_filter
from agent.net.filter import tcp_of_hosts_filter
from agent.net.rtnetlink import link_into_namespace_of

_ETH_P_ALL = 0x0003
_SOL_PACKET, _PACKET_STATISTICS, _PACKET_AUXDATA = 263, 6, 8  # include/uapi/linux/if_packet.h
_SO_TIMESTAMPNS = 35
_AUXDATA = struct.Struct("=IIIHHHH")
_TIMESPEC = struct.Struct("@qq")
_RECEIVE_BUFFER_BYTES = 2 << 20
_PCAP_HEADER = struct.pack("=IHHiIII", 0xA1B23C4D, 2, 4, 0, 0, 65535, 101)  # nanoseconds; LINKTYPE_RAW
_RECORD = struct.Struct("=IIII")


@dataclass(frozen=True, slots=True)
class CaptureLimits:
    """What one capture may cost. header_bytes: kept of each packet, from the IP header on."""

    seconds: float
    file_bytes: int
    packets_per_second: int
    header_bytes: int = 128


@dataclass(frozen=True, slots=True)
class CaptureFile:
    """What came of it. ended: "time", "bytes" or "stopped". missed_packets: dropped by the kernel for want of room.

    over_rate_packets: seen and not kept, because the second had its share.
    """

    path: Path
    packets: int
    file_bytes: int
    missed_packets: int
    over_rate_packets: int
    ended: str


def interface_of(name: str) -> str:
    """The interface to listen on: a name, or `pid:N` for this host's end of the veth pair of process N's namespace.

    Raises OSError where there is none, or no such process; ParseError for an answer that is no netlink.
    """
    if name.startswith("pid:") and name[4:].isdecimal():
        return link_into_namespace_of(int(name[4:]))
    socket.if_nametoindex(name)
    return name


def capture(
    interface: str, hosts: Sequence[str], limits: CaptureLimits, path: Path, stop: threading.Event
) -> CaptureFile:
    """TCP packets of these hosts (of all where there are none) into the file; blocks for at most limits.seconds.

    Raises OSError: no CAP_NET_RAW, no such interface, a full disk; then there is no file.
    """
    aside = path.with_suffix(".part")
    with socket.socket(
        socket.AF_PACKET, socket.SOCK_DGRAM, 0
    ) as sock:  # 0: nothing arrives before the filter is on
        attach_filter(sock, tcp_of_hosts_filter(hosts, limits.header_bytes))
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BUFFER_BYTES)
        sock.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
        sock.setsockopt(_SOL_PACKET, _PACKET_AUXDATA, 1)
        sock.settimeout(0.2)
        sock.bind((interface_of(interface), _ETH_P_ALL))
        try:
            with aside.open("wb") as file:
                writer = _Writer(file, limits)
                ended = _copy(sock, writer, limits, stop)
            aside.replace(path)
        except OSError:
            aside.unlink(missing_ok=True)
            raise
        _, missed = struct.unpack("=II", sock.getsockopt(_SOL_PACKET, _PACKET_STATISTICS, 8))
    return CaptureFile(path, writer.packets, writer.size, missed, writer.over_rate, ended)


def _copy(sock: socket.socket, writer: "_Writer", limits: CaptureLimits, stop: threading.Event) -> str:
    room = socket.CMSG_SPACE(_AUXDATA.size) + socket.CMSG_SPACE(_TIMESPEC.size)
    deadline = time.monotonic() + limits.seconds
    while time.monotonic() < deadline:
        if stop.is_set():
            return "stopped"
        try:
            data, control, _, _ = sock.recvmsg(limits.header_bytes, room)
        except TimeoutError:
            continue
        wire_length, stamp = len(data), (0, 0)
        for level, kind, value in control:
            if (level, kind) == (_SOL_PACKET, _PACKET_AUXDATA):
                wire_length = _AUXDATA.unpack_from(value)[1]
            elif (level, kind) == (socket.SOL_SOCKET, _SO_TIMESTAMPNS):
                stamp = _TIMESPEC.unpack(value)
        if not writer.write(data, wire_length, *stamp):
            return "bytes"
    return "time"


class _Writer:
    """Records of a pcap file within the bounds."""

    def __init__(self, file: BinaryIO, limits: CaptureLimits) -> None:
        self._file = file
        self._limits = limits
        self._second, self._in_second = 0, 0
        self.packets = self.over_rate = 0
        self.size = len(_PCAP_HEADER)
        file.write(_PCAP_HEADER)

    def write(self, data: bytes, wire_length: int, seconds: int, nanoseconds: int) -> bool:
        """False when the file is full."""
        if seconds != self._second:
            self._second, self._in_second = seconds, 0
        self._in_second += 1
        if self._in_second > self._limits.packets_per_second:
            self.over_rate += 1
            return True
        if self.size + _RECORD.size + len(data) > self._limits.file_bytes:
            return False
        self._file.write(_RECORD.pack(seconds & 0xFFFFFFFF, nanoseconds, len(data), wire_length) + data)
        self.packets += 1
        self.size += _RECORD.size + len(data)
        return True
