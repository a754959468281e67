"""From the scores of a chunk to its anatomy: losses on their grid, probabilities in their bins, rows by a column.

Knows arrays of rows. Does not know how an anatomy merges, nor how it is told.
"""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from streameval.errors import UsageError
from streameval.evaluation.anatomy import (
    BINS,
    CELLS,
    MOST_VALUES,
    SMALLEST,
    Anatomy,
    Bin,
    Chances,
    Grid,
    Slice,
    name_of,
    tops,
)
from streameval.evaluation.state import LARGEST_LOSS, UNITS, fold_losses
from streameval.frozen import frozen
from streameval.outputs import is_saved
from streameval.scoring.scorer import Scores
from streameval.storage.source import Source

if TYPE_CHECKING:
    from streameval.outputs.source import Outputs

# Rows whose probabilities are looked at together: so many numbers in float64.
PIECE: Final = 1 << 17
HALF: Final = 1 << 31
# What values that were given as an array are called.
ARRAY: Final = "by"
MANTISSA: Final = 52 - (CELLS.bit_length() - 1)


@frozen(eq=False)
class Named:
    """Values of rows as codes: the column that they are of, a code (rows,) int64 for each row, what the codes mean."""

    column: str
    codes: NDArray[np.int64]
    values: tuple[str, ...]


class Anatomist:
    """Takes the scores of rows apart. `named` says what it does, for what parts of a pass must have in common.

    by  a value for each row of the data set, (rows,) integers, booleans or strings, or the name of a column of its
        Arrow files; None for none. It takes 8 bytes a row
    """

    def __init__(self, source: Source, by: Any = None) -> None:
        self.column: str | None = None
        self.named = name_of(None)
        if by is not None:
            if isinstance(by, str) and is_saved(source):
                by = _named(by, source)
            if isinstance(by, Named):
                self.column, self._codes, self._values = by.column, by.codes, list(by.values)
            else:
                self.column = by if isinstance(by, str) else ARRAY
                self._codes, self._values = _codes(by, source)
            _check_few(self.column, len(self._values))
            told = hashlib.sha256(self._codes.tobytes() + "\n".join(self._values).encode()).hexdigest()
            self.named = name_of(self.column, told)

    def of(self, scores: Scores, rows: NDArray[np.int64]) -> Anatomy:
        """The anatomy of the rows of a chunk, numbered `rows` (n,); those whose loss is not finite are left out."""
        counted = np.abs(scores.loss) < LARGEST_LOSS
        every = bool(counted.all())
        loss = scores.loss if every else scores.loss[counted]
        right = scores.right
        if right is not None and not every:
            right = right[counted]
        chances = None
        if scores.probabilities is not None and scores.target is not None and right is not None:
            given = scores.probabilities if every else scores.probabilities[counted]
            target = scores.target if every else scores.target[counted]
            soft = scores.soft if scores.soft is None or every else scores.soft[counted]
            chances = chances_of(given, target, right, soft)
        slices = None
        if self.column is not None:
            slices = self._slices(loss, right, rows if every else rows[counted])
        return Anatomy(grid_of(loss), chances, self.column, slices)

    def _slices(
        self, loss: NDArray[np.float64], right: NDArray[np.bool_] | None, rows: NDArray[np.int64]
    ) -> dict[str, Slice]:
        codes = self._codes[rows]
        order = np.argsort(codes, kind="stable")
        found, first = np.unique(codes[order], return_index=True)
        slices = {}
        for code, at in zip(found.tolist(), np.split(order, first)[1:], strict=True):
            sums, _ = fold_losses(loss[at], rows[at])
            slices[self._values[code]] = Slice(sums, 0 if right is None else int(right[at].sum()))
        return slices


def grid_of(loss: NDArray[np.float64]) -> Grid:
    """Finite losses (n,) on their grid: the cell is read off the bits of the number."""
    size = np.abs(loss)
    lowest = int(np.float64(SMALLEST).view(np.int64) >> MANTISSA)
    cell = (np.ascontiguousarray(size).view(np.int64) >> MANTISSA) - (lowest - 1)
    cell = np.where(size < SMALLEST, 0, np.where(loss < 0.0, -cell, cell))
    used, place = np.unique(cell, return_inverse=True)
    rows, units = _sums(loss, place.reshape(-1), len(used))
    return Grid({int(k): (n, u) for k, n, u in zip(used, rows, units, strict=True)})


