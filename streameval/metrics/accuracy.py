"""The share of rows that are predicted right, of outputs that come in batches."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from streameval.arguments import integer
from streameval.errors import DataError, UsageError
from streameval.evaluation.state import State
from streameval.metrics.arrays import as_array, numbers_of, outputs_of, targets_of
from streameval.metrics.metric import Metric
from streameval.metrics.value import AccuracyValue
from streameval.scoring.scorer import Scores


class Accuracy(Metric[AccuracyValue]):
    """The share of rows whose true class is among the `top_k` with the largest outputs; of equal ones, the first count.

    top_k         1: the largest
    ignore_index  a label of rows that do not count; None: there are none
    repeats_within  0: a row that comes more than once, where rows= are given, must be right or wrong each time; 1: one
                  that is both counts as wrong, as rounding may have it near a tie

    Raises UsageError for settings that cannot mean anything.
    """

    kind: ClassVar[str] = "accuracy"

    def __init__(
        self, top_k: int = 1, *, ignore_index: int | None = None, repeats_within: float = 0.0
    ) -> None:
        self.top_k = integer("top_k", top_k, least=1)
        self.ignore_index = None if ignore_index is None else integer("ignore_index", ignore_index)
        super().__init__(repeats_within)

    def update(self, outputs: Any, target: Any, *, rows: Any = None) -> None:
        """Take in the rows of a batch.

        outputs  (n, classes) logits or probabilities, or predicted classes (n,) integers where top_k is 1: an array or
                 tensor of any library, device and precision
        target   (n,) integer labels, or (n, classes) one-hot or soft rows, whose largest entry is the true class
        rows     as for `CrossEntropy.update`

        Raises as `CrossEntropy.update`, and takes none of the batch in.
        """
        given = as_array("outputs", outputs)
        if given.ndim == 1 and given.dtype.kind in "iub":
            right, labels = self._of_classes(given, as_array("target", target))
        else:
            given = outputs_of("outputs", given)
            if np.isnan(given).any():
                row = int(np.argmax(np.isnan(given).any(axis=1)))
                raise DataError(f"outputs, row {row} of the batch: NaN. Expected numbers.")
            targets = targets_of(target, len(given), given.shape[1], self.ignore_index)
            labels = np.argmax(targets, axis=1) if targets.ndim == 2 else targets
            right = self._among_the_largest(given, labels)
        numbers = numbers_of(rows, len(given))
        counted = np.ones(len(given), np.bool_) if self.ignore_index is None else labels != self.ignore_index
        scores = Scores(right[counted].astype(np.float64), None, None)
        self._add(scores, None if numbers is None else numbers[counted], None)

    def _of_classes(
        self, given: NDArray[Any], target: NDArray[Any]
    ) -> tuple[NDArray[np.bool_], NDArray[Any]]:
        if self.top_k != 1:
            raise UsageError(
                f"outputs: predicted classes {given.shape} with top_k={self.top_k}, expected (n, classes)."
            )
        if target.shape != given.shape or target.dtype.kind not in "iub":
            raise UsageError(
                f"target: {target.dtype} of shape {target.shape}, expected integers {given.shape}, as the predicted "
                "classes are."
            )
        return np.equal(given, target), target

    def _among_the_largest(self, given: NDArray[Any], labels: NDArray[Any]) -> NDArray[np.bool_]:
        classes = given.shape[1]
        places = np.clip(labels, 0, classes - 1)  # a label that is ignored is none of them
        true = given[np.arange(len(given)), places][:, None]
        before = (given > true) | ((given == true) & (np.arange(classes) < places[:, None]))
        return np.asarray(before.sum(axis=1) < self.top_k)

    def _arguments(self) -> dict[str, Any]:
        return {"top_k": self.top_k, "ignore_index": self.ignore_index, "repeats_within": self._within}

    def _value(self, state: State, repeated: int, disagreement: float) -> AccuracyValue:
        return AccuracyValue(state, repeated, disagreement)
