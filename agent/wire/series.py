"""Who measured what to whom, and how one scheduled probe can end."""

from enum import StrEnum
from typing import Annotated

import msgspec

Name = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9._:\[\]-]{0,126}$")]
"""A node, probe or measure name as it appears in metrics, URLs and file names."""


class Family(StrEnum):
    """Address family of the packets."""

    IPV4 = "ipv4"
    IPV6 = "ipv6"


class TimeSource(StrEnum):
    """Which clock a time came from. Part of the series, so that unlike times never share a histogram."""

    TCP_INFO = "tcp_info"  # the kernel's own handshake RTT, 1 µs resolution
    KERNEL = "kernel"  # SO_TIMESTAMPING software stamps on both ends of the measurement
    USER = "user"  # user-space clock around a system call
    NONE = "none"  # the probe measures no time (mtu, nat)


PROBE_CLOCKS = {
    "tcp": TimeSource.TCP_INFO,
    "syn": TimeSource.KERNEL,
    "udp": TimeSource.KERNEL,
    "icmp": TimeSource.KERNEL,
    "tls": TimeSource.USER,
    "mtu": TimeSource.NONE,
    "nat": TimeSource.NONE,
    "trace": TimeSource.NONE,
    "iperf3": TimeSource.NONE,
    "qperf": TimeSource.NONE,
}
"""Every kind of probe that an agent of this version can be asked for, and the clock of its times."""

PASSIVE_KINDS = frozenset({"sockets", "kernel"})
"""Series of what the kernel counted without any probe: with a peer (sockets), and the node itself (kernel)."""

UNTIMED_PROBES = PASSIVE_KINDS | {kind for kind, clock in PROBE_CLOCKS.items() if clock is TimeSource.NONE}
"""Kinds that bring no round-trip time: nobody expects a latency verdict of them."""


class Outcome(StrEnum):
    """How one scheduled probe ended. Exactly one each."""

    OK = "ok"
    REFUSED = "refused"  # answered by RST: the host is there, the port is closed
    TIMEOUT = "timeout"
    UNREACHABLE = "unreachable"  # an ICMP error or a missing route
    SYN_RETRANSMITTED = "syn_retransmitted"  # answered, but only after the first SYN or SYN-ACK was lost
    INVALID = "invalid"  # answered, but without a time that can be trusted
    UNRESOLVED = "unresolved"  # the name had no address
    SKIPPED = "skipped"  # not sent: overdue by a whole interval, or over the rate cap
    UNAVAILABLE = "unavailable"  # this host cannot run this probe (capability, binary, kernel option)
    FAILED = "failed"  # this host failed to run it (out of descriptors, a bug)


ANSWERED = frozenset({Outcome.OK, Outcome.REFUSED, Outcome.INVALID})
"""The peer answered the first packet."""

LOST = frozenset({Outcome.TIMEOUT, Outcome.UNREACHABLE, Outcome.SYN_RETRANSMITTED})
"""The path lost a packet. Loss ratio = LOST / (ANSWERED + LOST); every other outcome says nothing of the path."""


class SeriesKey(msgspec.Struct, frozen=True, order=True):
    """One series: path (source → destination) × probe × address family × time source."""

    source: Name
    destination: Name
    probe: Name
    family: Family
    time_source: TimeSource