def chances_of(
    given: NDArray[Any], target: NDArray[np.int64], right: NDArray[np.bool_], soft: NDArray[np.float64] | None
) -> Chances:
    """What probabilities (n, classes) come to, of rows of these true classes (n,); `right` (n,): whose predicted class
    is the true one; `soft` (n, classes): the targets, where they are not classes."""
    classes = given.shape[1]
    total, step = Chances.empty(classes), max(1, PIECE // classes)
    for start in range(0, len(given), step):
        part = slice(start, start + step)
        # A class after another: a row's sums have one order, whatever rows are beside it.
        y = np.array(given[part].T, np.float64, order="C")
        share = None if soft is None else soft[part].T
        total += _piece(y, target[part], right[part], share)
    return total


def _piece(
    y: NDArray[np.float64],
    target: NDArray[np.int64],
    right: NDArray[np.bool_],
    soft: NDArray[np.float64] | None,
) -> Chances:
    """What the probabilities `y` (classes, n) come to, which are written over."""
    classes, n = y.shape
    true = y[target, np.arange(n)]
    ahead = (y > true) | ((y == true) & (np.arange(classes)[:, None] < target))
    before, confidence = np.add.reduce(ahead, axis=0, dtype=np.int32), y.max(axis=0)
    if soft is None:
        y[target, np.arange(n)] -= 1.0
    else:
        y -= soft
    y *= y
    # One class after another, as NumPy adds all rows but a single one.
    brier = np.add.reduce(y, axis=0) if n > 1 else np.cumsum(y, axis=0)[-1]
    # Among the first means predicted: the model knows it from logits, of which probabilities may not be told apart.
    top = tuple(int(np.count_nonzero(right if k == 1 else right | (before < k))) for k in tops(classes))
    place = np.minimum((confidence * BINS).astype(np.int64), BINS - 1)
    rows, units = _sums(confidence, place, BINS)
    correct = np.bincount(place, right, BINS).astype(np.int64).tolist()
    bins = tuple(Bin(*one) for one in zip(rows, correct, units, strict=True))
    sums, _ = fold_losses(brier, np.zeros(n, np.int64))
    return Chances(classes, replace(sums, worst=()), top, bins)


def _sums(values: NDArray[np.float64], place: NDArray[Any], count: int) -> tuple[list[int], list[int]]:
    """Rows at each of `count` places, and the exact sums of their values in units of 2**-40."""
    units = np.rint(values * UNITS).astype(np.int64)
    # Float64 sums of halves of a chunk's units are exact.
    low = np.bincount(place, units % HALF, count).astype(np.int64).tolist()
    high = np.bincount(place, units // HALF, count).astype(np.int64).tolist()
    rows = np.bincount(place, minlength=count).tolist()
    return rows, [a + b * HALF for a, b in zip(low, high, strict=True)]


def _codes(by: Any, source: Source) -> tuple[NDArray[np.int64], list[str]]:
    """A code (rows,) for each row's value, and what the codes mean."""
    name = f"by={by!r}" if isinstance(by, str) else "by"
    if isinstance(by, str):
        from streameval.storage.columns import column_of

        by = column_of(source, by)
    given = np.asarray(by)
    if given.shape != (source.rows,) or given.dtype.kind not in "iubUS":
        raise UsageError(
            f"{name}: {given.dtype} of shape {given.shape}, expected integers, booleans or strings, one for each of "
            f"the {source.rows} rows of {source.name}. Numbers with a point are cut into ranges first."
        )
    values, codes = np.unique(given, return_inverse=True)
    texts = [one.decode(errors="replace") if isinstance(one, bytes) else str(one) for one in values.tolist()]
    return codes.reshape(-1).astype(np.int64), texts


def _named(column: str, source: Outputs) -> Named:
    """The values of rows of saved outputs: those of the column that they were opened with."""
    if source.groups is None or source.groups.column != column:
        raise UsageError(
            f"by: {column!r}, but {source.name} was opened without it. Open it with that column: open_outputs(..., "
            f"group={column!r}) (--group {column})."
        )
    return Named(column, source.groups.codes, source.groups.names)


def _check_few(column: str, count: int) -> None:
    """Raise UsageError for more values than can have sums of their own."""
    if count > MOST_VALUES:
        raise UsageError(
            f"by {column!r}: {count} different values, expected at most {MOST_VALUES}: each has sums of its own. Put "
            "them into fewer groups."
        )
