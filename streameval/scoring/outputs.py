"""Outputs that were saved, as scores: the values as they are, or cross-entropy of what logits were reduced to.

Knows how a run's columns lie in the rows of its source. Does not know files.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from streameval.elementary import exp, log, logaddexp
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
        if getattr(loss, "label_smoothing", 0.0) and not model.whole:
            raise UsageError(
                f"{source.name}: of each row the true class's probability was kept, and label smoothing takes those of "
                "all classes. Open it with open_outputs(..., whole=True)."
            )
        self.model, self.loss = model, loss
        self.classes = None if isinstance(loss, Recorded) else source.classes
        self.threads = min(1, check_threads(budget.threads))

    def score(self, chunk: Chunk) -> Scores:
        """See `Scorer`."""
        rows, first = chunk.x, self.model.column
        if isinstance(self.loss, Recorded):
            return Scores(np.ascontiguousarray(rows[:, first]), None, None)
        kept = self.model.outputs if self.model.whole else 1
        logs, predicted = _with_eps(rows[:, first : first + kept], self.loss), rows[:, first + kept]
        loss = self.loss.of_logs(logs, chunk.t) if self.model.whole else np.ascontiguousarray(-logs[:, 0])
        return Scores(loss, chunk.t, predicted.astype(np.int64))

    def detailed(self, chunk: Chunk) -> Scores:
        """The same scores with the probabilities, where those of all classes were kept."""
        scores, model = self.score(chunk), self.model
        if self.classes is None or not model.whole:
            return scores
        logs = chunk.x[:, model.column : model.column + model.outputs]
        return replace(scores, probabilities=exp(np.ascontiguousarray(logs)))

    def reference(self, chunk: Chunk) -> None:
        """See `Scorer`: the values are what there is."""
        return

    def footprint(self, chunk_rows: int, threads: int) -> int:
        """See `Scorer`."""
        kept = self.model.outputs if self.model.whole else 1
        return 8 * (3 + 3 * kept) * chunk_rows


def _with_eps(logs: NDArray[np.float64], loss: CrossEntropy) -> NDArray[np.float64]:
    """log(y + eps) of log(y) (n, k), without ever forming a y of 0."""
    return np.asarray(logaddexp(logs, log(loss.eps)) if loss.eps > 0.0 else logs)
