"""The betting interval: what no gambler could have grown rich against. Knows losses in the order drawn.

I. Waudby-Smith, A. Ramdas (2024), "Estimating means of bounded random variables by betting".
"""

from __future__ import annotations

import math

import numpy as np

from streameval.elementary import log
from streameval.statistics.bounds import Bounds, needed
from streameval.statistics.intervals.batch import Batch, Floats
from streameval.statistics.intervals.method import Method, silent

# Variance of the row imagined before the first, on the [0, 1] scale: the largest there is. 0.01 would save 8 % of the
# 240 rows to +-0.2 and nothing of the 22,202 to +-0.01 on MNIST, and takes 52 % more rows to +-0.02 where 0.5 % of the
# rows hold 8 to 16 nats (20,359 for 13,369), 43 % more to +-0.2 where half of all rows lie at each bound.
PRIOR = 0.25


def limits(
    batch: Batch, level: float, bounds: Bounds | None, *, half_width: float | None = None
) -> tuple[Floats, Floats]:
    """Return the means m with max(K+(m), K-(m)) / 2 < 1/a after the last row, with a = 1 - level.

    The bets are l_i = sqrt(2 ln(2/a) / (v_(i-1) n~)) N / (N - i + 1), cut at 0.9 of the capital: tuned to
    be narrowest after n rows, so that they are bets on another number of rows at every look. With a half_width
    they are those of `sequences.Betting`, the same at every look. The kernel `betting` holds the capital's
    formula and finds the ends.
    """
    from streameval.kernels.betting import betting_limits_trials

    low, high = needed(bounds, "betting")
    x = batch.scaled((low, high))
    ends = np.empty((len(x), 2))
    aimed = half_width is not None
    stake = half_width / (high - low) if half_width is not None else rate(batch, level)
    bets = np.empty_like(x)
    betting_limits_trials(x, batch.population or 0, stake, aimed, PRIOR, threshold(level), bets, ends)
    return low + (high - low) * ends[:, 0], low + (high - low) * ends[:, 1]


def misses(batch: Batch, level: float, truth: float, bounds: Bounds | None) -> tuple[np.ndarray, np.ndarray]:
    """Return where the capital against the true mean passes 2/a: exactly where the interval misses it."""
    capital = log_capital(batch, level, truth, bounds, ever=False)
    return capital[:, 1] >= threshold(level), capital[:, 0] >= threshold(level)


def log_capital(
    batch: Batch,
    level: float,
    truth: float,
    bounds: Bounds | None,
    *,
    ever: bool,
    half_width: float | None = None,
    prior: float = PRIOR,
) -> Floats:
    """Return the log-capital won against `truth`, (trials, 2): by betting that it is too low, too high.

    ever        the largest along the way, which says whether any look at all would have missed
    half_width  bets aimed at it, as `until` makes them; None: bets tuned to the number of rows
    """
    from streameval.kernels.betting import betting_capital_trials

    low, high = needed(bounds, "betting")
    x = batch.scaled((low, high))
    out = np.empty((len(x), 2))
    goal = (truth - low) / (high - low)
    aimed = half_width is not None
    stake = half_width / (high - low) if half_width is not None else rate(batch, level)
    betting_capital_trials(x, batch.population or 0, stake, aimed, prior, goal, ever, np.empty_like(x), out)
    return out


def threshold(level: float) -> float:
    """Return ln(2/a): each side may use half of the error."""
    return log(2.0 / (1.0 - level))


def rate(batch: Batch, level: float) -> float:
    """Return sqrt(2 ln(2/a) / n~), the bet for a spread of 1."""
    return 0.0 if batch.exhausted else math.sqrt(2.0 * threshold(level) / batch.effective)


BETTING = Method(
    name="betting",
    limits=limits,
    assumes=(
        "The rows were drawn at random, are given in the order drawn, their number was fixed before (`until` has the "
        "form for looking while rows come in), and no loss is out of bounds."
    ),
    warn=silent,
    bounded=True,
    anytime=False,
    misses=misses,
)
