"""Read a capture file (pcap, nanosecond or microsecond) into packets: the lab's own reader, apart from the agent's.

Format: draft-ietf-opsawg-pcap; link types 1 (Ethernet) and 101 (raw IP).
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any

from lab.packet import ICMP, ICMP6, TCP, UDP

_MAGIC_NANOSECONDS, _MAGIC_MICROSECONDS = 0xA1B23C4D, 0xA1B2C3D4
_ETHERNET, _RAW_IP = 1, 101
_FILE_HEADER = struct.Struct("=IHHiIII")
_RECORD_HEADER = struct.Struct("=IIII")
_PROTOCOLS = {ICMP: "icmp", TCP: "tcp", UDP: "udp", ICMP6: "icmp6"}
_FLAGS = "FSRPAUEC"  # from the lowest bit


@dataclass(frozen=True, slots=True)
class Packet:
    """One captured IP packet. A field its protocol has not, or that was cut off, is None.

    time_ns: the kernel's stamp, nanoseconds since the epoch. length_bytes: of the whole IP packet on the wire.
    protocol: "tcp", "udp", "icmp", "icmp6", or the number as text. flags: TCP's set ones, of "FSRPAUEC".
    icmp_id, icmp_seq: of echo messages. mtu_bytes: of frag-needed and packet-too-big. payload: as far as captured.
    """

    time_ns: int
    source: str
    destination: str
    protocol: str
    ttl: int
    length_bytes: int
    ip_id: int | None = None
    source_port: int | None = None
    destination_port: int | None = None
    flags: str | None = None
    seq: int | None = None
    ack: int | None = None
    icmp_type: int | None = None
    icmp_code: int | None = None
    icmp_id: int | None = None
    icmp_seq: int | None = None
    mtu_bytes: int | None = None
    payload: bytes = b""


def read_packets(data: bytes) -> list[Packet]:
    """The IP packets of a capture file; a last record cut short (still being written) is left out.

    Raises ValueError where it is no pcap file of a link type named above.
    """
    if len(data) < _FILE_HEADER.size:
        return []
    magic, *_, link_type = _FILE_HEADER.unpack_from(data)
    if magic not in (_MAGIC_NANOSECONDS, _MAGIC_MICROSECONDS) or link_type not in (_ETHERNET, _RAW_IP):
        raise ValueError(f"not a capture this reader knows: magic {magic:#x}, link type {link_type}")
    unit_ns = 1 if magic == _MAGIC_NANOSECONDS else 1000
    packets = []
    for seconds, fraction, frame in _records(data):
        datagram = _strip_ethernet(frame) if link_type == _ETHERNET else frame
        packet = _dissect(seconds * 1_000_000_000 + fraction * unit_ns, datagram)
        if packet is not None:
            packets.append(packet)
    return packets


def _records(data: bytes) -> Iterator[tuple[int, int, bytes]]:
    at = _FILE_HEADER.size
    while at + _RECORD_HEADER.size <= len(data):
        seconds, fraction, captured, _ = _RECORD_HEADER.unpack_from(data, at)
        at += _RECORD_HEADER.size
        if at + captured > len(data):
            return
        yield seconds, fraction, data[at : at + captured]
        at += captured


def _strip_ethernet(frame: bytes) -> bytes:
    return frame[14:] if frame[12:14] in (b"\x08\x00", b"\x86\xdd") else b""


def _dissect(time_ns: int, data: bytes) -> Packet | None:
    if len(data) >= 20 and data[0] >> 4 == 4:
        length_bytes, ip_id, fragment, ttl, protocol = struct.unpack_from("!2xHHHBB", data)
        source, destination = data[12:16], data[16:20]
        # A later fragment has no transport header; it is shown with its protocol and nothing more.
        rest = data[(data[0] & 0xF) * 4 : length_bytes] if not fragment & 0x1FFF else b""
    elif len(data) >= 40 and data[0] >> 4 == 6:
        payload_bytes, protocol, ttl = struct.unpack_from("!4xHBB", data)
        source, destination, ip_id = data[8:24], data[24:40], None
        length_bytes = 40 + payload_bytes
        rest = data[40:length_bytes]
    else:
        return None
    return Packet(
        time_ns=time_ns,
        source=str(ip_address(source)),
        destination=str(ip_address(destination)),
        protocol=_PROTOCOLS.get(protocol, str(protocol)),
        ttl=ttl,
        length_bytes=length_bytes,
        ip_id=ip_id,
        **_transport(protocol, rest),
    )


def _transport(protocol: int, data: bytes) -> dict[str, Any]:
    if protocol == TCP and len(data) >= 20:
        source, destination, seq, ack, offset, flags = struct.unpack_from("!HHIIBB", data)
        return {
            "source_port": source,
            "destination_port": destination,
            "seq": seq,
            "ack": ack,
            "flags": "".join(name for bit, name in enumerate(_FLAGS) if flags >> bit & 1),
            "payload": data[offset >> 4 << 2 :],
        }
    if protocol == UDP and len(data) >= 8:
        source, destination = struct.unpack_from("!HH", data)
        return {"source_port": source, "destination_port": destination, "payload": data[8:]}
    if protocol in (ICMP, ICMP6) and len(data) >= 8:
        return _icmp(protocol, data)
    return {}


def _icmp(protocol: int, data: bytes) -> dict[str, Any]:
    kind, code, first, second = struct.unpack_from("!BB2xHH", data)
    fields = {"icmp_type": kind, "icmp_code": code, "payload": data[8:]}
    if kind in ((8, 0) if protocol == ICMP else (128, 129)):
        fields |= {"icmp_id": first, "icmp_seq": second}
    elif protocol == ICMP and (kind, code) == (3, 4):
        fields["mtu_bytes"] = second
    elif protocol == ICMP6 and kind == 2:
        fields["mtu_bytes"] = first << 16 | second
    return fields
