"""What the worst rows cost: the mean of the worst share (CVaR), and the part of all loss that they carry.

Knows losses and their bounds. Guaranteed for any number of independent rows; nothing is assumed of the shape.

With t any number fixed before, s the share, and x the loss of a further row,

    E[x; x > t] / max(s, P(x > t))  <=  CVaR  <=  t + E[(x - t)+] / s        (x >= 0)

the right side by R. Rockafellar and S. Uryasev (2000), "Optimization of conditional value-at-risk", the left because
no rows cost more than the worst of as many. t comes from the first tenth of the rows, the means from the others.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streameval.defaults import FURTHER_DATA, LEVEL
from streameval.errors import UsageError
from streameval.frozen import frozen
from streameval.statistics.accuracy import accuracy_interval
from streameval.statistics.bounds import Bounds, needed
from streameval.statistics.intervals import interval as mean_interval
from streameval.statistics.intervals.method import Interval, checked_level
from streameval.statistics.population import PIECE, Population
from streameval.statistics.quantiles import order_statistics
from streameval.statistics.samples import Permutation

SHARE = 0.01
PILOT = 0.1  # of the rows, for t
MOST = 1_000_000  # rows that an interval is made from, drawn at random: 40 bytes each
ASSUMES = "For further data: rows are independent, of one kind, no loss is out of bounds. Holds for any number of rows."


@frozen
class Worst:
    """The worst `share` of rows: of these rows exactly, and intervals for further data of their kind.

    mean   of their losses, in nats (CVaR) · part: of the sum of all losses
    used   rows that the intervals are made from
    """

    share: float
    mean: float
    part: float
    mean_interval: Interval
    part_interval: Interval
    rows: int
    used: int

    def to_dict(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "share": self.share,
            "mean": self.mean,
            "mean_interval": self.mean_interval.to_dict() | {"estimates": FURTHER_DATA},
            "part": self.part,
            "part_interval": self.part_interval.to_dict() | {"estimates": FURTHER_DATA},
            "rows": self.rows,
            "used": self.used,
        }


def worst(
    losses: Any,
    share: float = SHARE,
    *,
    level: float = LEVEL,
    bounds: Bounds | None,
    seed: int | np.random.Generator = 0,
) -> Worst:
    """Return what the worst `share` of rows cost.

    losses  (n,) at least 0, an array or a mapped file · bounds: of a loss · seed: of the order in which rows are taken

    Each interval holds by itself with probability `level`. Raises UsageError, DataError.
    """
    low, high = needed(bounds, "worst", instead=())
    checked_level(level)
    if not 0.0 < share < 1.0:
        raise UsageError(f"share {share}: a share of rows between 0 and 1 was expected, such as {SHARE}.")
    whole = Population.of(losses)
    mean, part = _exact(losses, share, whole)
    taken = _sample(losses, seed)
    miss = 1.0 - level
    total = mean_interval(
        np.maximum(taken, 0.0), "betting", level=1.0 - 0.5 * miss, bounds=(min(low, 0.0), high)
    )
    # Losses a rounding below 0 (eps adds to y) are taken as 0: the mean of the worst does not fall by it. So are those
    # a rounding over the bound, which passed, taken as the bound: what lies over t has narrower bounds of its own.
    sample = np.clip(taken, 0.0, high)
    ends = _ends(sample, share, miss, max(low, 0.0), high)
    half = _ends(sample, share, 0.5 * miss, max(low, 0.0), high)
    parts = (
        share * half[0] / total.high if total.high > 0 else 0.0,
        min(1.0, share * half[1] / total.low) if total.low > 0 else 1.0,
    )
    return Worst(
        share, mean, part, Interval(*ends, level, "betting", ASSUMES), Interval(*parts, level, "betting", ASSUMES),
        whole.rows, len(sample),
    )  # fmt: skip


def _ends(
    sample: NDArray[np.float64], share: float, miss: float, low: float, high: float
) -> tuple[float, float]:
    """Where CVaR lies, with a chance of `miss` in all: half of it above, a fourth each for two means below."""
    pilot = max(1, int(PILOT * len(sample)))
    if len(sample) < 2:
        return low, high
    t = float(np.quantile(sample[:pilot], 1.0 - share))
    rest = sample[pilot:]
    # The level of an interval is two-sided: one of its ends misses with half of the rest.
    over = mean_interval(
        np.maximum(rest - t, 0.0), "betting", level=1.0 - miss, bounds=(0.0, max(high - t, 1e-300))
    )
    above = rest > t
    cost = mean_interval(np.where(above, rest, 0.0), "betting", level=1.0 - 0.5 * miss, bounds=(0.0, high))
    beyond = accuracy_interval(int(above.sum()), len(rest), level=1.0 - 0.5 * miss)
    return max(low, cost.low / max(share, beyond.high)), min(high, t + over.high / share)


def _exact(losses: Any, share: float, whole: Population) -> tuple[float, float]:
    """The mean of the worst share of these rows, a row that is cut counted in part, and their part of the sum."""
    wanted = share * whole.rows
    rank = max(1, math.floor(whole.rows - wanted) + 1)
    edge = order_statistics(losses, [rank])[0]
    count, total = 0, []
    for start in range(0, whole.rows, PIECE):
        piece = np.asarray(losses[start : start + PIECE], np.float64)
        count += int((piece > edge).sum())
        total.append(float(piece[piece > edge].sum()))
    cost = math.fsum(total) + (wanted - count) * edge
    everything = whole.mean * whole.rows
    return cost / wanted, cost / everything if everything > 0 else share


def _sample(losses: Any, seed: int | np.random.Generator) -> NDArray[np.float64]:
    """At most `MOST` losses, in random order."""
    order = Permutation.of(len(losses), seed=seed)
    count = min(len(losses), MOST)
    parts = [losses[order.take(k, min(k + PIECE, count))] for k in range(0, count, PIECE)]
    return np.concatenate([np.asarray(part, np.float64) for part in parts])
