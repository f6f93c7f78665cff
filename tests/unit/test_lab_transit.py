"""The path model: what comes out, when, for what went in. No process, no clock: time is a number."""

import itertools
import statistics

import pytest
from scapy.layers.inet import ICMP, IP, UDP, IPerror
from scapy.layers.inet6 import ICMPv6PacketTooBig, IPv6

from lab.packet import flow_hash_of
from lab.path import Hop, Path
from lab.transit import NS_PER_MS, Transit

A, B = "198.18.0.1", "198.18.1.1"
A6, B6 = "2001:2::1", "2001:2:0:1::1"
SOURCE, DESTINATION = 0, 1
HOPS = tuple(Hop(addresses=(f"198.19.0.{n}", f"2001:2:0:ffff::{n}")) for n in (1, 2, 3))


def datagram(port: int = 4000, ttl: int = 64, size: int = 100, flags: str = "DF") -> bytes:
    return bytes(IP(src=A, dst=B, ttl=ttl, flags=flags) / UDP(sport=port, dport=53) / bytes(size - 28))


def transit(back: dict | None = None, **settings) -> Transit:
    """A directed path with a way back."""
    forth, reverse = Transit(DESTINATION, "1/0/1"), Transit(SOURCE, "1/1/0")
    forth.reverse, reverse.reverse = reverse, forth
    forth.configure(Path(**settings))
    reverse.configure(Path(**(back or {})))
    return forth


def send(path: Transit, count: int, gap_ns: int = NS_PER_MS, **fields):
    """The arrivals of each of `count` packets, one after another."""
    packet = datagram(**fields)
    return [path.carry(packet, n * gap_ns) for n in range(count)]


def test_delay_is_exact():
    """Without jitter every packet arrives unchanged but for its TTL, delay_ms later."""
    [(at_ns, node, packet)] = transit(delay_ms=12.5).carry(datagram(ttl=64), 1000)
    assert (at_ns, node) == (1000 + 12_500_000, DESTINATION)
    assert packet == datagram(ttl=63)


@pytest.mark.parametrize(
    ("shape", "mean", "sigma"), [("uniform", 2.0, 4 / 12**0.5), ("exponential", 4.0, 4.0)]
)
def test_jitter_has_the_stated_distribution(shape, mean, sigma):
    """Added delay has the mean and deviation of its distribution, and is never negative."""
    sent = send(transit(delay_ms=10, jitter_ms=4, jitter_shape=shape), 4000, gap_ns=100 * NS_PER_MS)
    extra_ms = [(arrivals[0][0] - n * 100 * NS_PER_MS) / NS_PER_MS - 10 for n, arrivals in enumerate(sent)]
    assert min(extra_ms) >= 0
    assert statistics.mean(extra_ms) == pytest.approx(mean, abs=4 * sigma / 4000**0.5)
    assert statistics.stdev(extra_ms) == pytest.approx(sigma, rel=0.1)


def test_jitter_keeps_a_flow_in_order_but_not_different_flows():
    """Packets 0.1 ms apart under 10 ms of jitter: one flow never overtakes itself, another overtakes it."""
    path = transit(jitter_ms=10)
    one, other = datagram(port=4000), datagram(port=4001)
    arrivals = [path.carry(one if n % 2 else other, n * 100_000)[0][0] for n in range(1000)]
    assert arrivals[::2] == sorted(arrivals[::2])
    assert arrivals[1::2] == sorted(arrivals[1::2])
    assert arrivals != sorted(arrivals)


@pytest.mark.parametrize("feature", ["loss", "duplicate", "reorder"])
def test_ratios_are_kept(feature):
    """10,000 packets at a ratio of 0.1: within 4 standard deviations of 1,000."""
    path = transit(**{feature: 0.1})
    sent = send(path, 10_000)
    numbers = {"loss": sum(not arrivals for arrivals in sent), "duplicate": sum(len(a) == 2 for a in sent)}
    numbers["reorder"] = sum(a[0][0] != n * NS_PER_MS for n, a in enumerate(sent) if a)
    assert abs(numbers[feature] - 1000) < 4 * (10_000 * 0.1 * 0.9) ** 0.5
    counters = path.counters
    counted = {"loss": counters.lost_random, "duplicate": counters.duplicated, "reorder": counters.held_back}
    assert counted[feature] == numbers[feature]


