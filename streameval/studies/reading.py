"""Losses of given rows by one model or several, each row read once: what the statistics read through.

Knows scorers and sources. Does not know which rows are drawn, or what is made of their losses.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from streameval.defaults import CHUNK_ROWS
from streameval.evaluation.passes import score_finite
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
        if len(rows) > CHUNK_ROWS:
            return self.in_file_order(rows)
        return score_finite(self._scorers, self._source, self._source.take(rows))[0].loss

    def in_file_order(self, rows: Integers) -> Floats:
        """Return the same, reading the rows where they lie, one after another."""
        only: Floats = in_file_order(self._scorers, self._source, rows)[0][0]
        return only


def in_file_order(
    scorers: Sequence[Scorer], source: Source, rows: Integers, chunk_rows: int = CHUNK_ROWS
) -> tuple[Floats, Integers | None]:
    """Losses (scorers, n) in nats and true classes (n,) of the rows numbered (n,), in the order asked for.

    Rows are read in the order in which they lie in the file. Raises DataError for a row whose features are not finite.
    """
    losses, target = np.empty((len(scorers), len(rows))), np.empty(len(rows), np.int64)
    order, has_classes = np.argsort(rows, kind="stable"), True
    for start in range(0, len(rows), chunk_rows):
        part = order[start : start + chunk_rows]
        scores = score_finite(scorers, source, source.take(rows[part]))
        losses[:, part] = [one.loss for one in scores]
        if scores[0].target is None:
            has_classes = False
        else:
            target[part] = scores[0].target
    return losses, target if has_classes else None


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

    def comparison(self, number: int) -> Callable[[Integers], Floats]:
        """What reads for the comparison of the model `number` with the first: losses (2, n) of the next rows.

        Comparisons are made one after another, in the order of their numbers.
        """
        position = 0

        def read(rows: Integers) -> Floats:
            nonlocal position
            missing = position + len(rows) - self._losses.shape[1]
            if missing > 0:
                self._read(rows[len(rows) - missing :], number)
            position += len(rows)
            both: Floats = self._losses[[0, number], position - len(rows) : position]
            return both

        return read

    def first(self, number: int, count: int) -> tuple[Floats, Integers | None]:
        """Losses (2, count) of the first model and of the model `number`, and true classes, of the first rows."""
        return self._losses[[0, number], :count], None if self._target is None else self._target[:count]

    def _read(self, rows: Integers, number: int) -> None:
        """Read rows that nobody read before, with the models that this comparison and later ones need."""
        offset = int(self._known is not None)
        needed = [
            k for k in range(len(self._scorers)) if k + offset in (0, *range(number, len(self._losses)))
        ]
        losses, target = in_file_order(
            [self._scorers[k] for k in needed], self._source, rows, self._chunk_rows
        )
        more = np.full((len(self._losses), len(rows)), np.nan)
        if self._known is not None:
            more[0] = self._known[rows]
        more[[k + offset for k in needed]] = losses
        self._losses = np.hstack([self._losses, more])
        if target is None or self._target is None:
            self._target = None
        else:
            self._target = np.concatenate([self._target, target])
