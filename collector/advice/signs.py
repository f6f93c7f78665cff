"""Signs that speak for or against a cause: questions to one node's evidence. Pure.

Each answers True, False, or None where the evidence does not tell.
"""

from collections.abc import Callable, Iterable

from agent.advice.evidence import Evidence, PathEvidence

Question = Callable[[Evidence], bool | None]

DOMINANT = 0.5
"""A kind of retransmission that is more than half of all."""
MOST = 0.5
LOSSY_RATIO, RETRANSMITTING_RATIO = 0.005, 0.05
ENOUGH_SAMPLES = 299
CLEAN_RATIO = 0.001
SHORT_FLOOR_NS = 1_000_000


def timeouts_dominate(own: Evidence) -> bool | None:
    """More than half of what was sent again went out after a timeout."""
    return _kind_dominates(own, ("timeout", "slow_start"))


def fast_retransmits_dominate(own: Evidence) -> bool | None:
    """More than half was recovered by duplicate acknowledgements: single losses on the way."""
    return _kind_dominates(own, ("fast",))


def syns_dominate(own: Evidence) -> bool | None:
    """More than half were SYNs."""
    return _kind_dominates(own, ("syn",))


def _kind_dominates(own: Evidence, kinds: Iterable[str]) -> bool | None:
    if own.kernel is None:
        return None
    again = own.kernel.counters.get("tcp_segments_retransmitted")
    known = [
        count for kind in kinds if (count := own.kernel.counters.get(f"tcp_retransmits_{kind}")) is not None
    ]
    return None if not again or not known else max(known) > DOMINANT * again


def probes_are_lost(own: Evidence) -> bool | None:
    """Small packets are lost, too, on some path."""
    ratios = _losses(own)
    return any(ratio > LOSSY_RATIO for ratio in ratios) if ratios else None


def packets_are_lost(own: Evidence) -> bool | None:
    """Probes are lost, or connections send more than a twentieth again, on some path."""
    probes, ratios = (
        probes_are_lost(own),
        [r for path in own.paths if (r := path.retransmit_ratio) is not None],
    )
    again = any(ratio > RETRANSMITTING_RATIO for ratio in ratios) if ratios else None
    known = [answer for answer in (probes, again) if answer is not None]
    return any(known) if known else None


def drops_are_too_few(own: Evidence) -> bool | None:
    """The backlog dropped less than a tenth of what was sent again: it explains none of that."""
    if own.kernel is None:
        return None
    dropped = own.kernel.counters.get("softnet_dropped")
    again = own.kernel.counters.get("tcp_segments_retransmitted")
    return None if dropped is None or again is None else 10 * dropped < again


def probes_arrive(own: Evidence) -> bool | None:
    """Small packets arrive on every path."""
    ratios = _losses(own)
    return all(ratio < CLEAN_RATIO for ratio in ratios) if ratios else None


def every_path_suffers(own: Evidence) -> bool | None:
    """Most of several paths are lossy or over their limit: what they share is this node."""
    answers = [bad for path in own.paths if (bad := _suffers(path)) is not None]
    return None if len(answers) < 2 else sum(answers) > MOST * len(answers)


def some_paths_are_well(own: Evidence) -> bool | None:
    """Most of several paths from here are neither lossy nor over their limit: the node itself is not slow."""
    answer = every_path_suffers(own)
    return None if answer is None else not answer


def _suffers(path: PathEvidence) -> bool | None:
    over = _over_limit(path, path.p99_ns)
    lossy = None if path.loss_ratio is None else path.loss_ratio > LOSSY_RATIO
    again = None if path.retransmit_ratio is None else path.retransmit_ratio > RETRANSMITTING_RATIO
    known = [answer for answer in (over, lossy, again) if answer is not None]
    return any(known) if known else None


def even_the_best_is_slow(own: Evidence) -> bool | None:
    """On some path over its limit even the smallest round trip is over it: no queue, but the way."""
    answers = [
        slow
        for path in own.paths
        if _over_limit(path, path.p99_ns) and (slow := _over_limit(path, path.min_ns)) is not None
    ]
    return any(answers) if answers else None


def only_the_tail_is_slow(own: Evidence) -> bool | None:
    """On every path over its limit the smallest round trip is within: something queues, or waits."""
    answer = even_the_best_is_slow(own)
    return None if answer is None else not answer


def _over_limit(path: PathEvidence, time_ns: float | None) -> bool | None:
    if (
        time_ns is None
        or path.samples < ENOUGH_SAMPLES
        or path.floor_ns is None
        or path.floor_ns < SHORT_FLOOR_NS
    ):
        return None
    return time_ns > (path.limit_ns if path.limit_ns is not None else 2 * path.floor_ns)


def large_packets_vanish(own: Evidence) -> bool | None:
    """The MTU probe found a black hole."""
    known = [path.black_hole for path in own.paths if path.black_hole is not None]
    return any(known) if known else None


def route_changed(own: Evidence) -> bool | None:
    """The way of some path changed in that time."""
    known = [path.route_changes for path in own.paths if path.route_changes is not None]
    return any(known) if known else None


def delay_grows_under_load(own: Evidence) -> bool | None:
    """Round trips during a bandwidth test are several times those at rest."""
    known = [
        path.loaded_p50_ns > 5 * path.p50_ns
        for path in own.paths
        if path.loaded_p50_ns is not None and path.p50_ns
    ]
    return any(known) if known else None


def cpu_is_stolen(own: Evidence) -> bool | None:
    """More than a twentieth of the CPU's time went to others."""
    share = None if own.kernel is None else own.kernel.gauges.get("steal_ratio")
    return None if share is None else share > 0.05


def senders_wait_for_windows(own: Evidence) -> bool | None:
    """Connections with something to send waited for a window or a buffer for a tenth of the time or more."""
    known = [
        (path.rwnd_limited_seconds or 0) + (path.sndbuf_limited_seconds or 0) > 0.1 * path.busy_seconds
        for path in own.paths
        if path.busy_seconds
        and (path.rwnd_limited_seconds is not None or path.sndbuf_limited_seconds is not None)
    ]
    return any(known) if known else None


def _losses(own: Evidence) -> list[float]:
    return [path.loss_ratio for path in own.paths if path.loss_ratio is not None]
