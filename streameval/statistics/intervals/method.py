"""What an interval is, and what a method of making one must say of itself. Does not know any formula."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from streameval.arguments import real
from streameval.elementary import normal_quantile
from streameval.errors import UsageError
from streameval.frozen import frozen
from streameval.statistics.bounds import Bounds, needed
from streameval.statistics.intervals.batch import Batch, Floats, Moments
from streameval.statistics.intervals.unseen import Seen


@frozen
class Interval:
    """Where the mean loss of all rows lies, at `level`, by `method`; in nats.

    assumes: one sentence, true or not is the reader's to judge · warning: why not to trust this one, or None
    """

    low: float
    high: float
    level: float
    method: str
    assumes: str
    warning: str | None = None

    @property
    def half_width(self) -> float:
        """Half the distance between the ends."""
        return 0.5 * (self.high - self.low)

    def __contains__(self, value: float) -> bool:
        return self.low <= value <= self.high

    def within(self, bounds: Bounds | None) -> Interval:
        """Return the interval cut to where a mean can lie at all; one without ends, or without bounds, as it is."""
        if bounds is None or not math.isfinite(self.half_width):
            return self
        low, high = bounds
        return replace(self, low=min(max(self.low, low), self.high), high=max(min(self.high, high), self.low))

    def to_dict(self) -> dict[str, object]:
        """Return plain values for JSON; an end that no data bounds is None."""
        return {
            "low": self.low if math.isfinite(self.low) else None,
            "high": self.high if math.isfinite(self.high) else None,
            "level": self.level,
            "method": self.method,
            "assumes": self.assumes,
            "warning": self.warning,
        }


Limits = Callable[[Batch, float, Bounds | None], tuple[Floats, Floats]]
# Up to so many trials, plain numbers are quicker than arrays.
FEW = 16

OfMoments = Callable[[Moments, int, int | None, float], tuple[float, float]]
Misses = Callable[[Batch, float, float, Bounds | None], tuple[np.ndarray, np.ndarray]]


@frozen
class Method:
    """A way to make intervals.

    assumes  the sentence that every interval carries
    warn     (batch of one) -> a warning or None
    bounded  True if it needs bounds on the losses, and in turn holds for finite samples; the others are
             approximations, and warn by the rule of three, see `Seen`
    anytime  True if the same formula holds at every look while rows come in, False if it is for a batch whose size
             was fixed before: `sequences` has those that hold at every look
    limits   (batch, level, bounds) -> low, high, each (trials,) float64
    of_moments  of one trial, where the moments say all: (moments, n, population, level) -> low, high
    misses   (batch, level, truth, bounds) -> lies below, lies above: a cheaper way than the limits
    """

    name: str
    assumes: str
    warn: Callable[[Batch], str | None]
    bounded: bool
    anytime: bool
    limits: Limits | None = None
    of_moments: OfMoments | None = None
    misses: Misses | None = None

    def ends(self, batch: Batch, level: float, bounds: Bounds | None) -> tuple[Floats, Floats]:
        """Return low and high of every trial, (trials,) each.

        At n = N without replacement both are the mean. Where bounds are known, the ends are cut to what the rows
        seen already force, and every interval is widened to hold its own mean, where it would not.
        """
        if not 0 < len(batch.values) <= FEW:
            return self._many_ends(batch, level, bounds)
        low, high = zip(*self._ends(batch, level, bounds), strict=True)
        return np.array(low), np.array(high)

    def _many_ends(self, batch: Batch, level: float, bounds: Bounds | None) -> tuple[Floats, Floats]:
        """The same ends as arrays: of thousands of trials they take a tenth of the time."""
        checked_level(level)
        known = self._checked(batch, bounds)
        if batch.exhausted:
            exact = np.array([math.fsum(row) / batch.n for row in batch.values])
            return exact, exact
        low, high = self._limits(batch, level, known)
        mean = batch.mean
        if known is not None and (self.bounded or batch.n > 1):
            seen = batch.share
            least, most = mean * seen + known[0] * (1.0 - seen), mean * seen + known[1] * (1.0 - seen)
            low, high = np.minimum(np.maximum(low, least), most), np.minimum(np.maximum(high, least), most)
        return np.minimum(low, mean), np.maximum(high, mean)

    def _ends(self, batch: Batch, level: float, bounds: Bounds | None) -> list[tuple[float, float]]:
        checked_level(level)
        known = self._checked(batch, bounds)
        if batch.exhausted:
            return [(mean, mean) for mean in (math.fsum(row) / batch.n for row in batch.values)]
        # Infinite ends of an approximation say that the spread is unknown, and stay.
        if not self.bounded and batch.n == 1:
            known = None
        forced = _FREE if known is None else (batch.share, *known)
        if self.of_moments is not None:
            # Of one mini-batch these are all the numbers there are: every step more would be felt.
            n, population, limits = batch.n, batch.population, self.of_moments
            return [
                _around_mean(one.mean, forced, *limits(one, n, population, level)) for one in batch.moments
            ]
        low, high = self._limits(batch, level, known)
        return [
            _around_mean(one.mean, forced, *ends)
            for one, *ends in zip(batch.moments, low.tolist(), high.tolist(), strict=True)
        ]

    def _limits(self, batch: Batch, level: float, known: Bounds | None) -> tuple[Floats, Floats]:
        """The ends of every trial as the formula gives them."""
        if self.limits is not None:
            return self.limits(batch, level, known)
        assert self.of_moments is not None
        ends = [self.of_moments(one, batch.n, batch.population, level) for one in batch.moments]
        low, high = np.array(ends).reshape(-1, 2).T
        return low, high

    def missed(
        self, batch: Batch, level: float, truth: float, bounds: Bounds | None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return which intervals lie wholly below the truth and which wholly above, (trials,) bool each."""
        if batch.exhausted:
            never = np.zeros(len(batch.values), np.bool_)
            return never, never
        if self.misses is not None:
            return self.misses(batch, level, truth, self._checked(batch, bounds))
        low, high = self.ends(batch, level, bounds)
        return high < truth, low > truth

    def interval(self, batch: Batch, level: float, bounds: Bounds | None) -> Interval:
        """Return the interval of a batch of one trial, with a warning where one is due."""
        ((low, high),) = self._ends(batch, level, bounds)
        return self._made(batch, level, bounds, low, high)

    def intervals(self, batch: Batch, level: float, bounds: Bounds | None) -> list[Interval]:
        """Return the interval of every trial of a batch, with a warning where one is due."""
        return [
            self._made(one, level, bounds, *ends)
            for one, ends in zip(batch.trials(), self._ends(batch, level, bounds), strict=True)
        ]

    def _made(self, one: Batch, level: float, bounds: Bounds | None, low: float, high: float) -> Interval:
        warning = self._warning(one, level, bounds, 0.5 * (high - low))
        return Interval(low, high, level, self.name, self.assumes, warning)

    def _warning(self, one: Batch, level: float, bounds: Bounds | None, half_width: float) -> str | None:
        if one.exhausted:
            return None
        first = self.warn(one)
        then = None if self.bounded else Seen.of(one).warning(level, bounds, half_width)
        return f"{first} {then}" if first and then else first or then

    def _checked(self, batch: Batch, bounds: Bounds | None) -> Bounds | None:
        known = None if bounds is None else (float(bounds[0]), float(bounds[1]))
        if not self.bounded:
            return known
        limits = needed(known, self.name)
        batch.check(limits)
        return limits