def test_the_same_seed_loses_the_same_packets():
    """A failing test can be run again and see the same."""
    assert send(transit(loss=0.3), 200) == send(transit(loss=0.3), 200)


def test_every_nth_is_exact():
    """drop_every=4 loses the 4th, 8th, 12th … packet and no other."""
    lost = [n for n, arrivals in enumerate(send(transit(drop_every=4), 12), 1) if not arrivals]
    assert lost == [4, 8, 12]


def test_a_held_back_packet_is_passed_by_later_ones():
    """Reordering moves a packet reorder_hold_ms back, even within its flow."""
    at_ns = [arrivals[0][0] for arrivals in send(transit(reorder=0.2, reorder_hold_ms=3.5), 200)]
    assert {at - n * NS_PER_MS for n, at in enumerate(at_ns)} == {0, 3_500_000}
    assert at_ns != sorted(at_ns)


def test_rate_spaces_packets_and_fills_the_queue():
    """A burst of 1000-byte packets at 8 Mbit/s leaves 1 ms apart; beyond queue_bytes it is lost."""
    path = transit(rate_bits_per_second=8e6, queue_bytes=10_000)
    burst = send(path, 50, gap_ns=0, size=1000)
    at_ns = [arrivals[0][0] for arrivals in burst if arrivals]
    assert len(at_ns) == 10
    assert {later - earlier for earlier, later in itertools.pairwise(at_ns)} == {NS_PER_MS}
    assert path.counters.lost_queue == 40
    assert path.carry(datagram(size=1000), 5 * NS_PER_MS)[0][0] == 11 * NS_PER_MS, (
        "half of the queue has drained"
    )


def test_too_big_is_answered_by_the_last_router():
    """DF and above the MTU: frag-needed with the MTU, after the way there and back."""
    path = transit(delay_ms=8, hops=HOPS, mtu_bytes=1400, back={"delay_ms": 16})
    [(at_ns, node, message)] = path.carry(datagram(size=1401, ttl=64), 0)
    answer = IP(message)
    assert (node, answer.src, answer[ICMP].code, answer[ICMP].nexthopmtu) == (SOURCE, "198.19.0.3", 4, 1400)
    assert answer[IPerror].ttl == 62, "as the router received it"
    assert at_ns == (6 + 12) * NS_PER_MS
    assert len(path.carry(datagram(size=1400), 0)[0][2]) == 1400


def test_too_big_in_ipv6():
    """Packet too big; IPv6 is never fragmented on the way."""
    packet = bytes(IPv6(src=A6, dst=B6, hlim=64) / UDP(sport=4000, dport=53) / bytes(1400))
    [(_, node, message)] = transit(mtu_bytes=1300).carry(packet, 0)
    assert (node, IPv6(message)[ICMPv6PacketTooBig].mtu) == (SOURCE, 1300)


def test_a_black_hole_says_nothing():
    """mtu_reported=False: too big is lost, smaller passes."""
    path = transit(mtu_bytes=1400, mtu_reported=False)
    assert path.carry(datagram(size=1401), 0) == []
    assert len(path.carry(datagram(size=1400), 0)) == 1


def test_without_df_a_router_fragments():
    """Even in a black hole of ICMP, packets that may be cut arrive in pieces."""
    path = transit(mtu_bytes=576, mtu_reported=False)
    pieces = [IP(packet) for _, node, packet in path.carry(datagram(size=1400, flags=""), 0)]
    assert [piece.frag * 8 for piece in pieces] == [0, 552, 1104]


@pytest.mark.parametrize(("ttl", "router", "at_ms"), [(1, "198.19.0.1", 2 + 4), (2, "198.19.0.2", 4 + 8)])
def test_ttl_expires_at_its_hop(ttl, router, at_ms):
    """Each router answers from its address, at its distance there and back, quoting a TTL of 1."""
    path = transit(delay_ms=8, hops=HOPS, back={"delay_ms": 16})
    [(at_ns, node, message)] = path.carry(datagram(ttl=ttl), 0)
    answer = IP(message)
    assert (node, answer.src, answer[ICMP].type, answer[IPerror].ttl) == (SOURCE, router, 11, 1)
    assert at_ns == at_ms * NS_PER_MS
    assert answer.ttl == 255 - (ttl - 1), "one less for each router on the way back"


