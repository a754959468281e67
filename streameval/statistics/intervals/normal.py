"""The interval of the central limit theorem. Knows mean, spread and size; not the shape of the losses."""

from __future__ import annotations

import math

from streameval.statistics.bounds import Bounds
from streameval.statistics.intervals.batch import Batch, Floats, Moments
from streameval.statistics.intervals.method import Method, flat, quantile

FEWEST_ROWS = 30  # below, not even the skewness is known
ROWS_FOR_SKEWNESS = (
    25  # n >= 25 skewness^2, a rule of thumb: then both tails are within about a point of nominal
)


def limits(batch: Batch, level: float, bounds: Bounds | None) -> tuple[Floats, Floats]:
    """Return mean -+ z s sqrt(f / n), f = 1 - n/N without replacement, else 1."""
    half = quantile(level) * batch.sd / math.sqrt(batch.effective)
    return batch.mean - half, batch.mean + half


def limits_of_one(one: Moments, n: int, population: int | None, level: float) -> tuple[float, float]:
    """The same of one batch."""
    effective = n if population is None else n / (1.0 - n / population)
    half = quantile(level) * one.sd / math.sqrt(effective)
    return one.mean - half, one.mean + half


def warn(batch: Batch) -> str | None:
    """Warn of samples without spread, of tiny ones, and of those too small for their own skewness."""
    if flat(batch):
        return flat(batch)
    skewness = batch.moments[0].skewness
    needed = rows_wanted(skewness)
    if batch.n >= needed:
        return None
    if batch.n >= ROWS_FOR_SKEWNESS * skewness**2:  # too few for any losses, and no side is the likelier one
        return (
            f"{batch.n} rows are too few to know the spread or the skewness from: about {needed:.0f} are needed. "
            "The interval is too short; 'betting' is guaranteed."
        )
    side = "above" if skewness > 0 else "below"
    return (
        f"{batch.n} rows are too few for losses as skew as these (sample skewness {skewness:.1f}): about "
        f"{needed:.0f} are needed. The interval is too short, and when it misses, the loss most likely lies "
        f"{side} it; 'skew' is better, 'betting' is guaranteed."
    )


def rows_wanted(skewness: float) -> float:
    """Return how many rows of this skewness have a mean that is nearly normally distributed."""
    return max(FEWEST_ROWS, ROWS_FOR_SKEWNESS * skewness**2)


NORMAL = Method(
    name="normal",
    limits=limits,
    of_moments=limits_of_one,
    assumes="The rows were drawn at random, and the mean of this many losses is nearly normally distributed.",
    warn=warn,
    bounded=False,
    anytime=False,
)
