"""Rows drawn more often where an older loss says that there is more to see, and what they tell with a guarantee.

Knows the older losses of all rows - of an earlier checkpoint, or of a cheap model - and a callable for the new ones.
Any older losses are valid: bad ones cost rows, not truth.

Row i is drawn, with replacement, with chance q_i = (u + (1 - u) p_i / mean(p)) / N, p_i its older loss above the least
possible one, u = 0.9. With w_i = 1 / (N q_i) and any l that was fixed before the draw,

    z_i = w_i (x_i - l old_i) + l mean(old)

has the mean loss of all rows as its mean. The gain is in the bounds: x_i >= 0 makes z_i - mean(old) >= -p_i w_i, which
stays above -mean(p) / (1 - u), where a row drawn uniformly may be lower by the largest older loss.
Draws and weights: I. Waudby-Smith, P. Stark, A. Ramdas (2021), "RiLACS: risk-limiting audits via confidence sequences".
The tuned l: A. Angelopoulos, J. Duchi, T. Zrnic (2023), "PPI++: efficient prediction-powered inference".
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streameval.errors import DataError, UsageError
from streameval.frozen import frozen
from streameval.statistics.bounds import Bounds, needed, signed
from streameval.statistics.decided import Decision, SignTest
from streameval.statistics.intervals.batch import Floats
from streameval.statistics.population import Population
from streameval.statistics.seeds import number, recorded, spawn_stream
from streameval.statistics.sequences import sequence
from streameval.statistics.until import FAR, FIRST_LOOK, NEAR, Read, Step, StoppingResult

UNIFORM = (
    0.9  # u: on MNIST, worse models take 0.2 to 0.3 as many rows as by uniform draws, better ones 1.1 to 1.4
)
BLOCK = 1024  # draws made together
METHOD = "weighted betting"
PRIOR = 1e-4  # as for differences: values are small against their range
ASSUMES = (
    "Rows were drawn at random with the chances that the older losses gave them, and no loss is out of bounds. Holds "
    "for any number of rows, at every look."
)


@frozen(eq=False)
class WeightedDraws:
    """An endless stream of rows of a population, drawn with the chances above; O(1) memory.

    old     (N,) older losses, an array or a mapped file · bounds: of a loss
    whole   their moments
    """

    old: Any
    bounds: Bounds
    whole: Population
    seed: int
    uniform: float = UNIFORM
    _blocks: dict[int, NDArray[np.int64]] = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        old: Any,
        *,
        bounds: Bounds | None,
        seed: int | np.random.Generator = 0,
        uniform: float = UNIFORM,
    ) -> WeightedDraws:
        """Raises UsageError without bounds, DataError for older losses outside of them."""
        limits, whole = needed(bounds, METHOD, instead=()), Population.of(old)
        slack = 1e-6 * (limits[1] - limits[0])
        if whole.smallest < limits[0] - slack or whole.largest > limits[1] + slack:
            raise DataError(
                f"older losses from {whole.smallest} to {whole.largest}, expected within {limits}, where losses lie."
            )
        if not 0.0 < uniform <= 1.0:
            raise UsageError(f"uniform {uniform}: a share in (0, 1] was expected, such as {UNIFORM}.")
        return cls(old, limits, whole, number(seed), uniform)

    @property
    def rows(self) -> int:
        """Rows of the population."""
        return self.whole.rows

    def take(self, start: int, stop: int) -> NDArray[np.int64]:
        """Return the rows at places start..stop-1 of the stream, the same however it is cut; repeats happen."""
        first, last = start // BLOCK, -(-stop // BLOCK)
        drawn = [self._block(k) for k in range(first, last)]
        return np.concatenate([*drawn, np.empty(0, np.int64)])[start - first * BLOCK : stop - first * BLOCK]

    def weights(self, rows: NDArray[np.int64]) -> Floats:
        """Return 1 / (N q) of rows, (n,)."""
        return np.asarray(self._weight(np.asarray(self.old[rows], np.float64) - self.bounds[0]))

    def values(self, rows: NDArray[np.int64], new: Any, tuned: float = 1.0) -> Floats:
        """Return z - tuned mean(old) of rows whose new losses are known, (n,)."""
        gap = np.asarray(new, np.float64) - tuned * np.asarray(self.old[rows], np.float64)
        return np.asarray(gap * self.weights(rows))

    @property
    def limits(self) -> Bounds:
        """What no value of `values` can pass, whatever the new loss, for `tuned` = 1."""
        low, high = self.bounds
        least, most = max(0.0, self.whole.smallest - low), max(0.0, self.whole.largest - low)
        return float(-most * self._weight(most)), float((high - low - least) * self._weight(least))

    @property
    def loose_limits(self) -> Bounds:
        """The same of z - mean(old) for any `tuned` from 0 to 1: z is linear in it, so 0 and 1 tell the ends."""
        weights = [float(self._weight(p - self.bounds[0])) for p in (self.whole.smallest, self.whole.largest)]
        corners = [weight * x - self.whole.mean for weight in weights for x in self.bounds]
        low, high = self.limits
        return min(low, *corners), max(high, *corners)

    def _weight(self, above: Any) -> Any:
        mean = self.whole.mean - self.bounds[0]
        share = np.maximum(above, 0.0) / mean if mean > 0 else np.ones_like(above)
        return 1.0 / (self.uniform + (1.0 - self.uniform) * share)

    def _block(self, k: int) -> NDArray[np.int64]:
        """Block k: of each place, a row drawn uniformly, or by refusing rows until one of high loss comes."""
        if k not in self._blocks:
            stream = np.random.Generator(np.random.PCG64(spawn_stream(self.seed, k)))
            rows = stream.integers(0, self.rows, BLOCK, dtype=np.int64)
            low, top = self.bounds[0], self.whole.largest - self.bounds[0]
            waiting = np.flatnonzero(stream.random(BLOCK) >= self.uniform) if top > 0 else rows[:0]
            while len(waiting):
                tried = stream.integers(0, self.rows, len(waiting), dtype=np.int64)
                above = np.asarray(self.old[tried], np.float64) - low
                kept = stream.random(len(waiting)) * top <= np.maximum(above, 0.0)
                rows[waiting[kept]] = tried[kept]
                waiting = waiting[~kept]
            self._blocks.clear()
            self._blocks[k] = rows
        return self._blocks[k]


def weighted_until(
    read: Read,
    draws: WeightedDraws,
    *,
    half_width: float,
    level: float = 0.95,
    on_step: Callable[[Step], None] | None = None,
) -> StoppingResult:
    """Draw rows until the mean new loss of all rows is known to +- half_width; see `until`.

    The factor l of the older losses is tuned on the rows before each look, within [0, 1]: 1 for a model that is nearly
    the older one, near 0 for a proxy that says little. After as many draws as there are rows all rows are read.
    """
    known = sequence(
        "betting", None, half_width=half_width, level=level, bounds=draws.loose_limits, prior=PRIOR
    )
    mean, tuned, sums = draws.whole.mean, 1.0, np.zeros(5)
    part = FAR
    while known.fed < draws.rows:
        before = known.fed
        after = min(draws.rows, max(FIRST_LOOK, before + math.ceil(before / part)))
        rows = draws.take(before, after)
        new = _losses(read, rows)
        known.feed(draws.values(rows, new, tuned) - (1.0 - tuned) * mean)
        stop = known.stop(before)
        at = after if stop is None else stop
        centre, low, high = known.at(at)
        step = Step(at, at / draws.rows, mean + centre, mean + low, mean + high)
        if on_step is not None:
            on_step(step)
        if stop is not None:
            return StoppingResult(
                step.loss, step.low, step.high, step.half_width, level, at, after, step.fraction, METHOD,
                "precision", ASSUMES, recorded(draws.seed),
            )  # fmt: skip
        tuned = _tuned(sums, draws, rows, new)
        part = FAR if step.half_width > 2.0 * half_width else NEAR
    exact = _exact(read, draws.rows)
    if on_step is not None:
        on_step(Step(draws.rows, 1.0, exact, exact, exact))
    return StoppingResult(
        exact, exact, exact, 0.0, level, draws.rows, 2 * draws.rows, 1.0, METHOD, "exhausted", ASSUMES,
        recorded(draws.seed),
    )  # fmt: skip


def weighted_decide(
    read: Read,
    draws: WeightedDraws,
    *,
    level: float = 0.95,
    on_step: Callable[[Step], None] | None = None,
) -> tuple[Decision, SignTest]:
    """Draw rows until it is known whether the mean of new - old over all rows is above or below 0; see `decide`.

    A new model that is worse is found out from a fraction of the rows that uniform draws take; one that is better from
    about as many. After as many draws as there are rows all rows are read.
    """
    test = SignTest(None, level=level, bounds=signed(draws.limits))
    rows, found = draws.rows, None
    while test.fed < draws.rows and found is None:
        before = test.fed
        after = min(draws.rows, max(FIRST_LOOK, before + math.ceil(before / FAR)))
        drawn = draws.take(before, after)
        test.feed(draws.values(drawn, _losses(read, drawn)))
        found = test.decided(before)
        rows = test.fed if found is None else found
        if on_step is not None:
            on_step(Step(rows, rows / draws.rows, test.mean(rows), *test.ends(rows)))
    mean, (low, high), sign, stopped = test.mean(rows), test.ends(rows), test.sign(rows), "decided"
    if found is None:
        mean = low = high = _exact(read, draws.rows) - draws.whole.mean
        sign, stopped = (mean > 0) - (mean < 0), "exhausted"
    return Decision(
        mean, low, high, 0.5 * (high - low), level, rows, test.fed, rows / draws.rows, f"sign {METHOD}", stopped,
        ASSUMES, recorded(draws.seed), sign, test.e_value(rows), test.p_value(rows),
    ), test  # fmt: skip


def _tuned(sums: Floats, draws: WeightedDraws, rows: NDArray[np.int64], new: Floats) -> float:
    """Add the rows to the sums; return cov(w x, w old) / var(w old) of all so far, within [0, 1]."""
    weights = draws.weights(rows)
    x, old = new * weights, np.asarray(draws.old[rows], np.float64) * weights
    sums += (len(rows), x.sum(), old.sum(), (x * old).sum(), (old * old).sum())
    count, of_x, of_old, both, square = sums.tolist()
    spread = square - of_old * of_old / count
    return min(1.0, max(0.0, (both - of_x * of_old / count) / spread)) if spread > 0 else 1.0


def _exact(read: Read, population: int) -> float:
    """Return the mean of all rows, read in order."""
    return math.fsum(_sums(read, population)) / population


def _sums(read: Read, population: int) -> Iterator[float]:
    for start in range(0, population, 1 << 16):
        yield math.fsum(_losses(read, np.arange(start, min(start + (1 << 16), population))))


def _losses(read: Read, rows: NDArray[np.int64]) -> Floats:
    losses = np.asarray(read(rows), np.float64)
    if losses.shape != rows.shape:
        raise UsageError(f"read: {len(rows)} rows were asked for, losses of shape {losses.shape} came back.")
    return losses
