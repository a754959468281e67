"""Student's t: how far a mean lies when its spread was estimated from few units. Knows numbers only."""

from __future__ import annotations

import functools
import math

from streameval.statistics.accuracy import incomplete_beta
from streameval.statistics.intervals.method import checked_level, quantile

STUDENT = "student"  # the method of an interval by it


@functools.lru_cache(maxsize=1024)
def t_quantile(level: float, freedom: float) -> float:
    """Return t with P(|T| < t) = level for Student's T with `freedom` degrees of freedom: 2.776 for 0.95 and 4.

    Infinite below one degree of freedom, where nothing is known of the spread; the normal quantile for infinity.
    Bisection on 1 - I_x(freedom / 2, 1 / 2) with x = freedom / (freedom + t^2). Up to 20 ms: answers are kept.
    """
    checked_level(level)
    if freedom < 1:
        return math.inf
    if math.isinf(freedom):
        return quantile(level)
    low, high = 0.0, 1.0
    while t_inside(high, freedom) < level and high < 1e300:
        high *= 2.0
    while low < (middle := 0.5 * (low + high)) < high and high - low > 1e-13 * high:
        if t_inside(middle, freedom) < level:
            low = middle
        else:
            high = middle
    return high


def t_beyond(t: float, freedom: float) -> float:
    """Return P(|T| >= t), t >= 0: the two-sided p-value of t."""
    return incomplete_beta(0.5 * freedom, 0.5, freedom / (freedom + t * t))


def t_inside(t: float, freedom: float) -> float:
    """Return P(|T| < t), t >= 0."""
    return 1.0 - incomplete_beta(0.5 * freedom, 0.5, freedom / (freedom + t * t))
