"""Losses of given rows by one model or several, each row read once: what the statistics read through.

Knows scorers and sources. Does not know which rows are drawn, or what is made of their losses.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from streameval.defaults import CHUNK_ROWS
from streameval.evaluation.passes import score_finite
from streameval.frozen import frozen
from streameval.scoring.scorer import Scorer
from streameval.storage.source import Source

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]


class LossReader:
    """Calls with row numbers (n,) int64 return their losses (n,) float64 in nats, in the order of the rows.

    Rows that fit into one chunk are read in the order asked for: a mini-batch is not worth sorting.
    Raises DataError for a row whose features are not finite, LabelError for a label outside the classes.
    """

    def __init__(self, scorer: Scorer, source: Source) -> None:
        self._scorers, self._source = [scorer], source

    def __call__(self, rows: Integers) -> Floats:
        return self.with_right(rows)[0]

    def with_right(self, rows: Integers) -> tuple[Floats, NDArray[np.bool_] | None]:
        """Return the same, and which of the rows are predicted right, (n,) bool; None where rows have no classes."""
        if len(rows) > CHUNK_ROWS:
            read = in_file_order(self._scorers, self._source, rows)
            return read.losses[0], None if read.right is None else read.right[0]
        scores = score_finite(self._scorers, self._source, self._source.take(rows))[0]
        return scores.loss, scores.right

    def in_file_order(self, rows: Integers) -> Floats:
        """Return the same, reading the rows where they lie, one after another."""
        only: Floats = in_file_order(self._scorers, self._source, rows).losses[0]
        return only


@frozen(eq=False)
class RowScores:
    """What several scorers say of n rows: losses (scorers, n) in nats; true classes (n,), and which rows are predicted
    right (scorers, n) bool, None where rows have no classes."""

    losses: Floats
    target: Integers | None
    right: NDArray[np.bool_] | None


def in_file_order(
    scorers: Sequence[Scorer], source: Source, rows: Integers, chunk_rows: int = CHUNK_ROWS
) -> RowScores:
    """The scores of the rows numbered (n,), in the order asked for.

    Rows are read in the order in which they lie in the file. Raises DataError for a row whose features are not finite.
    """
    losses, target = np.empty((len(scorers), len(rows))), np.empty(len(rows), np.int64)
    right = np.zeros(losses.shape, np.bool_)
    order, has_classes = np.argsort(rows, kind="stable"), True
    for start in range(0, len(rows), chunk_rows):
        part = order[start : start + chunk_rows]
        scores = score_finite(scorers, source, source.take(rows[part]))
        losses[:, part] = [one.loss for one in scores]
        if scores[0].target is None:
            has_classes = False
            continue
        target[part] = scores[0].target
        right[:, part] = [one.right for one in scores]
    return RowScores(losses, target, right) if has_classes else RowScores(losses, None, None)


class SharedReader:
    """Reads rows that several comparisons ask for in the same order, each row once.

    Every comparison begins at the first row and asks for the rows of one order, in parts of its own sizes: what one
    has read is there for those after it, the losses of all scorers that are still needed.

    known  losses (rows of the data set,) of a first model that is not computed, or None
    """

    def __init__(
        self,
        scorers: Sequence[Scorer],
        source: Source,
        known: Floats | None = None,
        chunk_rows: int = CHUNK_ROWS,
    ) -> None:
        self._scorers, self._source, self._known, self._chunk_rows = scorers, source, known, chunk_rows
        self._losses = np.empty((len(scorers) + (known is not None), 0))
        self._target: Integers | None = np.empty(0, np.int64)
        self._right = np.zeros(self._losses.shape, np.bool_)

    def comparison(self, number: int, of: str = "loss") -> Callable[[Integers], Floats]:
        """What reads for the comparison of the model `number` with the first: losses (2, n) of the next rows; `of`
        "accuracy": their zero-one losses.

        Comparisons are made one after another, in the order of their numbers.
        """
        position = 0

        def read(rows: Integers) -> Floats:
            nonlocal position
            missing = position + len(rows) - self._losses.shape[1]
            if missing > 0:
                self._read(rows[len(rows) - missing :], number)
            position += len(rows)
            part = slice(position - len(rows), position)
            both: Floats = self._losses[[0, number], part]
            return both if of == "loss" else np.asarray(1.0 - self._right[[0, number], part], np.float64)

        return read

    def first(self, number: int, count: int) -> RowScores:
        """What the first model and the model `number` say of the first `count` rows. `right` is None where a model has
        no classes, or was not computed."""
        losses = self._losses[[0, number], :count]
        if self._target is None:
            return RowScores(losses, None, None)
        right = None if self._known is not None else self._right[[0, number], :count]
        return RowScores(losses, self._target[:count], right)

    def _read(self, rows: Integers, number: int) -> None:
        """Read rows that nobody read before, with the models that this comparison and later ones need."""
        offset = int(self._known is not None)
        needed = [
            k for k in range(len(self._scorers)) if k + offset in (0, *range(number, len(self._losses)))
        ]
        read = in_file_order([self._scorers[k] for k in needed], self._source, rows, self._chunk_rows)
        more = np.full((len(self._losses), len(rows)), np.nan)
        if self._known is not None:
            more[0] = self._known[rows]
        more[[k + offset for k in needed]] = read.losses
        self._losses = np.hstack([self._losses, more])
        right = np.zeros(more.shape, np.bool_)
        if read.right is not None:
            right[[k + offset for k in needed]] = read.right
        self._right = np.hstack([self._right, right])
        if read.target is None or self._target is None:
            self._target = None
        else:
            self._target = np.concatenate([self._target, read.target])
