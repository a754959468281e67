"""The predictable empirical Bernstein interval, closed form. Knows losses in the order drawn.

I. Waudby-Smith, A. Ramdas (2024), "Estimating means of bounded random variables by betting".
"""

from __future__ import annotations

import numpy as np

from streameval.statistics.bounds import Bounds, needed
from streameval.statistics.intervals.batch import Batch, Floats
from streameval.statistics.intervals.betting import PRIOR, rate, threshold
from streameval.statistics.intervals.method import Method, silent


def limits(batch: Batch, level: float, bounds: Bounds | None) -> tuple[Floats, Floats]:
    """Return the bound after the last row, with bets tuned to be narrowest there.

    The kernel `statistics_predictable` holds the formula: a few sums, O(1) memory and time for each row.
    """
    from streameval.kernels.statistics_predictable import predictable_trials

    low, high = needed(bounds, "predictable")
    x = batch.scaled((low, high))
    ends = np.empty((len(x), 2))
    states = np.zeros((len(x), 7))
    predictable_trials(x, batch.population or 0, rate(batch, level), PRIOR, threshold(level), states, ends)
    return low + (high - low) * ends[:, 0], low + (high - low) * ends[:, 1]


PREDICTABLE = Method(
    name="predictable",
    limits=limits,
    assumes=(
        "The rows were drawn at random, are given in the order drawn, their number was fixed before (`until` has the "
        "form for looking while rows come in), and no loss is out of bounds."
    ),
    warn=silent,
    bounded=True,
    anytime=False,
)
