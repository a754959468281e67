"""Whether a mean is above or below 0, known at any look: betting on its sign. Knows values in the order drawn.

A capital that bets fairly against "the mean is 0 or less" stays small if that is true: it passes 2/a at any time with
a chance of at most a/2 (Ville). The bets stand in `kernels.deciding`. I. Waudby-Smith, A. Ramdas (2024), "Estimating
means of bounded random variables by betting".
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import asdict
from typing import Any

import numpy as np

from streameval.elementary import LN2, exp, log, logaddexp
from streameval.errors import UsageError
from streameval.frozen import frozen
from streameval.statistics.bounds import Bounds, needed
from streameval.statistics.intervals.batch import Batch, Floats
from streameval.statistics.intervals.betting import threshold
from streameval.statistics.intervals.method import checked_level
from streameval.statistics.population import PIECE
from streameval.statistics.samples import Permutation
from streameval.statistics.seeds import recorded
from streameval.statistics.sequences import grown
from streameval.statistics.until import FAR, FIRST_LOOK, Read, Step

PRIOR = 0.01  # variance of a row imagined before the first, on the scale of the range: any is valid
LARGEST_LOG = 700.0  # of an e-value that still fits a float
METHOD = "sign betting"
ASSUMES = "The rows were drawn at random, and no value is out of bounds. Holds for any number of rows, at every look."


class SignTest:
    """The evidence that a mean is above 0, and below, fed row by row.

    population  N: the mean of N rows, drawn without replacement; None: that of further data, of which rows are a sample
    bounds      that no value can pass, 0 strictly between them
    state       of an earlier test whose rows went before and are let go; such a test has no interval

    `e_value` is the mean of both capitals: an e-value against a mean of exactly 0. `p_value` is 1 over the largest it
    ever was, which may be looked at at any time. 48 bytes a row are held.
    """

    def __init__(
        self,
        population: int | None,
        *,
        level: float = 0.95,
        bounds: Bounds | None,
        state: Floats | None = None,
    ) -> None:
        self.population, self.level = population, checked_level(level)
        self.bounds = needed(bounds, METHOD, instead=())
        low, high = self.bounds
        if not low < 0.0 < high:
            raise UsageError(
                f"bounds ({low}, {high}): 0 strictly between them was expected, or its sign is known."
            )
        self._zero = -low / (high - low)
        self.fed, self._total = 0, 0.0
        self.state = np.zeros(8) if state is None else state
        self._x = np.empty(1024)
        self._bets, self._capital = np.empty((3, 1024)), np.empty((1024, 2))

    def feed(self, values: Any) -> None:
        """Take in further values, (n,), in the order of the draw."""
        from streameval.kernels.deciding import decide_onward

        batch = Batch.of(values)
        batch.check(self.bounds)
        before, after = self.fed, self.fed + batch.n
        if self.population is not None and after > self.population:
            raise UsageError(f"{after} rows fed, but the population has {self.population}.")
        self._x, self._capital = grown(self._x, before, after), grown(self._capital, before, after)
        if after > self._bets.shape[1]:
            self._bets = np.ascontiguousarray(grown(self._bets.T, before, after).T)
        self._x[before:after] = batch.scaled(self.bounds)[0]
        decide_onward(
            self._x, before, after, self.population or 0, self._zero, threshold(self.level), PRIOR, self.state,
            self._bets, self._capital,
        )  # fmt: skip
        self._total += math.fsum(batch.values[0])
        self.fed = after

    def decided(self, after: int = 0) -> int | None:
        """Return the first row after `after` at which the sign was known, or None."""
        sure = np.flatnonzero(self._capital[after : self.fed].max(axis=1) >= threshold(self.level))
        return after + 1 + int(sure[0]) if len(sure) else None

    def sign(self, rows: int) -> int:
        """Return 1 or -1 where the first `rows` rows decide it, else 0."""
        up, down = self._capital[rows - 1].tolist()
        return 0 if max(up, down) < threshold(self.level) else 1 if up > down else -1

    def log_e(self, rows: int | None = None) -> float:
        """Return the logarithm of the e-value after `rows` rows, all by default."""
        up, down = map(float, self._capital[(rows or self.fed) - 1])
        return logaddexp(up, down) - LN2

    def e_value(self, rows: int | None = None) -> float:
        """Return the e-value; at most e^700."""
        return exp(min(self.log_e(rows), LARGEST_LOG))

    def p_value(self, rows: int | None = None) -> float:
        """Return min(1, 1 / the largest e-value on the way)."""
        capital = self._capital[: rows or self.fed]
        top = float(logaddexp(capital[:, 0], capital[:, 1]).max()) - LN2
        return exp(-max(0.0, top))

    def ends(self, rows: int | None = None, *, level: float | None = None) -> tuple[float, float]:
        """Return where the mean lies after `rows` rows, at `level`, by the same bets: valid at any look.

        At n = N both ends are the mean.
        """
        from streameval.kernels.deciding import decided_limits

        rows = self.fed if rows is None else rows
        low, high = self.bounds
        seen = math.fsum(self._x[:rows])
        least, most = 0.0, 1.0
        if self.population is not None:
            least, most = seen / self.population, (seen + self.population - rows) / self.population
        if rows == self.population:
            mean = self._total / rows
            return mean, mean
        out = np.empty(2)
        limit = threshold(self.level if level is None else level)
        decided_limits(self._x, self._bets, rows, self.population or 0, limit, least, most, out)
        return low + (high - low) * float(out[0]), low + (high - low) * float(out[1])

    def mean(self, rows: int) -> float:
        """Return the mean of the first `rows` values."""
        if rows == self.fed:
            return self._total / rows
        low, high = self.bounds
        return low + (high - low) * math.fsum(self._x[:rows]) / rows


@frozen
class Decision:
    """Where reading stopped, and what is known of the mean there; names as in `until.StoppingResult`.

    loss      mean of the rows read (of differences: theirs) · low, high: where that of all rows lies
    sign      1, -1, or 0 if all rows were read and their mean is exactly 0
    stopped   "decided", or "exhausted" when all rows were read: then the mean is exact
    """

    loss: float
    low: float
    high: float
    half_width: float
    level: float
    rows_read: int
    rows_fetched: int
    fraction: float
    method: str
    stopped: str
    assumes: str
    seed: int | None
    sign: int
    e_value: float
    p_value: float

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return asdict(self)


def decide(
    read: Read,
    population: int,
    *,
    level: float = 0.95,
    seed: int | np.random.Generator = 0,
    bounds: Bounds | None,
    on_step: Callable[[Step], None] | None = None,
) -> tuple[Decision, SignTest]:
    """Read random rows, without replacement, until it is known whether their mean is above or below 0; then stop.

    read    row numbers (n,) int64 -> values (n,) · bounds: of a value · on_step: called at every look

    The sign is wrong with a chance of at most 1 - level, however often one looks; a mean of exactly 0 is called
    something else as rarely. Raises UsageError, DataError.
    """
    test = SignTest(population, level=level, bounds=bounds)
    rows = population
    for before in _fed(read, population, test, seed):
        found = test.decided(before)
        rows = test.fed if found is None else found
        if on_step is not None:
            on_step(Step(rows, rows / population, test.mean(rows), *test.ends(rows)))
        if found is not None:
            break
    mean, (low, high) = test.mean(rows), test.ends(rows)
    exhausted = rows == population
    sign = (mean > 0) - (mean < 0) if exhausted else test.sign(rows)
    return Decision(
        mean, low, high, 0.5 * (high - low), level, rows, test.fed, rows / population, METHOD,
        "exhausted" if exhausted else "decided", ASSUMES, recorded(seed), sign, test.e_value(rows), test.p_value(rows),
    ), test  # fmt: skip


def _fed(read: Read, population: int, test: SignTest, seed: int | np.random.Generator) -> Iterator[int]:
    """Feed the rows of a random order, a fourth more each time; yield how many there were before."""
    order = Permutation.of(population, seed=seed)
    while test.fed < population:
        before = test.fed
        after = min(population, max(FIRST_LOOK, before + math.ceil(before / FAR)))
        test.feed(read(order.take(before, after)))
        yield before


@frozen
class Evidence:
    """An e-value against a mean of exactly 0, and the p-value that is 1 over the largest it ever was."""

    e_value: float
    p_value: float


def evidence(
    values: Any, *, level: float = 0.95, seed: int | np.random.Generator = 0, bounds: Bounds | None
) -> Evidence:
    """Return the evidence for further data of the kind of (n,) values, which are taken in a random order.

    values  an array or a mapped file, gathered in pieces: memory does not grow with it
    level   what the bets are made for; the e-value is one whatever it is

    It rests on independent rows within bounds, and on nothing else. Raises UsageError, DataError.
    """
    order, top, last = Permutation.of(len(values), seed=seed), 0.0, 0.0
    state: Floats | None = None
    for start in range(0, len(values), PIECE):
        piece = SignTest(None, level=level, bounds=bounds, state=state)
        piece.feed(np.asarray(values[order.take(start, min(start + PIECE, len(values)))], np.float64))
        state, last = piece.state, piece.log_e()
        top = max(top, -log(piece.p_value()))
    return Evidence(exp(min(last, LARGEST_LOG)), exp(-top))
