"""Hall's interval for skew losses. Knows mean, spread, skewness and size.

Named for P. Hall, who removed skewness by this transformation; the tests measure its coverage.
"""

from __future__ import annotations

import math

import numpy as np

from streameval.statistics.bounds import Bounds
from streameval.statistics.intervals.batch import Batch, Floats
from streameval.statistics.intervals.interval import Method, flat, quantile


def limits(batch: Batch, level: float, bounds: Bounds | None) -> tuple[Floats, Floats]:
    """Return mean - s W(z / sqrt(n~)) and mean - s W(-z / sqrt(n~)).

        W(u) = (3 / g) (cbrt(1 + g (u - g / (6 n~))) - 1)     n~ = n / (1 - n/N)

    W inverts a cubic transformation of the studentized mean that removes its skewness to first order;
    for g -> 0 it is u, the normal interval.
    """
    if batch.n == 1:
        return np.full(len(batch.values), -np.inf), np.full(len(batch.values), np.inf)
    reach = quantile(level) / math.sqrt(batch.effective)
    low, high = batch.mean - batch.sd * _inverse(np.array([[reach], [-reach]]), batch)
    return low, high


def _inverse(u: Floats, batch: Batch) -> Floats:
    g = batch.skewness
    straight = np.abs(g) < 1e-6  # below this the cube root loses more digits than the bend is worth
    bent = np.where(straight, 1.0, g)
    curve = 3.0 / bent * (np.cbrt(1.0 + bent * (u - bent / (6.0 * batch.effective))) - 1.0)
    return np.asarray(np.where(straight, u, curve))


def warn(batch: Batch) -> str | None:
    """Warn of samples without spread, and of very small ones."""
    if batch.n < 30 and not flat(batch):
        return f"{batch.n} rows are too few to estimate a skewness from; 'betting' holds for any number."
    return flat(batch)


SKEW = Method(
    name="skew",
    limits=limits,
    assumes="The rows were drawn at random, and the sample's own skewness is close to the population's.",
    warn=warn,
    bounded=False,
    anytime=False,
)
