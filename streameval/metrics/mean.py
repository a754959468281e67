"""The mean of a value a row that was computed elsewhere: any loss or score."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from streameval.errors import DataError, UsageError
from streameval.evaluation.state import LARGEST_LOSS, State
from streameval.metrics.arrays import as_array, numbers_of
from streameval.metrics.metric import Metric
from streameval.metrics.value import Value
from streameval.scoring.scorer import Scores


class Mean(Metric[Value]):
    """The mean over rows of whatever was computed for each of them: losses with reduction="none", scores, errors.

    repeats_within  how far the values of a row may lie apart that comes more than once, where rows= are given
    """

    kind: ClassVar[str] = "mean"

    def update(self, values: Any, *, rows: Any = None) -> None:
        """Take in the values (n,) of a batch; rows as for `CrossEntropy.update`. One counts as rint(value * 2**40).

        Raises, and takes none of the batch in: UsageError for another shape, DataError for values that are NaN,
        infinite, or 4e6 and more.
        """
        given = as_array("values", values)
        if given.ndim != 1:
            cure = 'Compute them with reduction="none".' if given.ndim == 0 else "Give values.reshape(-1)."
            raise UsageError(f"values: shape {given.shape}, expected one for each row, (n,). {cure}")
        numbers = numbers_of(rows, len(given))
        wide = given.astype(np.float64)
        bad = ~(np.abs(wide) < LARGEST_LOSS)
        if bad.any():
            row = int(np.argmax(bad))
            raise DataError(
                f"values, row {row} of the batch: {wide[row]} ({int(bad.sum())} such rows), expected finite numbers "
                "within 4e6. Leave the row out, or mend it."
            )
        self._add(Scores(wide, None, None), numbers, None)

    def _value(self, state: State, repeated: int, disagreement: float) -> Value:
        return Value(state, repeated, disagreement)
