"""What a look at the order of rows is, before and after it was judged. Knows numbers only."""

from __future__ import annotations

import math
from collections.abc import Callable

from streameval.elementary import log
from streameval.frozen import frozen
from streameval.statistics.intervals.method import quantile
from streameval.statistics.tails import Tails


@frozen
class Finding:
    """One look at the order.

    kind     "stride", "period", "block", "trend" or "repeat" · size: rows between two rows taken, of a period, of a
             block or of a repeated stretch, at least; 0 for the trend
    z        the deviation from a random order, close to standard normal if the order is random; that of a period is the
             largest of many, and a length. None for repeats: there are some, or none
    limit    what |z| has to pass before the look is examined · flagged: it passed, and is as rare in truth
    price    stride: the worst relative error of the mean of such a sample, (mean_r - mean) / mean; block: variance of
             a block's mean over that of as many random rows; trend: the correlation; period: the swing, relative to
             the mean; repeat: the share of rows in stretches that come twice
    chance   bounds the chance of so much in any look of this kind if the order is random; None below the limit
    """

    kind: str
    size: int
    z: float | None
    limit: float
    flagged: bool
    price: float
    chance: float | None


@frozen
class Look:
    """A look that was taken. tests: how many z-scores its z is the largest of · log_chance: a bound of the log of the
    chance of one that large, for certain · rayleigh: z is the length of two normal deviations, not one."""

    kind: str
    size: int
    z: float | None
    price: float
    tests: int
    log_chance: Callable[[Tails], float]
    rayleigh: bool = False

    def limit(self, allowed: float) -> float:
        """Return the z that normal losses pass with the chance that each test is allowed."""
        return math.sqrt(-2.0 * log(allowed)) if self.rayleigh else quantile(1.0 - allowed)