def checked_level(level: float) -> float:
    """Return the level, or raise UsageError if it is no probability strictly between 0 and 1."""
    expected = "a number between 0 and 1, such as 0.95"
    if not 0.0 < 1.0 - real("level", level, expected) < 1.0:
        raise UsageError(f"level {level}: {expected}, was expected.")
    return level


@functools.cache
def quantile(level: float) -> float:
    """Return z with P(|Z| < z) = level for a standard normal Z: 1.96 for 0.95."""
    p = 0.5 + 0.5 * level
    # Of a level next to 1, p is 1; what is missing to it is a number still.
    return normal_quantile(p) if p < 1.0 else -normal_quantile(0.5 * (1.0 - level))


def flat(batch: Batch) -> str | None:
    """Return the warning for a sample that shows no spread, if this is one."""
    if batch.n == 1:
        return "One row says nothing of the spread: the interval has no ends."
    one = batch.moments[0]
    if one.skewness == 0.0 and one.largest - one.least <= 1e-12 * max(-one.least, one.largest):
        return "All losses in the sample are equal: its spread of 0 says nothing of rows not drawn."
    return None


def silent(batch: Batch) -> str | None:
    """Return no warning: the method holds for every sample of two rows or more, and for one as well."""
    return None


# Where nothing is known, nothing is forced.
_FREE = (0.0, -math.inf, math.inf)


def _around_mean(
    mean: float, forced: tuple[float, float, float], low: float, high: float
) -> tuple[float, float]:
    """Cut to [(S + (N-n) lowest) / N, (S + (N-n) highest) / N], to the bounds with replacement; widened to the mean.

    forced: the share n / N that was seen, the lowest and the highest loss there can be
    """
    seen, lowest, highest = forced
    least, most = mean * seen + lowest * (1.0 - seen), mean * seen + highest * (1.0 - seen)
    return min(max(low, least), most, mean), max(min(max(high, least), most), mean)
