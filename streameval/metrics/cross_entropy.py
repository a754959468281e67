"""Cross-entropy of outputs that come in batches."""

from __future__ import annotations

import math
from typing import Any, ClassVar, Final

import numpy as np
from numpy.typing import NDArray

from streameval.arguments import integer, no_distributions, warn_of_probabilities
from streameval.errors import DataError, UsageError
from streameval.evaluation.state import LARGEST_LOSS, State
from streameval.losses import CrossEntropy as Loss
from streameval.metrics.arrays import finite_rows, numbers_of, outputs_of, targets_of
from streameval.metrics.metric import Metric
from streameval.metrics.value import LossValue
from streameval.scoring.scorer import Scores

# Outputs are computed in float64 in pieces of so many numbers: of 100,000 classes, a batch would not fit.
PIECE: Final = 1 << 20


class CrossEntropy(Metric[LossValue]):
    """The mean of -sum_k t_k log(y_k + eps) over rows, in nats, with accuracy, standard error and interval.

    probabilities   False: outputs are logits, y = softmax(outputs). True: they are y
    ignore_index    a label of rows that do not count, -100 for instance; None: there are none
    repeats_within  nats that the losses of a row may lie apart that comes more than once, where rows= are given: the
                    smaller one counts
    options         of `streameval.CrossEntropy`: eps=1e-7, ...; eps=0 is PyTorch's `cross_entropy`

    Raises UsageError for settings that cannot mean anything.
    """

    kind: ClassVar[str] = "cross-entropy"

    def __init__(
        self,
        *,
        probabilities: bool = False,
        ignore_index: int | None = None,
        repeats_within: float = 1e-2,
        **options: Any,
    ) -> None:
        try:
            self.loss = Loss(**options)
        except TypeError as error:
            raise UsageError(f"{error}. Options are those of streameval.CrossEntropy.") from None
        if not isinstance(probabilities, bool):
            raise UsageError(f"probabilities: {probabilities!r}, expected True or False.")
        self._options, self.probabilities = options, probabilities
        self.ignore_index = None if ignore_index is None else integer("ignore_index", ignore_index)
        super().__init__(repeats_within)

    def update(self, outputs: Any, target: Any, *, rows: Any = None) -> None:
        """Take in the rows of a batch.

        outputs  (n, classes) logits, or probabilities: an array or tensor of any library, device and precision; -inf is
                 a class that cannot be. Losses are computed from it in float64, each row by itself
        target   (n,) integer labels, or (n, classes) one-hot or soft rows
        rows     (n,) the number of each row in the data set: it counts once, however often it comes. It takes 40 bytes
                 a row; without, memory is fixed and whatever comes counts

        Raises, and takes none of the batch in:
            UsageError: shapes that do not fit; rows= given to some batches only.
            LabelError: a label outside the classes.
            DataError: NaN or infinite outputs, false probabilities, an infinite loss (eps=0 and y=0), other classes
                than before; with rows=, here or at `compute`, a row that came with different results.
        """
        given = outputs_of("outputs", outputs)
        n, classes = given.shape
        numbers, targets = numbers_of(rows, n), targets_of(target, n, classes, self.ignore_index)
        if self.ignore_index is not None and targets.ndim == 1:
            counted = targets != self.ignore_index
            given, targets = given[counted], targets[counted]
            numbers = None if numbers is None else numbers[counted]
        step = max(1, PIECE // classes)
        parts = [
            self._losses(given[at : at + step], targets[at : at + step])
            for at in range(0, max(1, len(given)), step)
        ]
        loss = np.concatenate([one for one, _ in parts])
        truth = np.argmax(targets, axis=1) if targets.ndim == 2 else targets
        self._add(Scores(loss, truth, np.concatenate([best for _, best in parts])), numbers, classes)

    def _losses(
        self, given: NDArray[Any], targets: NDArray[Any]
    ) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        """The losses and predicted classes (n,) of outputs (n, classes)."""
        # Rows side by side in memory, so that each is added up in one order, whatever else is there.
        values = np.ascontiguousarray(given, np.float64)
        with np.errstate(divide="ignore"):
            if self.probabilities:
                _check_probabilities(values)
                loss = self.loss.of_probabilities(values, targets)
            else:
                finite_rows("outputs", values)
                warn_of_probabilities("outputs:", values, "probabilities=True")
                loss = self.loss.reference(values, targets)
        bad = ~(np.abs(loss) < LARGEST_LOSS)
        if bad.any():
            row = int(np.argmax(bad))
            raise DataError(
                f"outputs, row {row} of the batch: a loss of {loss[row]} ({int(bad.sum())} such rows): the true class "
                "has probability 0. Expected finite losses; eps=1e-7 bounds them."
            )
        return loss, np.argmax(values, axis=1)

    def _arguments(self) -> dict[str, Any]:
        return {
            **self._options,
            "probabilities": self.probabilities,
            "ignore_index": self.ignore_index,
            "repeats_within": self._within,
        }

    def _settings(self) -> dict[str, Any]:
        others = {name: value for name, value in self._arguments().items() if name not in self._options}
        return {"kind": self.kind, "loss": self.loss.to_dict(), **others}

    def _value(self, state: State, repeated: int, disagreement: float) -> LossValue:
        return LossValue(state, repeated, disagreement, self.loss.bounds or (self.loss.least, math.inf))


def _check_probabilities(values: NDArray[np.float64]) -> None:
    bad = no_distributions(values)
    if bad.any():
        row = int(np.argmax(bad))
        raise DataError(
            f"outputs, row {row} of the batch: smallest {values[row].min():.6g}, sum {values[row].sum():.6g} "
            f"({int(bad.sum())} such rows), expected probabilities that sum to 1. If they are logits: "
            "probabilities=False."
        )
