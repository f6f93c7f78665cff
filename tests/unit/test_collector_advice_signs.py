"""Each sign answers yes, no, and that the evidence does not tell."""

import pytest

from collector.advice import signs
from hosts import MS, bare, host, path
from scenarios import DETOUR, FAST, LOSSY, SYNS, TAIL, TIMEOUTS, everywhere, peers

QUIET = {"tcp_segments_retransmitted": 1000, "tcp_retransmits_timeout": 100, "tcp_retransmits_slow_start": 0,
         "tcp_retransmits_fast": 100, "tcp_retransmits_syn": 100}  # fmt: skip
CASES = [
    (signs.timeouts_dominate, host(counters=TIMEOUTS), host(counters=QUIET)),
    (signs.fast_retransmits_dominate, host(counters=FAST), host(counters=QUIET)),
    (signs.syns_dominate, host(counters=SYNS), host(counters=QUIET)),
    (signs.probes_are_lost, host(paths=peers(path(**LOSSY))), host()),
    (signs.packets_are_lost, host(paths=[path(segments_retransmitted=9_000)]), host()),
    (signs.drops_are_too_few, host(), host(counters={"softnet_dropped": 1_000})),
    (signs.probes_arrive, host(), host(paths=peers(path(**LOSSY)))),
    (signs.every_path_suffers, host(paths=everywhere(**TAIL)), host(paths=peers(path(**TAIL)))),
    (signs.some_paths_are_well, host(paths=peers(path(**TAIL))), host(paths=everywhere(**TAIL))),
    (signs.even_the_best_is_slow, host(paths=[path(**DETOUR)]), host(paths=[path(**TAIL)])),
    (signs.only_the_tail_is_slow, host(paths=[path(**TAIL)]), host(paths=[path(**DETOUR)])),
    (signs.large_packets_vanish, host(paths=[path(black_hole=True)]), host()),
    (signs.route_changed, host(paths=[path(route_changes=1)]), host()),
    (
        signs.delay_grows_under_load,
        host(paths=[path(loaded_p50_ns=400 * MS)]),
        host(paths=[path(loaded_p50_ns=25 * MS)]),
    ),
    (signs.cpu_is_stolen, host(gauges={"steal_ratio": 0.2}), host()),
    (signs.senders_wait_for_windows, host(paths=[path(rwnd_limited_seconds=200.0)]), host()),
]


@pytest.mark.parametrize(("sign", "yes", "no"), CASES, ids=[sign.__name__ for sign, _, _ in CASES])
def test_a_sign_says_yes_no_or_nothing(sign, yes, no):
    """True and False as measured; None where nothing was."""
    assert sign(yes) is True
    assert sign(no) is False
    assert sign(bare()) is None


def test_every_sign_that_causes_use_is_tested_here():
    """A sign nobody has seen answer is a guess."""
    from collector.advice.causes import CAUSES

    used = {sign.question for cause in CAUSES for sign in cause.signs}
    assert used <= {sign for sign, _, _ in CASES}
