"""How unlikely a mean is in a random order, for certain: Chernoff bounds from all losses. Knows their histogram.

Nothing is taken from a normal law: the bounds hold for any losses, for few rows and far out, and are for that a little
larger than the chances themselves.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from streameval.elementary import exp, lgamma, log, log1p, logaddexp
from streameval.frozen import frozen
from streameval.statistics.population import PIECE, Population

BINS = 512
TILTS = np.geomspace(
    0.02, 4.0, 40
)  # of the tilt that would be best for normal losses; any tilt gives a valid bound
NEWTON = 8
NODES = 128  # of the integrals over positions and phases

Floats = NDArray[np.float64]


@frozen(eq=False)
class Tails:
    """All losses as a histogram of deviations from their mean.

    gaps (k,) mean deviation in each bin, in nats · shares (k,) of all rows · width: of a bin · rows, variance: of all
    """

    gaps: Floats
    shares: Floats
    width: float
    rows: int
    variance: float

    @classmethod
    def of(cls, losses: Any, whole: Population) -> Tails:
        """Read all losses once, piece by piece; they vary."""
        width = (whole.largest - whole.smallest) / BINS
        counts, sums = np.zeros(BINS), np.zeros(BINS)
        for start in range(0, whole.rows, PIECE):
            piece = np.asarray(losses[start : start + PIECE], np.float64)
            places = np.minimum(((piece - whole.smallest) / width).astype(np.int64), BINS - 1)
            counts += np.bincount(places, minlength=BINS)
            sums += np.bincount(places, piece - whole.mean, BINS)
        held = counts > 0
        variance = whole.sd**2 * (1.0 - 1.0 / whole.rows)
        return cls(sums[held] / counts[held], counts[held] / whole.rows, width, whole.rows, variance)

    def mean_of(self, count: int, gap: float) -> float:
        """Return a bound of log P(mean of `count` rows drawn at random, without replacement, is off by gap or more).

        On gap's side. The smallest of three: as if drawn with replacement, which is never less likely to stray
        (Hoeffding 1963, theorem 4), for these rows and for the others; and with each row taken by a coin of its own,
        given that `count` were (`_by_coins`), which knows that half of all rows stray less.
        """
        rest = self.rows - count
        if rest == 0 or gap == 0.0:
            return 0.0
        found = [self._drawn(count, gap), self._drawn(rest, -gap * count / rest), self._by_coins(count, gap)]
        return min(0.0, *found)

    def weighted(self, weights: Floats, rows: int, total: float) -> float:
        """Return a bound of log P(sum_i c_i (loss_i - mean) over `rows` places >= total), losses in random order.

        weights  (k,) values of c at the ends of k - 1 equally likely cells: the trapezoid rule then gives no less than
                 the mean of K(2 l c), because K is convex, or, for the cosine of equidistant phases, all its digits

        Losses in random order are negatively associated (Joag-Dev & Proschan 1983), so that for weights of one sign
        the expectation of exp(l sum) is at most that of independent losses; both signs are joined by Cauchy-Schwarz:
        log E exp(l sum) <= 1/2 sum_i K(2 l c_i), K the log of a loss's exponential moment.
        """
        scale = total / (self.variance * rows * float(np.mean(weights**2)))
        tilts = scale * TILTS
        growth = self._growth(2.0 * tilts[:, None] * weights[None, :])
        mean = 0.5 * (growth[:, 1:] + growth[:, :-1]).mean(axis=1)
        return min(0.0, float(np.min(0.5 * rows * mean - tilts * total)))

    def _growth(self, tilts: Floats) -> Floats:
        """Return K(l) = log E exp(l (loss - mean)), not less, for any array of tilts: Hoeffding's lemma in each bin."""
        powers = tilts[..., None] * self.gaps
        top = powers.max(axis=-1)
        inside = log((self.shares * exp(powers - top[..., None])).sum(axis=-1))
        return np.asarray(top + inside + (tilts * self.width) ** 2 / 8.0)

    def _drawn(self, count: int, gap: float) -> float:
        tilts = TILTS * gap / self.variance
        return float(np.min(count * (self._growth(tilts) - tilts * gap)))

    def _by_coins(self, count: int, gap: float) -> float:
        """Bound it by E exp(l (S - count gap) + m (K - count)) / P(K = count): each row taken with p = count / N.

        K rows are taken, S is their summed deviation. For every tilt l, m is where K is expected to be count.
        """
        p = count / self.rows
        tilts = TILTS[:, None] * gap / (self.variance * (1.0 - p))
        logit = log(p) - log1p(-p)
        level = np.zeros_like(tilts)
        for _ in range(NEWTON):
            taken = 1.0 / (1.0 + exp(np.clip(-(tilts * self.gaps + level + logit), -700.0, 700.0)))
            slope = (self.shares * taken * (1.0 - taken)).sum(axis=1, keepdims=True)
            off = p - (self.shares * taken).sum(axis=1, keepdims=True)
            level = level + np.clip(off / np.maximum(slope, 1e-300), -2.0, 2.0)
        powers = logaddexp(log1p(-p), log(p) + tilts * self.gaps + level)
        mean = (self.shares * powers).sum(axis=1) + (tilts[:, 0] * self.width) ** 2 / 32.0
        exponent = self.rows * mean - count * (tilts[:, 0] * gap + level[:, 0])
        return float(np.min(exponent)) - _log_binomial(self.rows, count)


def _log_binomial(rows: int, count: int) -> float:
    """Return log P(K = count) for K binomial(rows, count / rows)."""
    p = count / rows
    ways = lgamma(rows + 1) - lgamma(count + 1) - lgamma(rows - count + 1)
    return ways + count * log(p) + (rows - count) * log1p(-p)
