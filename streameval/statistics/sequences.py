"""Intervals that may be looked at after every row, fed row by row. Know losses in the order of the draw.

A sequence is fed in pieces of any size; what it says after row t depends on the first t rows alone.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Final, Protocol

import numpy as np
from numpy.typing import NDArray

from streameval.arguments import real
from streameval.elementary import log
from streameval.errors import UsageError
from streameval.statistics.bounds import Bounds, needed
from streameval.statistics.intervals import INTERVALS
from streameval.statistics.intervals.asymptotic import margin
from streameval.statistics.intervals.batch import Batch, Floats
from streameval.statistics.intervals.betting import PRIOR, threshold
from streameval.statistics.intervals.method import checked_level
from streameval.statistics.intervals.normal import ROWS_FOR_SKEWNESS

TINY = 1e-300  # of the range: a bet on less is 0, and nothing can be divided by it
BURN_IN = 500  # rows before which the asymptotic sequence shows nothing: where it is narrowest


class Sequence(Protocol):
    """An anytime-valid interval of a mean, aimed at a half-width."""

    @property
    def fed(self) -> int:
        """Rows fed so far."""

    def feed(self, losses: Any) -> None:
        """Take in further losses, (n,), in the order of the draw."""

    def at(self, rows: int) -> tuple[float, float, float]:
        """Return mean, low and high after the first `rows` rows, 1 <= rows <= fed."""

    def shown(self, rows: int) -> bool:
        """Return whether the promise covers the interval after `rows` rows, so that it may be shown."""

    def stop(self, after: int) -> int | None:
        """Return a row in after+1..fed at which the interval has become narrow enough, or None."""


def sequence(
    method: str,
    population: int | None,
    *,
    half_width: float,
    level: float = 0.95,
    bounds: Bounds | None,
    prior: float = PRIOR,
) -> Sequence:
    """Return the sequence of a row of `SEQUENCES`, nothing fed yet.

    population  N when the rows are drawn without replacement, None when with
    half_width  what to aim at, in nats · bounds: `Loss.bounds`; "asymptotic" needs none
    prior       see `Betting`

    Raises UsageError for a method that may not be looked at any time, and for numbers that mean nothing.
    """
    if method not in SEQUENCES:
        raise UsageError(
            f"method {method!r}: {' or '.join(SEQUENCES)} was expected, which may be looked at any time."
        )
    unbounded = [name for name in SEQUENCES if not INTERVALS[name].bounded]
    limits = needed(bounds, method, instead=unbounded) if INTERVALS[method].bounded else None
    return SEQUENCES[method](_Fed(population, half_width, level, limits), prior)


class _Fed:
    """Losses taken in so far, scaled to [0, 1], with their running sums. O(rows fed) memory."""

    def __init__(
        self, population: int | None, half_width: float, level: float, bounds: Bounds | None
    ) -> None:
        name, expected = "half_width (--half-width)", "a positive number of nats, such as 0.01"
        if not 0.0 < real(name, half_width, expected) < math.inf:
            raise UsageError(f"half-width {half_width}: {expected}, was expected.")
        self.population = population
        self.level = checked_level(level)
        self.bounds = bounds
        self.low, self.high = bounds if bounds is not None else (0.0, 1.0)
        self.range = self.high - self.low
        self.target = max(half_width / self.range, TINY)
        self.fed = 0
        self.x: Floats = np.empty(1024)
        self.sums: Floats = np.empty(1024)
        self.totals: list[float] = []  # of the losses as they came, for the exact mean at the end

    def take(self, losses: Any) -> int:
        """Append; return how many were there before."""
        before = self.fed
        batch = Batch.of(losses)
        scaled = batch.values[0]
        if self.bounds is not None:
            batch.check(self.bounds)
            scaled = batch.scaled(self.bounds)[0]
        after = before + len(scaled)
        if self.population is not None and after > self.population:
            raise UsageError(f"{after} rows fed, but the population has {self.population}.")
        self.x = grown(self.x, before, after)
        self.sums = grown(self.sums, before, after)
        self.x[before:after] = scaled
        start = self.sums[before - 1] if before else 0.0
        # The running sum starts from the last one, so that the pieces' sizes leave no trace in the digits.
        self.sums[before:after] = np.cumsum(np.concatenate([[start], scaled]))[1:]
        self.totals.append(math.fsum(losses))
        self.fed = after
        return before

    def mean(self, rows: int) -> float:
        """Return the mean of the first `rows` losses, in nats; at n = N from the losses as they came."""
        if rows == self.population:
            return math.fsum(self.totals) / rows
        return self.low + self.range * float(self.sums[rows - 1]) / rows

    def forced(self, rows: int) -> tuple[float, float]:
        """Return what the first rows force, on the [0, 1] scale: [S / N, (S + N - t) / N]."""
        if self.population is None:
            return 0.0, 1.0
        total = float(self.sums[rows - 1])
        return total / self.population, (total + self.population - rows) / self.population

    def outward(self, rows: int, low: float, high: float) -> tuple[float, float, float]:
        """Return mean, low and high in nats, from ends on the [0, 1] scale; exact at n = N."""
        mean = self.mean(rows)
        if rows == self.population:
            return mean, mean, mean
        return mean, min(self.low + self.range * low, mean), max(self.low + self.range * high, mean)


class Betting:
    """The capital processes with bets aimed at the wanted half-width e.

        l_i = e / v_(i-1) * N / (N - i + 1)

    which is sqrt(2 ln(2/a) / (v n*)) N / (N - i + 1) with n* = 2 ln(2/a) v / e^2 draws and the running
    variance for v: the growth of the capital against a mean off by e is then largest. `prior` is the
    variance of a row imagined before the first, on the scale of the range: 1/4, the largest there is, is
    right for losses; differences of losses are mostly tiny and want a tiny one. Any value is valid.
    """

    def __init__(self, rows: _Fed, prior: float) -> None:
        self._rows, self._prior = rows, prior
        self._state = np.zeros(3)
        self._bets: Floats = np.empty(1024)

    @property
    def fed(self) -> int:
        return self._rows.fed

    def feed(self, losses: Any) -> None:
        from streameval.kernels.betting import bets_onward

        rows = self._rows
        before = rows.take(losses)
        self._bets = grown(self._bets, before, rows.fed)
        bets_onward(
            rows.x,
            before,
            rows.fed,
            rows.population or 0,
            rows.target,
            True,
            self._prior,
            self._state,
            self._bets,
        )

    def at(self, rows: int) -> tuple[float, float, float]:
        fed = self._rows
        if rows == fed.population:
            return fed.outward(rows, 0.0, 1.0)
        return fed.outward(rows, *self._ends(rows))

    def shown(self, rows: int) -> bool:
        return True

    def stop(self, after: int) -> int | None:
        """Found by halving between `after` and the last row fed, if the interval suffices there."""
        fed = self._rows
        if not self._suffices(fed.fed):
            return None
        low, high = after, fed.fed
        while high - low > 1:
            middle = (low + high) // 2
            if self._suffices(middle):
                high = middle
            else:
                low = middle
        return high

    def _suffices(self, rows: int) -> bool:
        _, low, high = self.at(rows)
        return high - low <= 2.0 * self._rows.target * self._rows.range

    def _ends(self, rows: int) -> tuple[float, float]:
        from streameval.kernels.betting import betting_limits

        fed = self._rows
        out = np.empty(2)
        betting_limits(
            fed.x, self._bets, rows, fed.population or 0, threshold(fed.level), *fed.forced(rows), out
        )
        return float(out[0]), float(out[1])


class Predictable:
    """The predictable empirical Bernstein bound: wider, but O(1) time for each row.

        l_i = e / (v_(i-1) + e) * N / (N - i + 1)

    is where l e - psi(l) v, what a row is expected to add, is largest for this bound's psi(l) = -ln(1 - l) - l.
    """

    def __init__(self, rows: _Fed, prior: float) -> None:
        self._rows, self._prior = rows, prior
        self._state = np.zeros(7)
        self._ends: Floats = np.empty((1024, 2))

    @property
    def fed(self) -> int:
        return self._rows.fed

    def feed(self, losses: Any) -> None:
        from streameval.kernels.statistics_predictable import predictable_onward

        fed = self._rows
        before = fed.take(losses)
        self._ends = grown(self._ends, before, fed.fed)
        predictable_onward(
            fed.x[before : fed.fed],
            fed.population or 0,
            fed.target,
            True,
            self._prior,
            threshold(fed.level),
            self._state,
            self._ends[before : fed.fed],
        )

    def at(self, rows: int) -> tuple[float, float, float]:
        return self._rows.outward(rows, float(self._ends[rows - 1, 0]), float(self._ends[rows - 1, 1]))

    def shown(self, rows: int) -> bool:
        return True

    def stop(self, after: int) -> int | None:
        """The first such row."""
        fed = self._rows
        width = self._ends[after : fed.fed, 1] - self._ends[after : fed.fed, 0]
        narrow = np.flatnonzero(width <= 2.0 * fed.target)
        if len(narrow):
            return after + 1 + int(narrow[0])
        return fed.fed if fed.fed == fed.population else None


class Asymptotic:
    """The asymptotic confidence sequence: no bounds needed, and no guarantee for few rows.

    What it says is true in the limit of a late first look, so it shows nothing and does not stop before

        n >= 500,   n >= 25 g^2,   and   0 < ln(1/a) / n * (largest loss - mean) <= half-width

    with g and the largest loss those of the first n rows: the rules by which `normal` and `skew` warn, too. Rows that
    are all equal have no spread, and say nothing of the others: it goes on until one differs, or to the last.
    """

    def __init__(self, rows: _Fed, prior: float) -> None:
        self._rows = rows  # neither bounds nor a prior enter the formula
        self._moments = np.zeros(6)
        self._spread: Floats = np.empty((1024, 3))  # after each row: sd, skewness, largest deviation

    @property
    def fed(self) -> int:
        return self._rows.fed

    def feed(self, losses: Any) -> None:
        from streameval.kernels.statistics_predictable import spread_onward

        fed = self._rows
        before = fed.take(losses)
        self._spread = grown(self._spread, before, fed.fed)
        spread_onward(fed.x[before : fed.fed], self._moments, self._spread[before : fed.fed])

    def at(self, rows: int) -> tuple[float, float, float]:
        mean = float(self._rows.sums[rows - 1]) / rows
        half = float(self._half(np.array([rows]))[0]) if rows != self._rows.population else 0.0
        return self._rows.outward(rows, mean - half, mean + half)

    def shown(self, rows: int) -> bool:
        return rows == self._rows.population or bool(self._ripe(np.array([rows]))[0])

    def stop(self, after: int) -> int | None:
        """The first such row that may be shown."""
        fed = self._rows
        rows = np.arange(max(after + 1, min(BURN_IN, fed.population or BURN_IN)), fed.fed + 1)
        inside = rows[rows != fed.population]
        narrow = np.flatnonzero((self._half(inside) <= fed.target) & self._ripe(inside))
        if len(narrow):
            return int(inside[narrow[0]])
        return fed.fed if fed.fed == fed.population else None

    def _half(self, rows: NDArray[np.int64]) -> Floats:
        population = self._rows.population
        clock = rows / (1.0 - rows / population) if population is not None else rows.astype(np.float64)
        return np.asarray(self._spread[rows - 1, 0] * margin(clock, self._rows.level))

    def _ripe(self, rows: NDArray[np.int64]) -> NDArray[np.bool_]:
        _, skewness, farthest = self._spread[rows - 1].T
        unseen = -log(1.0 - self._rows.level) / rows * farthest
        enough = (rows >= BURN_IN) & (rows >= ROWS_FOR_SKEWNESS * skewness**2)
        return np.asarray(enough & (unseen > 0.0) & (unseen <= self._half(rows)))


SEQUENCES: Final[dict[str, Callable[[_Fed, float], Sequence]]] = {
    "betting": Betting,
    "predictable": Predictable,
    "asymptotic": Asymptotic,
}

GUARANTEE: Final = (
    "The rows are read in an order drawn at random, and no loss is out of bounds; nothing else, and no number of rows "
    "is too small."
)
ASSUMES: Final = {
    "betting": GUARANTEE,
    "predictable": GUARANTEE,
    "asymptotic": (
        "The rows are read in an order drawn at random, and those read before the first look (500 and more) show what "
        "the others are like; where rows of huge losses are so few that these hold none, it misses far more often than "
        "it says."
    ),
}


def grown(array: NDArray[np.float64], used: int, wanted: int) -> NDArray[np.float64]:
    """Return the array, or a copy of its used part with room for `wanted` and to spare."""
    if wanted <= len(array):
        return array
    larger = np.empty((max(wanted, 2 * len(array)), *array.shape[1:]))
    larger[:used] = array[:used]
    return larger
