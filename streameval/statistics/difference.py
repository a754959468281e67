"""The difference estimator: a new model's loss from a few rows and an older model's stored losses.

Knows the older losses of all rows and a callable for the new ones. Does not know either model.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from streameval.errors import UsageError
from streameval.statistics.bounds import Bounds
from streameval.statistics.intervals import Interval, interval
from streameval.statistics.intervals.unseen import Seen
from streameval.statistics.paired import DIFFERENCE_PRIOR
from streameval.statistics.population import Population
from streameval.statistics.stratified import Estimate
from streameval.statistics.until import Read, Step, StoppingResult, until

Known = TypeVar("Known", Step, StoppingResult)


def difference_estimate(old: Any, rows: NDArray[np.int64], new: Any) -> Estimate:
    """Estimate the mean of the new losses of all rows from those of some, drawn without replacement.

        mean = mean(old) + mean_i(new_i - old_i)      variance = (1 - n/N) s_d^2 / n

    old: (N,) stored losses, an array or a mapped file · rows: (n,) those drawn · new: (n,) their new losses.
    """
    gap = _gap(old, rows, new)
    count, population = len(gap), len(old)
    if count < 2:
        raise UsageError(f"{count} rows: at least two were expected, or the variance is unknown.")
    mean = Population.of(old).mean + float(gap.mean())
    seen = Seen(count, population, float(gap.mean()), float(gap.min()), float(gap.max()))
    variance = (1 - count / population) * float(gap.var(ddof=1)) / count
    return Estimate(mean, variance, count, float(count - 1), seen)


def difference_interval(
    old: Any,
    rows: NDArray[np.int64],
    new: Any,
    method: str = "normal",
    *,
    level: float = 0.95,
    bounds: Bounds | None,
) -> Interval:
    """Return the interval of the mean of the new losses, from a row of `INTERVALS` on the differences.

    bounds: those of a single loss, `Loss.bounds`.
    """
    whole = Population.of(old)
    of_difference = interval(
        _gap(old, rows, new), method, level=level, population=whole.rows, bounds=_bounds(bounds, whole)
    )
    return dataclasses.replace(
        of_difference, low=whole.mean + of_difference.low, high=whole.mean + of_difference.high
    )


def difference_until(
    read: Read,
    old: Any,
    *,
    half_width: float,
    level: float = 0.95,
    seed: int | np.random.Generator = 0,
    bounds: Bounds | None,
    method: str = "betting",
    on_step: Callable[[Step], None] | None = None,
) -> StoppingResult:
    """Read random rows of the new model until its full loss is known to +- half_width.

    As `until`, on new_i - old_i, to whose mean the known mean of `old` is added: the closer the two models,
    the fewer rows. bounds: those of a single loss. The guarantee is that of `until`, whatever `old` is; it
    includes rows not read whose loss went from least to largest, so very small half-widths take many rows
    however close the models are: at -log(1e-7) = 16 nats, 60,000 rows and 0.001, about 40,000 of them.
    """
    whole = Population.of(old)
    mean = whole.mean

    def gap(rows: NDArray[np.int64]) -> NDArray[np.float64]:
        return _gap(old, rows, read(rows))

    def shifted(step: Step) -> None:
        if on_step is not None:
            on_step(_raised(step, mean))

    of_difference = until(
        gap,
        len(old),
        half_width=half_width,
        level=level,
        seed=seed,
        bounds=_bounds(bounds, whole),
        method=method,
        prior=DIFFERENCE_PRIOR,
        on_step=shifted,
    )
    return _raised(of_difference, mean)


def _gap(old: Any, rows: NDArray[np.int64], new: Any) -> NDArray[np.float64]:
    """new - old on the rows drawn, (n,)."""
    return np.asarray(np.asarray(new, np.float64) - np.asarray(old[rows], np.float64))


def _raised(known: Known, mean: float) -> Known:
    """What is known of the mean difference, as known of the new model's mean loss."""
    return dataclasses.replace(known, loss=mean + known.loss, low=mean + known.low, high=mean + known.high)


def _bounds(bounds: Bounds | None, old: Population) -> Bounds | None:
    """A new loss lies within the bounds, and the old ones are all known: their extremes narrow the range."""
    return None if bounds is None else (bounds[0] - old.largest, bounds[1] - old.smallest)
