"""Two models on the same rows: their difference is known far better than either loss. Knows losses only."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, fields, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streameval.elementary import dot, hypot
from streameval.errors import UsageError
from streameval.frozen import frozen
from streameval.statistics.bounds import Bounds, difference_bounds
from streameval.statistics.clusters import FLAT
from streameval.statistics.intervals.method import Interval, checked_level
from streameval.statistics.intervals.normal import NORMAL, rows_wanted
from streameval.statistics.population import PIECE, Population
from streameval.statistics.student import STUDENT, t_quantile
from streameval.statistics.until import Step, StoppingResult, until

DIFFERENCE_PRIOR = 1e-4  # differences are small against their range of twice the largest loss


@frozen
class PairedClass:
    """One class: rows, mean of second - first in nats, its standard error (None for one row), win rate."""

    label: int
    rows: int
    difference: float
    stderr: float | None
    win_rate: float


@frozen
class Pair:
    """What a pair of models shows: every difference is second - first, so below 0 the second is better.

    sd                   of the differences, ddof 1
    interval             of the mean difference, from the rows as pairs
    freedom              of Student's t in both widths: rows - 1 for further data, infinite (the normal quantile) for
                         rows drawn from a known number
    unpaired_half_width  what two separate samples of as many rows would have given
    correlation          of the two losses, None if one does not vary
    win_rate, tie_rate   shares of rows on which the second's loss is smaller, and equal
    """

    first: str
    second: str
    rows: int
    first_loss: float
    second_loss: float
    difference: float
    sd: float
    interval: Interval
    unpaired_half_width: float
    correlation: float | None
    win_rate: float
    tie_rate: float
    per_class: tuple[PairedClass, ...]
    freedom: float = math.inf

    def interval_at(self, level: float) -> Interval:
        """Return the same interval at another level."""
        half = self.interval.half_width
        if math.isfinite(half):
            half *= t_quantile(level, self.freedom) / t_quantile(self.interval.level, self.freedom)
        return replace(self.interval, low=self.difference - half, high=self.difference + half, level=level)

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        plain = {one.name: getattr(self, one.name) for one in fields(self) if one.name != "freedom"}
        plain["interval"] = self.interval.to_dict()
        plain["per_class"] = [asdict(row) for row in self.per_class]
        return plain


def paired(
    losses: Mapping[str, Any],
    *,
    level: float = 0.95,
    population: int | None = None,
    labels: Any = None,
) -> tuple[Pair, ...]:
    """Compare every further model with the first, row by row.

    losses      name -> (n,) losses in nats on the same rows; arrays or mapped files, read piece by piece
    population  None judges the rows as a sample of all data of their kind, by Student's t; N as drawn without
                replacement from N rows, so that the interval has width 0 when they are all there are
    labels      (n,) integer classes, for `per_class`

    Raises UsageError if there are fewer than two models or their lengths differ.
    """
    checked_level(level)
    names = list(losses)
    if len(names) < 2:
        raise UsageError(f"{len(names)} models: at least two were expected. Give the losses of another.")
    lengths = {name: len(losses[name]) for name in names}
    if len(set(lengths.values())) > 1:
        raise UsageError(
            f"losses of different lengths {lengths}: the same rows were expected for every model."
        )
    if labels is not None and len(labels) != lengths[names[0]]:
        raise UsageError(f"labels: {len(labels)} for {lengths[names[0]]} rows. Give one for each row.")
    if population is not None and lengths[names[0]] > population:
        raise UsageError(f"{lengths[names[0]]} rows drawn without replacement from {population}: too many.")
    first = Population.of(losses[names[0]])
    return tuple(_pair(losses, names[0], name, first, level, population, labels) for name in names[1:])


def paired_until(
    read: Callable[[NDArray[np.int64]], Any],
    population: int,
    *,
    half_width: float,
    level: float = 0.95,
    seed: int | np.random.Generator = 0,
    bounds: Bounds | None,
    method: str = "betting",
    on_step: Callable[[Step], None] | None = None,
) -> StoppingResult:
    """Read random rows until the mean of second - first is known to +- half_width; `loss` is that mean.

    read    row numbers (n,) -> losses (2, n), of the first and of the second model
    bounds  those of a single loss, `Loss.bounds`
    """

    def difference(rows: NDArray[np.int64]) -> NDArray[np.float64]:
        both = np.asarray(read(rows), np.float64)
        if both.shape != (2, len(rows)):
            raise UsageError(
                f"read: {len(rows)} rows of two models were asked for, shape {both.shape} came back."
            )
        return np.asarray(both[1] - both[0])

    return until(
        difference,
        population,
        half_width=half_width,
        level=level,
        seed=seed,
        bounds=difference_bounds(bounds),
        method=method,
        prior=DIFFERENCE_PRIOR,
        on_step=on_step,
    )


class Difference:
    """second - first, piece by piece, as an array that is never whole."""

    def __init__(self, first: Any, second: Any) -> None:
        self.first, self.second = first, second
        self.shape = (len(first),)
        self.ndim = 1

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, rows: Any) -> NDArray[np.float64]:
        return np.asarray(self.second[rows], np.float64) - np.asarray(self.first[rows], np.float64)


def _pair(
    losses: Mapping[str, Any],
    first_name: str,
    name: str,
    first: Population,
    level: float,
    population: int | None,
    labels: Any,
) -> Pair:
    second = Population.of(losses[name])
    gaps = Difference(losses[first_name], losses[name])
    gap = Population.of(gaps)
    wins, ties, product, classes = _counts(losses[first_name], losses[name], labels, first.mean, second.mean)
    per_class = _per_class(classes, second.mean - first.mean)
    rows = gap.rows
    freedom = math.inf if population else rows - 1.0
    left = 1.0 - rows / population if population else 1.0
    # One row of more tells no spread; all rows there are need none.
    reach = math.inf if rows == 1 and left else t_quantile(level, freedom) * math.sqrt(left / rows)
    both = first.sd * second.sd * (rows - 1)
    return Pair(
        first_name,
        name,
        rows,
        first.mean,
        second.mean,
        gap.mean,
        gap.sd,
        _interval(gap, reach, level, population),
        reach * hypot(first.sd, second.sd) if math.isfinite(reach) else math.inf,
        product / both if both > 0 else None,
        wins / rows,
        ties / rows,
        per_class,
        freedom,
    )


def _interval(gap: Population, reach: float, level: float, population: int | None) -> Interval:
    # Both rest on the same: a mean that is nearly normally distributed. They differ in what the spread is known from.
    method = STUDENT if population is None else NORMAL.name
    if math.isinf(reach):
        return Interval(
            -math.inf, math.inf, level, method, NORMAL.assumes, "One row says nothing of the spread."
        )
    needed = rows_wanted(gap.skewness)
    warning = None
    if gap.rows < needed and gap.rows != population:
        warning = (
            f"{gap.rows} rows are too few for differences as skew as these: about {needed:.0f} are needed."
        )
    elif gap.sd <= FLAT * abs(gap.mean) and gap.rows != population:
        warning = "All differences are equal: a spread of 0 says nothing of rows that are not among these."
    half = reach * gap.sd
    return Interval(gap.mean - half, gap.mean + half, level, method, NORMAL.assumes, warning)


def _counts(
    first: Any, second: Any, labels: Any, first_mean: float, second_mean: float
) -> tuple[int, int, float, NDArray[np.float64]]:
    """Return wins, ties, the summed product of deviations, and (4, classes): rows, sum, squares, wins.

    Sums and squares are of what differences are beyond that of the means: squares of their own would leave few digits.
    """
    wins = ties = 0
    product = []
    classes = np.zeros((4, 0))
    for start in range(0, len(first), PIECE):
        one = np.asarray(first[start : start + PIECE], np.float64)
        two = np.asarray(second[start : start + PIECE], np.float64)
        better = two < one
        wins += int(better.sum())
        ties += int((one == two).sum())
        product.append(dot(one - first_mean, two - second_mean))
        if labels is not None:
            piece_labels = np.asarray(labels[start : start + PIECE]).astype(np.int64)
            count = max(classes.shape[1], int(piece_labels.max()) + 1)
            gap = (two - second_mean) - (one - first_mean)
            more = [np.bincount(piece_labels, weights, count) for weights in (None, gap, gap * gap, better)]
            classes = np.pad(classes, ((0, 0), (0, count - classes.shape[1]))) + np.array(more)
    return wins, ties, math.fsum(product), classes


def _per_class(classes: NDArray[np.float64], difference: float) -> tuple[PairedClass, ...]:
    found = []
    for label, (rows, total, squares, wins) in enumerate(classes.T.tolist()):
        if rows == 0:
            continue
        mean = total / rows
        stderr = math.sqrt(max(0.0, squares / rows - mean * mean) / (rows - 1)) if rows > 1 else None
        found.append(PairedClass(label, int(rows), difference + mean, stderr, wins / rows))
    return tuple(found)
