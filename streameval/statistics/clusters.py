"""Rows that come in groups - documents, questions, writers - are no independent rows: errors that know it.

Knows one value and one group a row, or their sums by group. Does not know what a group is.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streameval.errors import DataError, UsageError
from streameval.frozen import frozen
from streameval.statistics.intervals.method import Interval, checked_level
from streameval.statistics.population import PIECE
from streameval.statistics.student import t_quantile

ENOUGH = (
    40  # groups from which on the interval covers to about a point of nominal where groups are alike in size
)
FLAT = 1e-12  # of the mean: a spread that rounding alone can leave
ASSUMES = (
    "For further data of the same kind, approximately: the groups are independent of each other, rows of one group "
    "need not be, and no group outweighs the others."
)


@frozen
class Clustered:
    """A mean (or ratio of sums) with an error that takes groups, not rows, as independent.

    stderr        None for fewer than two groups
    groups        how many there are · largest: the share of the largest one in the denominator
    """

    mean: float
    stderr: float | None
    groups: int
    largest: float

    def interval(self, level: float = 0.95) -> Interval:
        """Return mean -+ t stderr, t of groups - 1 degrees of freedom: for further data, approximately."""
        checked_level(level)
        half = math.inf if self.stderr is None else t_quantile(level, self.groups - 1) * self.stderr
        return Interval(self.mean - half, self.mean + half, level, "clustered", ASSUMES, self._warning())

    @property
    def alike(self) -> bool:
        """Whether there are several, and no spread between them but for rounding."""
        return self.stderr is not None and self.stderr <= FLAT * abs(self.mean)

    def _warning(self) -> str | None:
        if self.stderr is None:
            return "One group says nothing of the spread between groups, and sets the interval no ends."
        if self.alike:
            return "All groups are alike: a spread of 0 says nothing of groups that are not among them."
        if self.groups < ENOUGH or self.largest > 2.0 / ENOUGH:
            return (
                f"{self.groups} groups, the largest with {100 * self.largest:.0f} % of the rows, are few: the interval "
                "is likely too short."
            )
        return None


def clustered(values: Any, groups: Any, *, weights: Any = None) -> Clustered:
    """Return the mean of (n,) values, or sum(values) / sum(weights), with its error clustered by (n,) groups.

        m = sum_g S_g / sum_g W_g        stderr^2 = G / (G - 1) sum_g (S_g - m W_g)^2 / (sum_g W_g)^2

    with S_g and W_g the sums of values and of weights (1 each) of group g, G groups: the error of a ratio, linearised
    (Miller 2024, "Adding error bars to evals", equation 4, has it for the mean, without G / (G - 1)). With every row
    a group of its own it is stddev / sqrt(n). groups: anything `group_codes` takes. Raises UsageError, DataError.
    """
    codes, count = group_codes(groups)
    if len(codes) != len(values):
        raise UsageError(f"groups: {len(codes)} for {len(values)} rows. Give one for each row.")
    if weights is not None and len(weights) != len(values):
        raise UsageError(f"weights: {len(weights)} for {len(values)} rows. Give one for each row.")
    sums, sizes = np.zeros(count), np.zeros(count)
    for start in range(0, len(values), PIECE):
        part = slice(start, start + PIECE)
        value = finite(values[part], "values", start)
        weight = None if weights is None else finite(weights[part], "weights", start)
        sums += np.bincount(codes[part], value, count)
        sizes += np.bincount(codes[part], weight, count)
    return of_sums(sums, sizes)


def of_sums(sums: NDArray[np.float64], sizes: NDArray[np.float64]) -> Clustered:
    """Return the same from the sums of each group: values (G,) and weights (G,), float64.

    A group of weight 0 counts with what it adds to the values, as the loss of ending an empty text does; one of 0 and 0
    is none.
    """
    there = (sizes > 0) | (sums != 0)
    sums, sizes = sums[there], sizes[there]
    count, total = len(sizes), math.fsum(sizes)
    if total == 0:
        raise UsageError("groups: no rows, or no weight in them. At least one group with rows was expected.")
    with np.errstate(over="ignore", invalid="ignore"):
        mean = _sum(sums) / total
        spread = _sum((sums - mean * sizes) ** 2)
    if not math.isfinite(spread):
        raise DataError(
            f"values: the largest of a group is {np.abs(sums).max():.3g}, which is too large to be squared and summed. "
            "Expected losses, or scores: leave out what is none."
        )
    stderr = None
    if count > 1:
        stderr = math.sqrt(spread * count / (count - 1)) / total
    return Clustered(mean, stderr, count, float(sizes.max()) / total)


def _sum(values: NDArray[np.float64]) -> float:
    """The exact sum, rounded once; infinite where it fits no float."""
    try:
        return math.fsum(values)
    except (OverflowError, ValueError):  # of sums on the way, or of infinities of both signs
        return math.inf


def group_codes(groups: Any) -> tuple[NDArray[np.int64], int]:
    """Return codes (n,) int64 in [0, G), and G, of (n,) groups: integers, strings or anything that sorts.

    Integers that are such codes already (as `storage.columns.read_column` gives them) are taken as they are.
    Raises UsageError for another shape, DataError for a group that is missing (NaN, None).
    """
    given = np.asarray(groups)
    if given.ndim != 1:
        raise UsageError(f"groups: found shape {given.shape}, one group for each row (n,) was expected.")
    absent = np.zeros(len(given), np.bool_)
    if given.dtype.kind in "fO":  # NaN alone differs from itself
        absent = np.array([one is None or one != one for one in given.tolist()], np.bool_)
    if absent.any():
        raise DataError(
            f"groups, row {int(np.argmax(absent))}: no group ({np.count_nonzero(absent)} such rows). Expected one for "
            "each row: give rows that stand alone a group of their own."
        )
    if given.dtype.kind in "iu" and len(given) and int(given.min()) >= 0 and int(given.max()) < len(given):
        return given.astype(np.int64, copy=False), int(given.max()) + 1
    if given.dtype == object:
        given = given.astype(str)
    names, codes = np.unique(given, return_inverse=True)
    return codes.reshape(-1).astype(np.int64), len(names)


def finite(values: Any, what: str, first: int) -> NDArray[np.float64]:
    """Return the values as float64, or raise DataError that names the row of the first that is not finite."""
    checked = np.asarray(values, np.float64)
    if not np.isfinite(checked).all():
        row = first + int(np.argmin(np.isfinite(checked)))
        raise DataError(
            f"{what}, row {row}: not finite. Expected finite numbers; leave the row out, or mend it."
        )
    return checked


def as_dict(found: Clustered | None) -> Mapping[str, Any]:
    """Return the contract's names of a clustered error, None where no groups were given."""
    return {
        "stderr_clustered": None if found is None else found.stderr,
        "groups": None if found is None else found.groups,
    }
