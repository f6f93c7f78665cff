"""The search for the path MTU, against a simulated path."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.net.pathmtu import Flight
from agent.probes.mtu import TUNNELS, Search, conclude

SMALLEST, CEILING = 576, 1500


class SimulatedPath:
    """Carries packets of up to mtu bytes; loses each, and each answer, with probability loss.

    hint: what its router says of a packet that is too big, None for a black hole; forged: hints that come
    with each flight whatever was sent.
    """

    def __init__(self, mtu, *, loss=0.0, hint=None, forged=(), device=CEILING, seed=1) -> None:
        self.mtu, self.loss, self.hint, self.forged, self.device = mtu, loss, hint, forged, device
        self._dice = random.Random(seed)

    def carry(self, sizes) -> Flight:
        echoed, hints, device = set(), list(self.forged), None
        for size in sizes:
            if size > self.device:
                device = self.device
            elif self._dice.random() < self.loss:
                continue
            elif size > self.mtu:
                if self.hint is not None and self._dice.random() >= self.loss:
                    hints.append(self.hint)
            elif self._dice.random() >= self.loss:
                echoed.add(size)
        return Flight(echoed, hints, device)


def search(path, ceiling=CEILING) -> Search:
    found = Search(SMALLEST, ceiling)
    while found.found is None and not found.silent and found.rounds < 20:
        found.feed(path.carry(found.next_sizes()))
    return found


@settings(max_examples=200)
@given(mtu=st.integers(SMALLEST, CEILING), reported=st.booleans())
def test_every_mtu_is_found_to_the_byte(mtu, reported):
    """Without loss, the answer is exact for every MTU, with ICMP errors and without."""
    done = search(SimulatedPath(mtu, hint=mtu if reported else None))
    assert done.found == mtu
    assert conclude(done, done.found, "udp").black_hole == (mtu < CEILING and not reported)


@settings(max_examples=300)
@given(mtu=st.integers(SMALLEST, CEILING), reported=st.booleans(), seed=st.integers(0, 2**32))
def test_lost_packets_never_make_it_too_large(mtu, reported, seed):
    """Whatever is lost, a size that the path does not carry is never the answer."""
    done = search(SimulatedPath(mtu, loss=0.1, hint=mtu if reported else None, seed=seed))
    assert done.found is not None
    assert done.found <= mtu


def test_hundred_lossy_searches_are_exact():
    """The figure that is promised: exact in 100 of 100 runs with 10% loss each way, of any MTU."""
    dice = random.Random(7)
    wrong = []
    for seed in range(100):
        mtu = dice.randrange(SMALLEST, CEILING + 1)
        for hint in (None, mtu):
            done = search(SimulatedPath(mtu, loss=0.1, hint=hint, seed=seed))
            if done.found != mtu:
                wrong.append((mtu, hint, done.found))
    assert wrong == []


@pytest.mark.parametrize("mtu", [1500, 1492, 1450, 1420, 1400, 1280])
def test_a_usual_mtu_in_a_black_hole_takes_three_rounds(mtu):
    """Ceiling, table, edge: three waits, however the errors are dropped."""
    assert search(SimulatedPath(mtu)).rounds <= 3


def test_with_icmp_one_round_trip_finds_and_one_confirms():
    """The first flight brings the hint, the second confirms it."""
    done = search(SimulatedPath(1427, hint=1427))
    assert done.rounds == 2
    assert done.packets <= 45


@pytest.mark.parametrize("mtu", [CEILING, *(mtu for mtu in TUNNELS if mtu < CEILING)])
def test_a_tunnels_mtu_that_a_router_reports_takes_one_round_trip(mtu):
    """The echo of the reported size comes with the report, and nothing larger is answered."""
    assert search(SimulatedPath(mtu, hint=mtu)).rounds == 1


def test_an_unusual_mtu_in_a_black_hole_is_bounded():
    """The most that a search sends, over all MTUs, is below what the responder answers in a second."""
    assert max(search(SimulatedPath(mtu)).packets for mtu in range(SMALLEST, CEILING + 1)) < 600
    assert max(search(SimulatedPath(mtu), 9001).packets for mtu in range(SMALLEST, CEILING + 1, 7)) < 900


@settings(max_examples=100)
@given(
    mtu=st.integers(SMALLEST, CEILING),
    forged=st.lists(st.integers(0, 70000), min_size=1, max_size=3),
)
def test_a_forged_hint_changes_nothing(mtu, forged):
    """RFC 8899, 4.6: a hint is believed only when its size is answered and none above it is."""
    done = search(SimulatedPath(mtu, forged=tuple(forged)))
    assert done.found == mtu


def test_a_wrong_hint_does_not_hide_a_black_hole():
    """A router that reports its own larger MTU helps no TCP through a later, silent bottleneck."""
    done = search(SimulatedPath(1400, hint=1450))
    result = conclude(done, done.found, "udp")
    assert (result.path_mtu_bytes, result.icmp_seen, result.black_hole) == (1400, True, True)


def test_an_error_without_an_mtu_is_no_black_hole():
    """Routers from before RFC 1191 report 0: senders hear of it and try smaller packets."""
    done = search(SimulatedPath(1400, hint=0))
    result = conclude(done, done.found, "udp")
    assert (result.path_mtu_bytes, result.icmp_seen, result.black_hole) == (1400, True, False)


def test_the_interface_is_the_ceiling():
    """A size that the own interface refuses is none that the path lost."""
    done = search(SimulatedPath(9001, device=1500), ceiling=9001)
    result = conclude(done, done.found, "udp")
    assert (result.path_mtu_bytes, result.interface_mtu_bytes, result.black_hole) == (1500, 1500, False)


def test_silence_ends_after_three_rounds():
    """A target that answers nothing costs three timeouts and has no MTU."""
    done = search(SimulatedPath(1500, loss=1.0))
    assert (done.found, done.silent, done.rounds) == (None, True, 3)
