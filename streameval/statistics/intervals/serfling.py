"""The empirical Bernstein-Serfling bound, for draws without replacement. Knows spread, sizes and bounds.

R. Bardenet, O.-A. Maillard (2015), "Concentration inequalities for sampling without replacement".
"""

from __future__ import annotations

import math

from streameval.elementary import log
from streameval.statistics.bounds import Bounds, needed
from streameval.statistics.intervals.batch import Batch, Floats
from streameval.statistics.intervals.method import Method, silent


def limits(batch: Batch, level: float, bounds: Bounds | None) -> tuple[Floats, Floats]:
    """Return mean -+ (s sqrt(2 rho ln(10/a) / n) + (7/3 + 3/sqrt 2) R ln(10/a) / n), with a = 1 - level.

        rho = 1 - (n - 1)/N  if n <= N/2,  else (1 - n/N)(1 + 1/n);  1 with replacement

    s has ddof 1 here, at least as large as the paper's. One row has no s: the bounds themselves.
    """
    low, high = needed(bounds, "serfling")
    n = batch.n
    cost = log(10.0 / (1.0 - level))
    rho = 1.0
    if batch.population is not None:
        share = n / batch.population
        rho = 1.0 - (n - 1) / batch.population if share <= 0.5 else (1.0 - share) * (1.0 + 1.0 / n)
    half = batch.sd * math.sqrt(2.0 * rho * cost / n) + (7 / 3 + 3 / math.sqrt(2)) * (high - low) * cost / n
    return batch.mean - half, batch.mean + half


SERFLING = Method(
    name="serfling",
    limits=limits,
    assumes="The rows were drawn at random, and no loss lies outside the bounds.",
    warn=silent,
    bounded=True,
    anytime=False,
)
