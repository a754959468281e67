"""Quantiles of Student's t. Knows the incomplete beta function and nothing of losses."""

from __future__ import annotations

import math

from streameval.statistics.accuracy import incomplete_beta
from streameval.statistics.intervals.interval import quantile


def student_quantile(level: float, freedom: float) -> float:
    """Return t with P(|T| < t) = level for a Student's T: 12.71 for 0.95 and 1 degree of freedom, 1.96 for many.

    freedom: degrees of freedom > 0, not always whole; infinite for the normal law. By halving, to 1e-12.
    """
    normal = quantile(level)
    if math.isinf(freedom):
        return normal
    low, high = normal, 2.0 * normal + 1.0  # t is never below the normal quantile
    while _beyond(high, freedom) > 1.0 - level:
        low, high = high, 2.0 * high
    while high - low > 1e-12 * high:
        middle = 0.5 * (low + high)
        if _beyond(middle, freedom) > 1.0 - level:
            low = middle
        else:
            high = middle
    return 0.5 * (low + high)


def _beyond(t: float, freedom: float) -> float:
    """P(|T| > t) = I_x(freedom / 2, 1/2) with x = freedom / (freedom + t^2)."""
    return incomplete_beta(0.5 * freedom, 0.5, freedom / (freedom + t * t))
