"""A band for the whole distribution of losses that holds after every row, while rows come in.

Knows losses in the order in which they came. Does not know what one look at a fixed number of rows allows: see
`quantiles.distribution_band`, which is narrower there.
"""

from __future__ import annotations

import functools
import math
from typing import Any, Final

import numpy as np

from streameval.arguments import integer
from streameval.elementary import exp, log, log1p
from streameval.errors import UsageError
from streameval.statistics.clusters import finite
from streameval.statistics.intervals.method import checked_level
from streameval.statistics.quantiles import Band

A: Final = 0.85  # of the paper's own example; any number over sqrt(1/2) would do


def running_band(values: Any, *, first: int, level: float = 0.95) -> Band:
    """Return the band after (n,) losses, one of a sequence that holds at every n >= `first` together.

        reach(n) = A sqrt((ln(1 + ln(n / first)) + C) / n)

    values  (n,) losses of independent rows, all that came so far: drawn with replacement, or rows as they arrive as a
            sample of further data of their kind. Rows drawn without replacement are not covered
    first   the number of rows from which on it is looked at, fixed before any was seen

    With probability `level`, at no row from the `first` on does any share of any band miss the true one: it may be
    looked at after every row, and reading may stop for any reason. S. R. Howard and A. Ramdas (2022), "Sequential
    estimation of quantiles with applications to A/B testing and best-arm identification", theorem 2. Raises UsageError,
    DataError.
    """
    sorted_losses = np.sort(finite(values, "losses", 0))
    return Band(sorted_losses, running_reach(len(sorted_losses), first=first, level=level), level)


def running_reach(rows: int, *, first: int, level: float = 0.95) -> float:
    """Return how far the shares of `rows` rows may lie from the true ones. Raises UsageError before the `first`."""
    checked_level(level)
    integer("first", first, least=1)
    if rows < first:
        raise UsageError(f"{rows} rows, but the band begins at first={first}. Look later, or begin earlier.")
    return A * math.sqrt((log1p(log(rows / first)) + constant(1.0 - level)) / rows)


@functools.cache
def constant(miss: float) -> float:
    """Return the least C at which the chance of any miss is at most `miss`, by bisection."""
    low, high = 0.0, 1.0
    while _chance(high) > miss:
        low, high = high, 2.0 * high
    while high - low > 1e-12 * high:
        middle = 0.5 * (low + high)
        low, high = (middle, high) if _chance(middle) > miss else (low, middle)
    return high


def _chance(c: float) -> float:
    """The theorem's bound on the chance of a miss, at the best eta of a grid: it holds for every eta.

    4 exp(-g C) (1 + 1 / ((g - 1) ln eta)),    g = 2 / eta (A - sqrt(2 (eta - 1) / C))^2 > 1
    """
    eta = 1.0 + np.geomspace(1e-5, 2.0 * A * A - 1.0, 4000)[:-1]
    root = A - np.sqrt(2.0 * (eta - 1.0) / c) if c else np.full(len(eta), -1.0)
    g = 2.0 / eta * root**2
    allowed = (root > 0.0) & (g > 1.0)
    if not allowed.any():
        return math.inf
    g, eta = g[allowed], eta[allowed]
    return float((4.0 * exp(-g * c) * (1.0 + 1.0 / ((g - 1.0) * log(eta)))).min())