def test_a_ttl_of_all_hops_and_one_arrives():
    """Three routers let TTL 4 pass, with 1 left."""
    assert IP(transit(hops=HOPS).carry(datagram(ttl=4), 0)[0][2]).ttl == 1
    assert IP(transit(hops=HOPS).carry(datagram(ttl=3), 0)[0][2]).src == "198.19.0.3"


def test_silent_hops_and_missing_families_do_not_answer():
    """A silent router is a star in a traceroute, and so is one without an address of the family."""
    silent = transit(hops=(Hop(addresses=("198.19.0.1",), silent=True),))
    only6 = transit(hops=(Hop(addresses=("2001:2:0:ffff::1",)),))
    assert silent.carry(datagram(ttl=1), 0) == only6.carry(datagram(ttl=1), 0) == []


def test_answers_are_rate_limited():
    """Two a second, in a burst of two: of 100 packets in one second two or three are answered, later again."""
    path = transit(hops=(Hop(addresses=("198.19.0.1",), icmp_per_second=2),))
    answered = [n for n, arrivals in enumerate(send(path, 300, gap_ns=10 * NS_PER_MS, ttl=1)) if arrivals]
    assert answered == [0, 1, 50, 100, 150, 200, 250]


def test_load_balanced_routers_share_the_flows():
    """Two addresses at one distance: each flow always meets the same one, both are met."""
    path = transit(hops=(Hop(addresses=("198.19.0.1", "198.19.0.2")),))
    met = {}
    for port in [*range(4000, 4050)] * 2:
        router = IP(path.carry(datagram(port=port, ttl=1), 0)[0][2]).src
        assert met.setdefault(port, router) == router
    assert set(met.values()) == {"198.19.0.1", "198.19.0.2"}


def test_loss_at_a_hop_spares_the_hops_before_it():
    """What a traceroute needs to find the lossy router."""
    path = transit(hops=(HOPS[0], Hop(addresses=("198.19.0.2",), loss=1.0), HOPS[2]))
    assert [bool(path.carry(datagram(ttl=ttl), 0)) for ttl in (1, 2, 3, 64)] == [True, False, False, False]


def test_one_bad_leg_takes_its_flows_only():
    """The flows of bad_legs die and the others never, and a test can foretell which."""
    path = transit(legs=4, bad_legs=(2,))
    for port in range(4000, 4100):
        doomed = flow_hash_of(17, A, B, port, 53) % 4 == 2
        assert bool(path.carry(datagram(port=port), 0)) != doomed


def test_a_path_that_is_down_is_silent_or_says_so():
    """Both kinds of outage: nothing, or host unreachable from the first router."""
    assert transit(state="silent").carry(datagram(), 0) == []
    [(_, node, message)] = transit(state="unreachable", hops=HOPS).carry(datagram(), 0)
    assert (node, IP(message).src, IP(message)[ICMP].type, IP(message)[ICMP].code) == (
        SOURCE,
        "198.19.0.1",
        3,
        1,
    )


def test_answers_are_lost_with_the_way_back():
    """A traceroute through a dead return path sees nothing although the way forth works."""
    assert transit(hops=HOPS, back={"state": "silent"}).carry(datagram(ttl=1), 0) == []
    assert transit(hops=HOPS, back={"loss": 1.0}).carry(datagram(ttl=1), 0) == []


def test_every_packet_is_counted_once():
    """Offered = delivered + every reason for not arriving."""
    path = transit(loss=0.1, drop_every=7, legs=3, bad_legs=(0,), rate_bits_per_second=1e6, queue_bytes=3000)
    for n in range(2000):
        path.carry(datagram(port=4000 + n % 50, size=100 if n % 3 else 400), n * 500_000)
    counters = path.counters
    lost = counters.lost_random + counters.lost_every + counters.lost_leg + counters.lost_queue
    assert min(counters.lost_random, counters.lost_every, counters.lost_leg, counters.lost_queue) > 0
    assert counters.offered == 2000 == counters.delivered + lost
