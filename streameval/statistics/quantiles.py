"""The distribution of losses: quantiles with exact intervals, and a band for all of it. Knows losses, no shape.

Nothing is assumed of the losses but how their rows were drawn: intervals end at losses that were seen.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streameval.arguments import real
from streameval.elementary import log
from streameval.errors import UsageError
from streameval.frozen import frozen
from streameval.statistics.accuracy import first, hypergeometric_tail, incomplete_beta
from streameval.statistics.clusters import finite
from streameval.statistics.intervals.method import Interval, checked_level
from streameval.statistics.population import PIECE

DIGIT = 16  # bits that a pass over the losses settles
ASSUMES = "The rows were drawn at random; nothing is assumed of their losses. Holds for any number of rows."


def quantile_interval(
    values: Any, share: float, *, level: float = 0.95, population: int | None = None
) -> Interval:
    """Return where the quantile of all rows lies: the least loss that a `share` of them do not pass.

    values      (n,) losses of rows drawn at random, an array or a mapped file; memory does not grow with it
    population  N when they were drawn without replacement from N rows; None for draws with replacement, and for further
                data of which the rows are an independent sample

    The ends are the losses of two ranks l < u, by the binomial (hypergeometric) law: P(X < l) and P(X >= u) are at most
    (1 - level) / 2 each, X the number of rows at or below the quantile. An end that no rank gives is infinite. At n = N
    both are the quantile. Raises UsageError,
    DataError.
    """
    rows = _checked(values, share, population)
    checked_level(level)
    if rows == population:
        exact = order_statistics(values, [rank_of(share, rows)])[0]
        return Interval(exact, exact, level, "order statistics", ASSUMES)
    low, high = quantile_ranks(rows, share, level=level, population=population)
    inside = [rank for rank in (low, high) if 1 <= rank <= rows]
    found = dict(zip(inside, order_statistics(values, inside), strict=True))
    return Interval(found.get(low, -math.inf), found.get(high, math.inf), level, "order statistics", ASSUMES)


def quantile_ranks(
    rows: int, share: float, *, level: float = 0.95, population: int | None = None
) -> tuple[int, int]:
    """Return the ranks l, u (1 the least) between whose losses the quantile lies; 0 and rows + 1 for no such row."""
    tail = 0.5 * (1.0 - level)
    if population is None:
        fewer: Callable[[int], float] = lambda k: _binomial_tail(rows - k + 1, rows, 1.0 - share)  # noqa: E731
        more: Callable[[int], float] = lambda k: _binomial_tail(k, rows, share)  # noqa: E731
    else:
        below = rank_of(share, population)
        fewer = lambda k: hypergeometric_tail(rows - k + 1, rows, population - below, population)  # noqa: E731
        more = lambda k: hypergeometric_tail(k, rows, below - 1, population)  # noqa: E731
    # P(X < k) grows with k: the largest k at which it is small; P(X >= k) falls: the first at which it is.
    return first(lambda k: fewer(k) > tail, 1, rows + 1) - 1, first(lambda k: more(k) <= tail, 1, rows + 1)


def rank_of(share: float, rows: int) -> int:
    """Return the rank of the quantile of so many rows: share * rows rounded up, its own rounding apart."""
    return min(rows, max(1, math.ceil(share * rows * (1.0 - 1e-12))))


def order_statistics(values: Any, ranks: Sequence[int]) -> list[float]:
    """Return the losses of these ranks, 1 the least, of (n,) losses: exactly, in four passes and bounded memory.

    Each pass settles sixteen bits of the numbers wanted, by counting the losses that agree in those before.
    """
    prefixes, left = [0] * len(ranks), [rank - 1 for rank in ranks]
    for shift in range(64 - DIGIT, -1, -DIGIT):
        counts = {prefix: np.zeros(1 << DIGIT, np.int64) for prefix in prefixes}
        for start in range(0, len(values), PIECE):
            keys = _keys(finite(values[start : start + PIECE], "losses", start))
            for prefix, count in counts.items():
                mine = keys if shift == 64 - DIGIT else keys[keys >> np.uint64(shift + DIGIT) == prefix]
                digits = (mine >> np.uint64(shift)) & np.uint64((1 << DIGIT) - 1)
                count += np.bincount(digits.astype(np.int64), minlength=1 << DIGIT)
        for k, prefix in enumerate(prefixes):
            reached = np.cumsum(counts[prefix])
            digit = int(np.searchsorted(reached, left[k], side="right"))
            left[k] -= int(reached[digit - 1]) if digit else 0
            prefixes[k] = prefix << DIGIT | digit
    return _values(np.array(prefixes, np.uint64)).tolist()  # type: ignore[no-any-return]


@frozen(eq=False)
class Band:
    """Where the whole distribution lies: at every loss x, the share of rows at or below it is within `reach` of that of
    the rows seen; all shares together, with probability `level`, over all looks where there are several.

    losses  (n,) float64 ascending
    """

    losses: NDArray[np.float64]
    reach: float
    level: float

    def share(self, loss: float) -> tuple[float, float]:
        """Return where the share of rows at or below this loss lies."""
        seen = float(np.searchsorted(self.losses, loss, side="right")) / len(self.losses)
        return max(0.0, seen - self.reach), min(1.0, seen + self.reach)

    def quantile(self, share: float) -> tuple[float, float]:
        """Return where the quantile lies; infinite ends where the rows do not tell."""
        rows = len(self.losses)
        low, high = math.ceil(rows * (share - self.reach)), math.ceil(rows * (share + self.reach))
        return (
            float(self.losses[low - 1]) if low >= 1 else -math.inf,
            float(self.losses[high - 1]) if high <= rows else math.inf,
        )


def distribution_band(values: Any, *, level: float = 0.95, look: int | None = None) -> Band:
    """Return the band of Dvoretzky, Kiefer and Wolfowitz with Massart's constant: reach = sqrt(ln(2/a) / (2n)).

    It is for looks that were planned: `running_band.running_band` may be looked at after every row.

    values  (n,) losses of independent rows: drawn with replacement, or all rows as a sample of further data
    look    None for one look at a number of rows that was fixed before. At the k-th of several looks, each at a number
            of rows fixed before, give k: it spends a / (k (k + 1)) of the error, and all bands hold at `level` together

    P. Massart (1990), "The tight constant in the Dvoretzky-Kiefer-Wolfowitz inequality". Raises UsageError, DataError.
    """
    checked_level(level)
    rows = _checked(values, 0.5, None)
    if look is not None and look < 1:
        raise UsageError(f"look {look}: looks are counted from 1.")
    miss = (1.0 - level) / (1 if look is None else look * (look + 1))
    sorted_losses = np.sort(finite(values, "losses", 0))
    return Band(sorted_losses, math.sqrt(log(2.0 / miss) / (2.0 * rows)), level)


def _checked(values: Any, share: float, population: int | None) -> int:
    rows = len(values)
    expected = "a share of rows between 0 and 1, such as 0.99"
    if not 0.0 < real("share", share, expected) < 1.0:
        raise UsageError(f"share {share}: {expected}, was expected.")
    if rows == 0 or (population is not None and rows > population):
        raise UsageError(
            f"{rows} losses of {population} rows: one at least, and no more than there are, were expected."
        )
    return rows


def _binomial_tail(least: int, rows: int, chance: float) -> float:
    """Return P(X >= least), X binomial."""
    return 1.0 if least <= 0 else 0.0 if least > rows else incomplete_beta(least, rows - least + 1, chance)


def _keys(values: NDArray[np.float64]) -> NDArray[np.uint64]:
    """Return unsigned integers in the order of the numbers."""
    bits = (values + 0.0).view(np.uint64)
    top = np.uint64(1 << 63)
    return np.where(bits & top, ~bits, bits | top)


def _values(keys: NDArray[np.uint64]) -> NDArray[np.float64]:
    top = np.uint64(1 << 63)
    return np.where(keys & top, keys & ~top, ~keys).view(np.float64)
