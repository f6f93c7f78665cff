"""A path's settings refuse what no path can do."""

import msgspec
import pytest

from lab.path import Hop, Path, reversed_hops, segment_shares


def hop(number: int, **fields) -> Hop:
    return Hop(addresses=(f"198.19.0.{number}",), **fields)


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"loss": 1.5}, "loss is 1.5; it must be a ratio from 0 to 1"),
        ({"delay_ms": -1}, "delay_ms is -1; it cannot be negative"),
        ({"drop_every": 0}, "drop_every is 0; it must be above 0"),
        ({"rate_bits_per_second": 0}, "rate_bits_per_second is 0; it must be above 0"),
        ({"mtu_bytes": 60}, "mtu_bytes is 60; IPv4 needs at least 68"),
        ({"legs": 4, "bad_legs": (4,)}, "must be numbers from 0 to legs - 1 = 3"),
        ({"hops": ()}, "at least one router"),
        ({"hops": (hop(1, share=0.7), hop(2, share=0.5))}, "hop shares sum to 1.2"),
    ],
)
def test_wrong_settings_say_what_would_be_right(fields, reason):
    """One ValueError names the field, its value and the rule."""
    with pytest.raises(ValueError, match=reason):
        Path(**fields)


def test_a_hop_needs_real_addresses():
    """A typing error in an address is found before a packet meets it."""
    with pytest.raises(ValueError, match=r"198\.19\.0\.300"):
        Hop(addresses=("198.19.0.300",))


def test_delay_is_shared_evenly_unless_said_otherwise():
    """Three hops make four segments; a given share leaves the rest to the others."""
    assert segment_shares((hop(1), hop(2), hop(3))) == (0.25, 0.25, 0.25, 0.25)
    assert segment_shares((hop(1, share=0.0), hop(2, share=0.9))) == pytest.approx((0.0, 0.9, 0.1))


def test_the_way_back_meets_the_same_routers_at_the_same_places():
    """Reversed hops have the segments in reverse, so a router's distance from each end is kept."""
    hops = (hop(1, share=0.1), hop(2, share=0.6))
    back = reversed_hops(hops)
    assert [h.addresses for h in back] == [("198.19.0.2",), ("198.19.0.1",)]
    assert segment_shares(back) == pytest.approx((0.3, 0.6, 0.1))


def test_settings_survive_the_way_to_the_emulator():
    """JSON and back gives the same settings, checked again."""
    path = Path(delay_ms=3.5, legs=4, bad_legs=(1, 2), hops=(hop(1), hop(2, silent=True, icmp_per_second=3)))
    assert msgspec.json.decode(msgspec.json.encode(path), type=Path) == path
