"""The sums of losses and of right rows by group of rows, exactly, while a pass goes on. A sink.

Knows which group each row is of. Does not know what error follows: `statistics.clusters` does.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from streameval.errors import UsageError
from streameval.evaluation.passes import Part
from streameval.evaluation.selection import Selection
from streameval.evaluation.state import UNITS
from streameval.frozen import frozen
from streameval.statistics.clusters import Clustered, group_codes, of_sums
from streameval.storage.source import Source

LOW = 1 << 31  # a loss in units of 2**-40 nats is cut here, so that float64 sums of a part's halves are exact


@frozen
class Clusters:
    """The mean loss, and the accuracy where rows have classes, with errors clustered by group."""

    loss: Clustered
    accuracy: Clustered | None


class GroupSums:
    """Exact sums by group of the rows of a selection: the same however rows are cut into parts.

    groups  (rows,) one group for each row of the source, or the name of a column of it
    scorer  whose losses are added up, by its place in the pass
    """

    def __init__(self, groups: Any, source: Source, selection: Selection, scorer: int = 0) -> None:
        self._scorer = scorer
        self._codes, count = row_groups(groups, source)
        self._selection = selection
        self._rows, self._right = np.zeros(count, np.int64), np.zeros(count, np.int64)
        self._low, self._high = np.zeros(count, np.int64), np.zeros(count, np.int64)
        self._classes = True

    def add(self, part: Part) -> None:
        """Take in one part; rows whose loss is not finite are in no group."""
        losses = part.losses[self._scorer]
        counted = np.isfinite(losses)
        codes = self._codes[self._selection.within(part.span).numbers()][counted]
        units = np.rint(losses[counted] * UNITS).astype(np.int64)
        for total, values in ((self._rows, None), (self._low, units % LOW), (self._high, units // LOW)):
            total += np.bincount(codes, values, len(total)).astype(np.int64)
        predicted = part.predicted[self._scorer] if part.predicted else None
        if part.target is None or predicted is None:
            self._classes = False
        else:
            right = (part.target == predicted)[counted]
            self._right += np.bincount(codes, right, len(self._right)).astype(np.int64)

    def clusters(self) -> Clusters:
        """What came of all parts."""
        units = self._high.astype(object) * LOW + self._low.astype(object)
        sums, sizes = (units / UNITS).astype(np.float64), self._rows.astype(np.float64)
        right = of_sums(self._right.astype(np.float64), sizes) if self._classes else None
        return Clusters(of_sums(sums, sizes), right)


def row_groups(groups: Any, source: Source) -> tuple[NDArray[np.int64], int]:
    """Return the code (rows,) of each row's group, and how many groups there are.

    Raises UsageError for groups of another number of rows, and the errors of `columns.column_of`.
    """
    if isinstance(groups, str):
        from streameval.storage.columns import column_of

        groups = column_of(source, groups)
    codes, count = group_codes(groups)
    if len(codes) != source.rows:
        raise UsageError(
            f"groups: {len(codes)} for the {source.rows} rows of {source.name}. Give one for each row."
        )
    return codes, count
