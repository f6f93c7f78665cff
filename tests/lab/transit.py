"""What happens to a packet on one directed path: the model, with its queue, clocks and dice. Pure: time is passed in."""

import random
from collections.abc import Callable
from ipaddress import ip_address
from math import log

import msgspec

from lab import icmp
from lab.packet import flow_hash, fragment, hops_left, may_fragment, pass_routers
from lab.path import Hop, Path, segment_shares

Arrival = tuple[int, int, bytes]  # (at_ns, node index, packet): a tuple, for the heap and for speed

NS_PER_MS = 1_000_000
_ORDER_SLOTS = 1024  # flows that share a slot also keep order among each other, which harms nothing
_DUPLICATE_GAP_NS = 1_000


class Counters(msgspec.Struct):
    """Packets since the start, per directed path: every offered one is delivered or lost for one reason.

    delivered counts packets on their way to the destination, before duplication and fragmentation.
    """

    offered: int = 0
    delivered: int = 0
    duplicated: int = 0
    held_back: int = 0
    lost_random: int = 0
    lost_every: int = 0
    lost_leg: int = 0
    lost_hop: int = 0
    lost_queue: int = 0
    lost_state: int = 0
    too_big: int = 0
    expired: int = 0
    for_router: int = 0


class Transit:
    """One directed path in operation. `reverse` carries its routers' answers back to the source."""

    def __init__(self, destination: int, seed: str) -> None:
        self.destination = destination
        self.reverse: Transit = self
        self.counters = Counters()
        self._dice = random.Random(seed)
        self._link_free_ns = 0
        self.configure(Path())

    def configure(self, path: Path) -> None:
        """Take new settings for packets from now on; those under way keep theirs, the queue keeps its backlog."""
        self.path = path
        self._delay_ns = path.delay_ms * NS_PER_MS
        self._jitter_ns = path.jitter_ms * NS_PER_MS
        self._hold_ns = int(path.reorder_hold_ms * NS_PER_MS)
        self._ns_per_byte = 8e9 / path.rate_bits_per_second if path.rate_bits_per_second else 0.0
        self._routers = [_Router(hop) for hop in path.hops]
        shares = segment_shares(path.hops)
        self._reached = [sum(shares[: index + 1]) for index in range(len(path.hops))]
        self._lossy = [(index, hop.loss) for index, hop in enumerate(path.hops) if hop.loss]
        self._last_arrival_ns = [0] * _ORDER_SLOTS

    def carry(self, packet: bytes, now_ns: int, for_router: int | None = None) -> list[Arrival]:
        """Where and when `packet` arrives, as one or several packets, or what comes back; [] where it is lost.

        for_router: the packet is for that hop's own address, not for the destination.
        """
        counters = self.counters
        counters.offered += 1
        path = self.path
        if path.state != "up":
            counters.lost_state += 1
            return [] if path.state == "silent" else self._answer(0, packet, now_ns, icmp.host_unreachable)
        if self._strikes(packet):
            return []
        depart_ns = self._through_queue(len(packet), now_ns)
        if depart_ns is None:
            counters.lost_queue += 1
            return []
        forwarding = len(self._routers) if for_router is None else for_router
        ttl = max(hops_left(packet), 1)
        expires = ttl <= forwarding
        last = ttl - 1 if expires else min(forwarding, len(self._routers) - 1)
        if self._lossy and any(index <= last and self._dice.random() < loss for index, loss in self._lossy):
            counters.lost_hop += 1
            return []
        if expires:
            counters.expired += 1
            return self._answer(last, pass_routers(packet, last), depart_ns, icmp.time_exceeded)
        if for_router is not None:
            counters.for_router += 1
            return self._answer(last, pass_routers(packet, last), depart_ns, icmp.router_reply)
        if path.mtu_bytes is not None and len(packet) > path.mtu_bytes and not may_fragment(packet):
            counters.too_big += 1
            if not path.mtu_reported:
                return []
            return self._answer(last, pass_routers(packet, last), depart_ns, icmp.too_big, path.mtu_bytes)
        counters.delivered += 1
        return self._deliver(pass_routers(packet, forwarding), depart_ns)

    def bring_back(self, message: bytes, now_ns: int, share: float) -> list[Arrival]:
        """A router's message over the part of this path that is left from it to the destination."""
        if self.path.state != "up" or (self.path.loss and self._dice.random() < self.path.loss):
            return []
        travel_ns = int((self._delay_ns + self._draw_jitter_ns()) * share)
        return [(now_ns + travel_ns, self.destination, message)]

    def _strikes(self, packet: bytes) -> bool:
        """Whether loss, every-nth loss or a bad leg takes this packet."""
        path, counters = self.path, self.counters
        if path.loss and self._dice.random() < path.loss:
            counters.lost_random += 1
            return True
        if path.drop_every is not None and counters.offered % path.drop_every == 0:
            counters.lost_every += 1
            return True
        if path.bad_legs and flow_hash(packet) % path.legs in path.bad_legs:
            if path.bad_leg_loss < 1 and self._dice.random() >= path.bad_leg_loss:
                return False
            counters.lost_leg += 1
            return True
        return False

    def _through_queue(self, size_bytes: int, now_ns: int) -> int | None:
        """When the bottleneck has sent the packet's last bit; None where its queue is full."""
        if not self._ns_per_byte:
            return now_ns
        start_ns = max(now_ns, self._link_free_ns)
        if (start_ns - now_ns) / self._ns_per_byte + size_bytes > self.path.queue_bytes:
            return None
        self._link_free_ns = int(start_ns + size_bytes * self._ns_per_byte)
        return self._link_free_ns

    def _deliver(self, packet: bytes, depart_ns: int) -> list[Arrival]:
        path = self.path
        at_ns = depart_ns + int(self._delay_ns)
        if self._jitter_ns:
            slot = flow_hash(packet) % _ORDER_SLOTS
            at_ns = max(at_ns + int(self._draw_jitter_ns()), self._last_arrival_ns[slot])
            self._last_arrival_ns[slot] = at_ns
        if path.reorder and self._dice.random() < path.reorder:
            self.counters.held_back += 1
            at_ns += self._hold_ns
        pieces = [packet]
        if path.mtu_bytes is not None and len(packet) > path.mtu_bytes:
            pieces = fragment(packet, path.mtu_bytes)
        arrivals = [(at_ns, self.destination, piece) for piece in pieces]
        if path.duplicate and self._dice.random() < path.duplicate:
            self.counters.duplicated += 1
            arrivals += [(at_ns + _DUPLICATE_GAP_NS, self.destination, piece) for piece in pieces]
        return arrivals

    def _draw_jitter_ns(self) -> float:
        if not self._jitter_ns:
            return 0.0
        dice = self._dice.random()
        return (
            self._jitter_ns * dice
            if self.path.jitter_shape == "uniform"
            else -self._jitter_ns * log(1 - dice)
        )

    def _answer(
        self, index: int, packet: bytes, depart_ns: int, build: Callable[..., bytes | None], *values: int
    ) -> list[Arrival]:
        """What router `index` sends back about `packet`, if it may and does."""
        router = self._routers[index]
        address = router.address_for(packet)
        if build is not icmp.router_reply and not icmp.may_answer(packet):
            return []
        share = self._reached[index]
        at_ns = depart_ns + int((self._delay_ns + self._draw_jitter_ns()) * share)
        if address is None or not router.admits_answer(at_ns):
            return []
        message = build(address, packet, icmp.INITIAL_TTL - index, *values)
        return [] if message is None else self.reverse.bring_back(message, at_ns, share)


class _Router:
    """A hop's addresses by family and its limit on answers."""

    def __init__(self, hop: Hop) -> None:
        packed = [ip_address(address).packed for address in hop.addresses]
        self._addresses = {4: [a for a in packed if len(a) == 4], 6: [a for a in packed if len(a) == 16]}
        self._silent = hop.silent
        self._per_second = hop.icmp_per_second
        self._burst = max(1.0, hop.icmp_per_second or 1.0)
        self._tokens = self._burst
        self._filled_ns = 0

    def address_for(self, packet: bytes) -> bytes | None:
        """The address this flow meets, None where the router does not answer that family."""
        choices = self._addresses[packet[0] >> 4]
        if self._silent or not choices:
            return None
        return choices[0] if len(choices) == 1 else choices[flow_hash(packet) % len(choices)]

    def admits_answer(self, now_ns: int) -> bool:
        """A token bucket of icmp_per_second, full at the start."""
        if self._per_second is None:
            return True
        elapsed = max(0, now_ns - self._filled_ns) / 1e9
        self._tokens = min(self._burst, self._tokens + elapsed * self._per_second)
        self._filled_ns = max(now_ns, self._filled_ns)
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True
