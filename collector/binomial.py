"""Exact binomial tails, thresholds of a proof, and the intervals built on them. Pure; no scipy.

The mass uses Loader's saddle-point expansion (C. Loader, "Fast and Accurate Computation of Binomial Probabilities",
2000), which keeps full precision where log-gamma differences lose it; tails are then summed term by term.
"""

import math
from functools import lru_cache

ALPHA = 0.05
"""One-sided error of a proof."""
WILSON_Z = 1.959963984540054
"""Normal quantile of a two-sided 95 % interval."""


def mass(k: int, n: int, p: float) -> float:
    """P(X = k) for X ~ Binomial(n, p), 0 < p < 1."""
    if not 0 <= k <= n:
        return 0.0
    q = 1 - p
    if k == 0:
        return math.exp(n * math.log1p(-p))
    if k == n:
        return math.exp(n * math.log(p))
    log_ratio = (
        _stirling_error(n)
        - _stirling_error(k)
        - _stirling_error(n - k)
        - _deviance(k, n * p)
        - _deviance(n - k, n * q)
    )
    return math.exp(log_ratio) * math.sqrt(n / (2 * math.pi * k * (n - k)))


def _stirling_error(n: int) -> float:
    """log(n!) minus Stirling's approximation of it."""
    if n < 16:
        return math.lgamma(n + 1) - (n + 0.5) * math.log(n) + n - 0.5 * math.log(2 * math.pi)
    square = n * n
    return (1 / 12 - (1 / 360 - (1 / 1260 - 1 / 1680 / square) / square) / square) / n


def _deviance(x: float, mean: float) -> float:
    """x·log(x/mean) + mean − x, without cancellation where x is close to mean."""
    if abs(x - mean) >= 0.1 * (x + mean):
        return x * math.log(x / mean) + mean - x
    v = (x - mean) / (x + mean)
    total, term, j = (x - mean) * v, 2 * x * v, 1
    while True:
        term *= v * v
        grown = total + term / (2 * j + 1)
        if grown == total:
            return total
        total, j = grown, j + 1


def at_most(k: int, n: int, p: float) -> float:
    """P(X ≤ k)."""
    if k < 0:
        return 0.0
    if k >= n:
        return 1.0
    if k > n * p:
        return max(0.0, 1 - at_least(k + 1, n, p))
    odds = (1 - p) / p
    term = total = mass(k, n, p)
    while k > 0 and term > total * 1e-17:
        term *= k / (n - k + 1) * odds
        total += term
        k -= 1
    return min(1.0, total)


def at_least(k: int, n: int, p: float) -> float:
    """P(X ≥ k)."""
    return at_most(n - k, n, 1 - p)


@lru_cache(maxsize=65536)
def proves_at_most(k: int, n: int, ratio: float) -> bool:
    """k hits in n trials prove, one-sided at 95 %, that the true ratio is at most this."""
    return at_most(k, n, ratio) <= ALPHA


@lru_cache(maxsize=65536)
def proves_more(k: int, n: int, ratio: float) -> bool:
    """k hits in n trials prove, one-sided at 95 %, that the true ratio is larger."""
    return at_least(k, n, ratio) <= ALPHA


@lru_cache(maxsize=4096)
def largest_proving_at_most(n: int, ratio: float) -> int | None:
    """Largest k with proves_at_most(k, n, ratio); None where n is too small for any."""
    if not proves_at_most(0, n, ratio):
        return None
    low, high = 0, n
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if proves_at_most(middle, n, ratio) else (low, middle)
    return low


@lru_cache(maxsize=4096)
def smallest_proving_more(n: int, ratio: float) -> int | None:
    """Smallest k with proves_more(k, n, ratio); None where even n hits of n prove nothing."""
    if not proves_more(n, n, ratio):
        return None
    low, high = 0, n
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if proves_more(middle, n, ratio) else (middle, high)
    return high


def wilson_interval(k: float, n: float) -> tuple[float, float] | None:
    """Two-sided 95 % score interval (Wilson 1927) of a ratio seen as k of n; None for n = 0."""
    if n <= 0:
        return None
    z2 = WILSON_Z**2
    middle = (k + z2 / 2) / (n + z2)
    half = WILSON_Z / (n + z2) * math.sqrt(k * (n - k) / n + z2 / 4)
    return max(0.0, middle - half), min(1.0, middle + half)


@lru_cache(maxsize=65536)
def quantile_ranks(n: int, q: float) -> tuple[int | None, int | None]:
    """Ranks (from 1) of the order statistics that enclose the true q-quantile with at least 95 %, two-sided.

    None where no sample is low or high enough: the interval is open on that side. Exact below a variance of
    EXACT_BELOW_VARIANCE; above it the Cornish-Fisher expansion, one rank wider than it says on each side.
    """
    variance = n * q * (1 - q)
    if variance < EXACT_BELOW_VARIANCE:
        low, high = _exact_ranks(n, q)
    else:
        skew = (WILSON_Z**2 - 1) * (1 - 2 * q) / 6
        spread = WILSON_Z * math.sqrt(variance)
        low = math.floor(n * q + skew - spread) - 1
        high = math.ceil(n * q + skew + spread) + 2
    return (low if low >= 1 else None), (high if high <= n else None)


EXACT_BELOW_VARIANCE = 25.0


def _exact_ranks(n: int, q: float) -> tuple[int, int]:
    """Largest low with P(X < low) ≤ 2.5 % and smallest high with P(X ≥ high) ≤ 2.5 %; 0 and n + 1 where none."""
    low = 0
    while low < n and at_most(low, n, q) <= ALPHA / 2:
        low += 1
    high = n + 1
    while high > 1 and at_least(high - 1, n, q) <= ALPHA / 2:
        high -= 1
    return low, high
