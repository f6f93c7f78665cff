"""Quantiles of Student's t. Pure; no scipy."""

from statistics import NormalDist


def t_quantile(q: float, degrees: float) -> float:
    """The q-quantile of t with these degrees of freedom, within 3% from 3 on and 0.3% from 5 on, for 0.001 ≤ q ≤ 0.999.

    Cornish-Fisher expansion to the fourth order (Abramowitz and Stegun, 26.7.5). Raises ValueError outside 0 < q < 1
    and below 3 degrees.
    """
    if not 0 < q < 1:
        raise ValueError(f"a quantile lies between 0 and 1, not {q:g}")
    if degrees < 3:
        raise ValueError(f"the expansion needs at least 3 degrees of freedom, not {degrees:g}")
    z = NormalDist().inv_cdf(q)
    terms = (
        (z**3 + z) / 4,
        (5 * z**5 + 16 * z**3 + 3 * z) / 96,
        (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384,
        (79 * z**9 + 776 * z**7 + 1482 * z**5 - 1920 * z**3 - 945 * z) / 92160,
    )
    return z + sum(term / degrees**order for order, term in enumerate(terms, 1))
