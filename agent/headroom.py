"""Whether a bandwidth test may start now: not on a host or a path that already has trouble. Pure.

A test would make the trouble worse and would itself measure the trouble. What cannot be known forbids nothing.
"""

from agent.hostcounters import Reading
from agent.quality import THRESHOLDS, steal_ratio

NS = 1_000_000_000
MOST_LOSS_RATIO = 0.02
MOST_TRAFFIC_RATIO = 0.1
"""Of the rate the test may have: what else crosses the interface takes that much away from its result."""
SHORTEST_SECONDS = 1.0
"""Between the two readings: CPU time is counted in ticks of 10 ms, so a shorter one would see noise as steal."""


def refusal(before: Reading, after: Reading, *, loss_ratio: float | None, bits_per_second: int) -> str | None:
    """Why this node takes no test now; None when it may. bits_per_second: what the test may send.

    loss_ratio: of this node's probes just before. Raises ValueError for readings less than SHORTEST_SECONDS apart.
    """
    seconds = (after.mono_ns - before.mono_ns) / NS
    if seconds < SHORTEST_SECONDS:
        raise ValueError(f"readings {seconds:.3f} s apart, at least {SHORTEST_SECONDS:g} are needed")
    steal = steal_ratio(before, after)
    if steal is not None and steal > THRESHOLDS["steal_ratio"].over:
        return f"steal is {steal:.1%} of CPU time"
    if loss_ratio is not None and loss_ratio > MOST_LOSS_RATIO:
        return f"{loss_ratio:.1%} of probes are lost"
    traffic = traffic_bits_per_second(before, after)
    if traffic is not None and traffic > MOST_TRAFFIC_RATIO * bits_per_second:
        return f"own traffic is {traffic / 1e6:.1f} Mbit/s beside a test of {bits_per_second / 1e6:g} Mbit/s"
    return None


def traffic_bits_per_second(before: Reading, after: Reading) -> float | None:
    """What the busiest direction of any interface but lo carried in between; None where no interface can be read."""
    if before.interfaces is None or after.interfaces is None:
        return None
    seconds = (after.mono_ns - before.mono_ns) / NS
    moved = [
        later - sooner
        for name, last in after.interfaces.items()
        if name != "lo" and (first := before.interfaces.get(name)) is not None
        for sooner, later in ((first.rx_bytes, last.rx_bytes), (first.tx_bytes, last.tx_bytes))
    ]
    return max((max(count, 0) for count in moved), default=0) * 8 / seconds
