"""Outputs that were saved, as scores: the values as they are, or cross-entropy of what logits were reduced to.

Knows how a run's columns lie in the rows of its source. Does not know files.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from streameval.errors import UsageError
from streameval.losses import CrossEntropy, Recorded
from streameval.losses.loss import Loss
from streameval.outputs.model import SavedModel
from streameval.scoring.scorer import Budget, Scores, check_threads
from streameval.storage.source import Chunk, Source


class OutputsScorer:
    """Scores rows of saved outputs. See `Scorer`. Computed by NumPy, in one thread."""

    name = "saved"

    def __init__(self, model: SavedModel, source: Source, loss: Loss, budget: Budget) -> None:
        if source.dtype != np.float64 or model.column >= source.features:
            raise UsageError(
                f"{source.name}: not the saved outputs that this model stands for. Give what open_outputs "
                "returns alone."
            )
        if not isinstance(loss, CrossEntropy | Recorded):
            raise UsageError(
                f"loss {loss!r}: of saved outputs, cross-entropy or the saved values themselves were expected."
            )
        self.model, self.loss = model, loss
        self.classes = None if isinstance(loss, Recorded) else source.classes
        self.threads = min(1, check_threads(budget.threads))

    def score(self, chunk: Chunk) -> Scores:
        """See `Scorer`."""
        rows = chunk.x
        value = np.ascontiguousarray(rows[:, self.model.column])
        if isinstance(self.loss, Recorded):
            return Scores(value, None, None)
        predicted = rows[:, self.model.column + 1].astype(np.int64)
        return Scores(_cross_entropy(value, self.loss), chunk.t, predicted)

    def reference(self, chunk: Chunk) -> None:
        """See `Scorer`: the values are what there is."""
        return

    def footprint(self, chunk_rows: int, threads: int) -> int:
        """See `Scorer`."""
        return 8 * 6 * chunk_rows


def _cross_entropy(logs: NDArray[np.float64], loss: Loss) -> NDArray[np.float64]:
    """-log(y + eps) of log(y) (n,), without ever forming a y of 0."""
    eps = float(getattr(loss, "eps", 0.0))
    return np.asarray(-(np.logaddexp(logs, math.log(eps)) if eps > 0.0 else logs))
