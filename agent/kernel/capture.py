"""What a packet capture holds: counts by protocol, tunnels, and every TCP connection with its troubles.

One pass over a stream. The table of connections and everything kept per connection are bounded; what did not fit is
counted and shown. Times of a connection are seconds since the capture's first packet. Retransmissions and RTT are as
seen where the packets were captured: best at or near the sender, since what was lost before that place was never seen.
"""

from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass
from struct import Struct, error
from typing import Any, BinaryIO

from agent.kernel.flow_summary import FlowSummary, summarize
from agent.kernel.packet import IPV4, LINK_LAYERS, OTHER, PROTOCOLS, TCP, Layer, Transport, ipv4, ipv6, tunnel
from agent.kernel.parse_error import ParseError
from agent.kernel.pcap import NS, SOURCE, CaptureReader, Packet
from agent.kernel.tcp_flow import End, Flow
from agent.kernel.tcp_options import NO_OPTIONS, parse_options
from agent.kernel.tcp_sender import Segment

MAX_FLOWS = 2000

_TCP = Struct(">HHIIHH").unpack_from


@dataclass(frozen=True, slots=True)
class Capture:
    """The whole capture. captured_bytes are as stored, wire_bytes as they were on the link.

    duration_seconds: from the earliest to the latest packet, None where no packet has a time. truncated: where and why
    reading stopped before the file's proper end. undecoded: packets too short for what their headers claim, or of a
    link type that is not known. untimed: packets without a time, counted but in no flow. fragments: of IP datagrams,
    in no flow. flows_over_limit: TCP packets of connections that found the table full.
    """

    packets: int
    captured_bytes: int
    wire_bytes: int
    start_unix_ns: int | None
    duration_seconds: float | None
    truncated: str | None
    link_types: dict[str, int]
    protocols: dict[str, int]
    tunnels: dict[str, int]
    fragments: int
    undecoded: int
    untimed: int
    packets_over_flow_limit: int
    flows: list[FlowSummary]


class FlowTable:
    """Segments to connections. Each end of a connection has a key of its own, so that one look-up finds both."""

    def __init__(self, limit: int) -> None:
        self.flows: list[Flow] = []
        self.packets_over_limit = 0
        self._limit = limit
        self._ends: dict[bytes, tuple[Flow, int]] = {}

    def take(self, addresses: bytes, ports: bytes, segment: Segment) -> None:
        """addresses and ports: both of the packet, source first, as they stand in its headers."""
        key = addresses + ports
        found = self._ends.get(key)
        if found is None or (segment.flags & 2 and found[0].ended_before(segment, found[1])):
            if len(self.flows) >= self._limit:
                self.packets_over_limit += 1
                return
            found = self._add(addresses, ports, key, segment)
        found[0].take(found[1], segment)

    def _add(self, addresses: bytes, ports: bytes, key: bytes, segment: Segment) -> tuple[Flow, int]:
        half = len(addresses) // 2
        source = End(addresses[:half], int.from_bytes(ports[:2]))
        destination = End(addresses[half:], int.from_bytes(ports[2:]))
        answered = segment.flags & 0x12 == 0x12  # SYN-ACK: the source is the one that was called
        ends = (destination, source) if answered else (source, destination)
        flow = Flow(ends, segment.time_ns, segment.time_ns, initiator_known=bool(segment.flags & 2))
        self.flows.append(flow)
        reverse = addresses[half:] + addresses[:half] + ports[2:] + ports[:2]
        found = self._ends[key] = (flow, int(answered))
        self._ends[reverse] = (flow, 1 - int(answered))
        return found


class _Tally:
    """The counts of one pass."""

    def __init__(self, max_flows: int) -> None:
        self.packets = self.captured_bytes = self.wire_bytes = 0
        self.fragments = self.undecoded = self.untimed = 0
        self.first_ns: int | None = None
        self.last_ns: int | None = None
        self.link_types: Counter[int] = Counter()
        self.protocols: Counter[str] = Counter()
        self.tunnels: Counter[str] = Counter()
        self.table = FlowTable(max_flows)

    def take(self, packet: Packet) -> None:
        time_ns, link_type, data, wire_length = packet
        self.packets += 1
        self.captured_bytes += len(data)
        self.wire_bytes += wire_length
        self.link_types[link_type] += 1
        if time_ns is None:
            self.untimed += 1
        elif self.first_ns is None or self.last_ns is None:
            self.first_ns = self.last_ns = time_ns
        else:
            self.first_ns, self.last_ns = min(self.first_ns, time_ns), max(self.last_ns, time_ns)
        try:
            _, layer = LINK_LAYERS[link_type]
            self._network(time_ns, data, layer, wire_length)
        except (error, IndexError, KeyError):
            self.undecoded += 1

    def _network(
        self, time_ns: int | None, data: bytes, layer: Callable[[bytes], Layer], wire_length: int
    ) -> None:
        family, at = layer(data)
        if family == OTHER:
            self.protocols["not_ip"] += 1
            return
        transport = ipv4(data, at, wire_length) if family == IPV4 else ipv6(data, at, wire_length)
        protocol = transport.protocol
        self.protocols[PROTOCOLS.get(protocol) or f"ip_{protocol}"] += 1
        if transport.fragment:
            self.fragments += 1
        elif protocol != TCP:
            carrier = tunnel(data, transport)
            if carrier is not None:
                self.tunnels[carrier] += 1
        elif time_ns is not None:
            self._tcp(time_ns, data, transport)

    def _tcp(self, time_ns: int, data: bytes, transport: Transport) -> None:
        _, at, end, addresses, ip_id, _ = transport
        _, _, seq, ack, offset_flags, window = _TCP(data, at)
        header = (offset_flags >> 12) * 4
        payload = end - at - header
        if header < 20 or payload < 0:
            raise IndexError(header)
        options = parse_options(data[at + 20 : at + header]) if header > 20 else NO_OPTIONS
        segment = Segment(time_ns, seq, ack, offset_flags & 0x3F, window, payload, ip_id, options)
        self.table.take(addresses, data[at : at + 4], segment)


def analyse(stream: BinaryIO, max_flows: int = MAX_FLOWS) -> Capture:
    """Read the capture to its end. Raises ParseError where it is no capture, or holds no packet."""
    reader = CaptureReader(stream)
    tally = _Tally(max_flows)
    for packet in reader:
        tally.take(packet)
    if not tally.packets:
        raise ParseError(SOURCE, "byte 24", f"a capture without packets ({reader.truncated or 'complete'})")
    start, last = tally.first_ns, tally.last_ns
    return Capture(
        packets=tally.packets,
        captured_bytes=tally.captured_bytes,
        wire_bytes=tally.wire_bytes,
        start_unix_ns=start,
        duration_seconds=None if start is None or last is None else (last - start) / NS,
        truncated=reader.truncated,
        link_types={_link_name(number): count for number, count in tally.link_types.items()},
        protocols=dict(tally.protocols),
        tunnels=dict(tally.tunnels),
        fragments=tally.fragments,
        undecoded=tally.undecoded,
        untimed=tally.untimed,
        packets_over_flow_limit=tally.table.packets_over_limit,
        flows=[summarize(flow, start or 0) for flow in tally.table.flows],
    )


def inspect(stream: BinaryIO) -> dict[str, Any]:
    """analyse as plain values."""
    return asdict(analyse(stream))


def _link_name(number: int) -> str:
    return LINK_LAYERS[number][0] if number in LINK_LAYERS else f"linktype_{number}"
