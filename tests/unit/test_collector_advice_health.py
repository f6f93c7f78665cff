"""Which nodes are healthy siblings, and what is wrong with the others."""

import pytest

from collector.advice.health import slower_than, symptoms_of
from collector.advice.likelihood import Symptom
from hosts import MS, bare, host, path
from scenarios import HOLE, LOSSY, TAIL, everywhere


@pytest.mark.parametrize(
    ("figures", "symptoms"),
    [
        ({}, set()),
        (TAIL, {Symptom.DELAY}),
        (LOSSY, {Symptom.LOSS}),
        ({"segments_retransmitted": 7_000}, {Symptom.LOSS}),
        (HOLE, {Symptom.MTU}),
        ({"path_mtu_bytes": 1400, "icmp_seen": True}, {Symptom.MTU}),
        ({**TAIL, **LOSSY}, {Symptom.DELAY, Symptom.LOSS}),
    ],
)
def test_what_most_paths_show_is_the_nodes(figures, symptoms):
    """Every path slow, lossy or narrow."""
    assert symptoms_of(host(paths=everywhere(**figures))) == symptoms


def test_what_one_path_of_three_shows_is_not_the_nodes():
    """Its peer or the way to it may be at fault."""
    assert symptoms_of(host(paths=[path("FRA", **TAIL), path("AMS"), path("LON")])) == frozenset()


def test_nothing_judged_is_neither_healthy_nor_ill():
    """No path, or too few samples and nothing else."""
    assert symptoms_of(host(paths=[])) is None
    assert symptoms_of(bare()) is None
    few = {"samples": 20, "answered": 20, "segments_sent": 10, "path_mtu_bytes": None, "black_hole": None}
    assert symptoms_of(host(paths=[path(**few, p99_ns=90 * MS)])) is None


def test_half_of_the_siblings_rate_is_slow_where_both_were_tested():
    """By bandwidth tests only: traffic that nobody needed faster proves nothing."""
    siblings = [host(paths=[path(throughput_bits_per_second=rate)]) for rate in (8e8, 9e8, 1e9)]
    assert slower_than(host(paths=[path(throughput_bits_per_second=3e8)]), siblings)
    assert not slower_than(host(paths=[path(throughput_bits_per_second=6e8)]), siblings)
    untested = host(paths=[path(throughput_bits_per_second=None, delivery_rate_bits_per_second=1e6)])
    assert not slower_than(untested, siblings)
    assert not slower_than(host(paths=[path(throughput_bits_per_second=3e8)]), [untested])
