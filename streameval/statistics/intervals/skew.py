"""Hall's interval for skew losses. Knows mean, spread, skewness and size.

Named for P. Hall, who removed skewness by this transformation, here with the Edgeworth polynomial of draws without
replacement; the tests and `python -m benchmarks.coverage` measure its coverage.
"""

from __future__ import annotations

import math

from streameval.elementary import cbrt
from streameval.statistics.intervals.batch import Batch, Moments
from streameval.statistics.intervals.method import Method, flat, quantile


def limits(one: Moments, n: int, population: int | None, level: float) -> tuple[float, float]:
    """Return mean - s T(z) / sqrt(n~) and mean - s T(-z) / sqrt(n~), z the normal quantile.

        T(z) = (cbrt(1 + 3 A (z - B)) - 1) / A      n~ = n / (1 - f)
        A = g (2 - f) / (6 sqrt(n (1 - f)))         B = g (1 - 2f) / (6 sqrt(n (1 - f)))

    with g the sample's skewness, f = n/N without replacement, 0 with. The studentized mean t is less than x with
    probability Phi(x) + (A x^2 + B) phi(x) + o(1/sqrt n); t + A t^2 + A^2 t^3 / 3 + B, which is monotone in t and
    has T as its inverse, is free of that term. For g -> 0, T is z: the normal interval.
    """
    if n == 1:
        return -math.inf, math.inf
    share = 0.0 if population is None else n / population
    z, root, scale = quantile(level), math.sqrt(n / (1.0 - share)), one.skewness
    scale /= 6.0 * math.sqrt(n * (1.0 - share))
    above, below = _inverse(z, scale, share), _inverse(-z, scale, share)
    return one.mean - one.sd * (above / root), one.mean - one.sd * (below / root)


def _inverse(z: float, scale: float, share: float) -> float:
    bend, shift = scale * (2.0 - share), scale * (1.0 - 2.0 * share)
    if abs(bend) < 1e-7:  # below this the cube root loses more digits than the bend is worth
        return z
    return (cbrt(1.0 + 3.0 * bend * (z - shift)) - 1.0) / bend


def warn(batch: Batch) -> str | None:
    """Warn of samples without spread, and of very small ones."""
    if batch.n < 30 and not flat(batch):
        return f"{batch.n} rows are too few to estimate a skewness from; 'betting' holds for any number."
    return flat(batch)


SKEW = Method(
    name="skew",
    of_moments=limits,
    assumes="The rows were drawn at random, and the sample's own skewness is close to the population's.",
    warn=warn,
    bounded=False,
    anytime=False,
)
