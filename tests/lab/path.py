"""What one direction between two nodes does to packets, said in the field's units."""

from ipaddress import ip_address
from typing import Literal

import msgspec

CORE_ADDRESSES = ("198.19.255.1", "2001:2:0:ffff::1")


def _ratio(name: str, value: float) -> None:
    if not 0 <= value <= 1:
        raise ValueError(f"{name} is {value}; it must be a ratio from 0 to 1")


class Hop(msgspec.Struct, frozen=True, kw_only=True):
    """A router on a path.

    addresses: what it answers from, IPv4 and IPv6 together; several of one family are load-balanced
    alternatives at the same distance, chosen by flow. A family without an address stays silent.
    share: the part of the path's delay between the router before and this one; None splits what is left evenly.
    loss: probability that a packet which reaches it goes no further. silent: never answers.
    icmp_per_second: at most so many answers, in bursts of up to one second's worth; None means no limit.
    """

    addresses: tuple[str, ...]
    share: float | None = None
    loss: float = 0.0
    silent: bool = False
    icmp_per_second: float | None = None

    def __post_init__(self) -> None:
        for address in self.addresses:
            ip_address(address)
        _ratio("hop loss", self.loss)
        _ratio("hop share", self.share or 0.0)
        if self.icmp_per_second is not None and self.icmp_per_second <= 0:
            raise ValueError("icmp_per_second must be above 0; a router that never answers is silent=True")


CORE = Hop(addresses=CORE_ADDRESSES)


class Path(msgspec.Struct, frozen=True, kw_only=True):
    """One direction from a node to another.

    delay_ms one way, plus jitter: "uniform" on [0, jitter_ms], or "exponential" with mean jitter_ms. Packets of
    one flow stay in order under jitter, as in a queue; different flows overtake each other.
    loss: probability, before the first router. drop_every: every n-th packet is lost, exactly.
    reorder: probability of being held back reorder_hold_ms more while later packets pass. duplicate: probability.
    rate_bits_per_second: a bottleneck before the first router with a tail-drop queue of queue_bytes.
    mtu_bytes: the last router's next link; packets above it are fragmented where IPv4 permits, else answered
    with frag-needed / packet-too-big, or with nothing where mtu_reported is False (a black hole).
    state: "silent" loses everything; "unreachable" makes the first router answer host unreachable.
    legs: equal-cost legs, chosen by flow (packet.flow_hash % legs); those in bad_legs lose bad_leg_loss.
    hops: the routers in order, at least one; each takes one from TTL / hop limit.
    """

    delay_ms: float = 0.0
    jitter_ms: float = 0.0
    jitter_shape: Literal["uniform", "exponential"] = "uniform"
    loss: float = 0.0
    drop_every: int | None = None
    reorder: float = 0.0
    reorder_hold_ms: float = 5.0
    duplicate: float = 0.0
    rate_bits_per_second: float | None = None
    queue_bytes: int = 262_144
    mtu_bytes: int | None = None
    mtu_reported: bool = True
    state: Literal["up", "silent", "unreachable"] = "up"
    legs: int = 1
    bad_legs: tuple[int, ...] = ()
    bad_leg_loss: float = 1.0
    hops: tuple[Hop, ...] = (CORE,)

    def __post_init__(self) -> None:
        for name in ("loss", "reorder", "duplicate", "bad_leg_loss"):
            _ratio(name, getattr(self, name))
        for name in ("delay_ms", "jitter_ms", "reorder_hold_ms", "queue_bytes"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} is {getattr(self, name)}; it cannot be negative")
        for name in ("drop_every", "rate_bits_per_second", "legs"):
            if getattr(self, name) is not None and getattr(self, name) <= 0:
                raise ValueError(f"{name} is {getattr(self, name)}; it must be above 0")
        if self.mtu_bytes is not None and self.mtu_bytes < 68:
            raise ValueError(f"mtu_bytes is {self.mtu_bytes}; IPv4 needs at least 68 (RFC 791)")
        if any(not 0 <= leg < self.legs for leg in self.bad_legs):
            raise ValueError(f"bad_legs {self.bad_legs} must be numbers from 0 to legs - 1 = {self.legs - 1}")
        if not self.hops:
            raise ValueError("hops is empty; a path has at least one router")
        segment_shares(self.hops)


def segment_shares(hops: tuple[Hop, ...]) -> tuple[float, ...]:
    """The delay's parts, source to first hop, …, last hop to destination: len(hops) + 1 of them, sum 1.

    Raises ValueError where the given shares leave less than nothing for the rest.
    """
    given = sum(hop.share for hop in hops if hop.share is not None)
    if given > 1 + 1e-9:
        raise ValueError(f"hop shares sum to {given}; they must leave the last segment at least 0")
    open_segments = sum(hop.share is None for hop in hops) + 1
    rest = max(0.0, 1 - given) / open_segments
    return (*(rest if hop.share is None else hop.share for hop in hops), rest)


def reversed_hops(hops: tuple[Hop, ...]) -> tuple[Hop, ...]:
    """The same routers met from the other end, at the same places."""
    shares = segment_shares(hops)
    return tuple(
        msgspec.structs.replace(hop, share=share)
        for hop, share in zip(reversed(hops), reversed(shares[1:]), strict=True)
    )
