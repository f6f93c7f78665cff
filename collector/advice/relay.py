"""Ways that beat the direct one: a relay for a path, a hub for a star, from the measured matrix. Pure.

The P99 of a way over a relay is taken as the sum of its legs' P99s and the forwarding time. Legs that are slow
at the same moment reach that sum; legs that are slow independently stay below it, so a relay found here is rather
missed than promised. Overlay routing of one hop: Andersen et al., "Resilient Overlay Networks", SOSP 2001.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

LEAST_GAIN_RATIO = 0.10
LEAST_GAIN_SECONDS = 0.005
"""A relay must win by both: below them it is not worth a further machine that can fail."""
FORWARDING_SECONDS = 0.0005
"""Added to each round trip over a relay: two passes through its kernel, or one through a proxy in user space."""
BLOCK_ROWS = 32
"""Sources looked at together: the block and one row of the matrix stay in the cache of a small machine."""


@dataclass(frozen=True, slots=True)
class Matrix:
    """P99 round trips, p99_seconds[i, j] from nodes[i] to nodes[j]; NaN where it was not measured, and on the diagonal."""

    nodes: tuple[str, ...]
    p99_seconds: NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Relay:
    """source → via → destination in place of source → destination. legs_seconds: P99 of both legs.

    p99_seconds holds both legs and the forwarding time.
    """

    source: str
    via: str
    destination: str
    direct_seconds: float
    legs_seconds: tuple[float, float]
    forwarding_seconds: float

    @property
    def p99_seconds(self) -> float:
        """Estimated P99 of the way over the relay."""
        return sum(self.legs_seconds) + self.forwarding_seconds

    @property
    def gain_seconds(self) -> float:
        """What the relay saves at P99."""
        return self.direct_seconds - self.p99_seconds

    @property
    def gain_ratio(self) -> float:
        """The same, of the direct path."""
        return self.gain_seconds / self.direct_seconds


@dataclass(frozen=True, slots=True)
class Hub:
    """One node as the middle of a star. worst_seconds: the largest P99 between it and any spoke, either direction.

    farthest: that spoke. unmeasured: spokes without a P99 in either direction; any makes worst_seconds a lower bound.
    """

    node: str
    worst_seconds: float
    mean_seconds: float
    farthest: str
    unmeasured: tuple[str, ...]


def matrix_of(p99_seconds: Mapping[tuple[str, str], float], nodes: Iterable[str] = ()) -> Matrix:
    """(source, destination) → P99 as a matrix over these nodes and all that occur, in order of name."""
    names = tuple(sorted({*nodes, *(name for pair in p99_seconds for name in pair)}))
    at = {name: number for number, name in enumerate(names)}
    table = np.full((len(names), len(names)), np.nan, np.float32)
    for (source, destination), seconds in p99_seconds.items():
        if source != destination:
            table[at[source], at[destination]] = seconds
    return Matrix(names, table)


def relays(matrix: Matrix, forwarding_seconds: float = FORWARDING_SECONDS) -> list[Relay]:
    """For every measured path that some relay beats by enough, the best one; the largest gain first.

    A path without a direct measurement has nothing to be compared with. Raises ValueError for a negative
    forwarding_seconds.
    """
    if forwarding_seconds < 0:
        raise ValueError(f"forwarding_seconds cannot be negative: {forwarding_seconds:g}")
    times = np.where(np.isfinite(matrix.p99_seconds), matrix.p99_seconds, np.inf).astype(np.float32)
    np.fill_diagonal(times, np.inf)  # a relay is neither of the ends
    found = [
        relay
        for first in range(0, len(times), BLOCK_ROWS)
        for relay in _of_block(matrix, times, first, forwarding_seconds)
    ]
    return sorted(found, key=lambda relay: (-relay.gain_seconds, relay.source, relay.destination))


def _of_block(
    matrix: Matrix, times: NDArray[np.float32], first: int, forwarding_seconds: float
) -> list[Relay]:
    """The best relay of each measured path whose source lies in this block of rows, where it wins by enough."""
    rows = times[first : first + BLOCK_ROWS]
    best = np.full_like(rows, np.inf)
    via = np.zeros(rows.shape, np.int32)
    total = np.empty_like(rows)
    better = np.empty(rows.shape, bool)
    for number in range(len(times)):
        np.add(rows[:, number, None], times[number], out=total)
        np.less(total, best, out=better)
        np.copyto(best, total, where=better)
        np.copyto(via, number, where=better)
    measured = np.isfinite(rows)
    gain = np.where(measured, rows, 0) - best - forwarding_seconds
    enough = np.maximum(LEAST_GAIN_SECONDS, LEAST_GAIN_RATIO * np.where(measured, rows, np.inf))
    sources, destinations = np.nonzero(gain >= enough)
    names = matrix.nodes
    return [
        Relay(
            names[first + i],
            names[via[i, j]],
            names[j],
            float(rows[i, j]),
            (float(rows[i, via[i, j]]), float(times[via[i, j], j])),
            forwarding_seconds,
        )
        for i, j in zip(sources.tolist(), destinations.tolist(), strict=True)
    ]


def hubs(matrix: Matrix, spokes: Iterable[str] | None = None) -> list[Hub]:
    """Every node as the hub of these spokes (all nodes, unless told), the best first; [] where nothing is measured.

    Fewest unmeasured spokes come first: a hub that nobody measured to half of its spokes only looks near. A node is
    no spoke of its own. Raises KeyError for an unknown spoke.
    """
    at = {name: number for number, name in enumerate(matrix.nodes)}
    chosen = np.array([at[name] for name in (matrix.nodes if spokes is None else spokes)], np.int64)
    both = np.fmax(matrix.p99_seconds, matrix.p99_seconds.T)
    found = []
    for number, name in enumerate(matrix.nodes):
        others = chosen[chosen != number]
        times = both[number, others]
        known = np.isfinite(times)
        if not known.any():
            continue
        worst = int(np.nanargmax(times))
        unmeasured = tuple(matrix.nodes[spoke] for spoke in others[~known].tolist())
        found.append(
            Hub(
                name,
                float(times[worst]),
                float(times[known].mean()),
                matrix.nodes[int(others[worst])],
                unmeasured,
            )
        )
    return sorted(found, key=lambda hub: (len(hub.unmeasured), hub.worst_seconds, hub.mean_seconds, hub.node))
