"""Outputs that were saved, as scores: the values as they are, or a loss of what logits and predictions were reduced to.

Knows how a run's columns lie in the rows of its source. Does not know files.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streameval.elementary import exp
from streameval.errors import UsageError
from streameval.losses import ClippedCrossEntropy, CrossEntropy, Recorded
from streameval.losses.loss import Loss
from streameval.outputs.model import SavedModel
from streameval.scoring.numbers import check_sizes, number_targets
from streameval.scoring.scorer import Budget, Scores, check_threads
from streameval.storage.source import Chunk, Source

OfClasses = CrossEntropy | ClippedCrossEntropy


class OutputsScorer:
    """Scores rows of saved outputs. See `Scorer`. Computed by NumPy, in one thread."""

    name = "saved"

    def __init__(self, model: SavedModel, source: Source, loss: Loss, budget: Budget) -> None:
        if source.dtype != np.float64 or model.column >= source.features:
            raise UsageError(
                f"{source.name}: not the saved outputs that this model stands for. Give what open_outputs "
                "returns alone."
            )
        _check_loss(model, source.name, loss)
        self.model, self.loss = model, loss
        self.classes = source.classes if loss.classifies else None
        self.threads = min(1, check_threads(budget.threads))
        self._source_name = source.name

    def score(self, chunk: Chunk) -> Scores:
        """See `Scorer`."""
        rows, first = chunk.x, self.model.column
        if isinstance(self.loss, OfClasses):
            return self._of_classes(rows, chunk.t, self.loss)
        if self.model.kept == "pairs":
            return Scores(self._of_numbers(rows, chunk), None, None)
        return Scores(np.ascontiguousarray(rows[:, first]), None, None)

    def detailed(self, chunk: Chunk) -> Scores:
        """The same scores with the probabilities, where those of all classes were kept."""
        scores, model = self.score(chunk), self.model
        if self.classes is None or model.kept != "whole":
            return scores
        logs = chunk.x[:, model.column : model.column + model.outputs]
        return replace(scores, probabilities=exp(np.ascontiguousarray(logs)))

    def reference(self, chunk: Chunk) -> None:
        """See `Scorer`: the values are what there is."""
        return

    def footprint(self, chunk_rows: int, threads: int) -> int:
        """See `Scorer`."""
        kept = {"whole": 3 * self.model.outputs, "pairs": 10 * self.model.outputs}.get(self.model.kept, 3)
        return 8 * (3 + kept) * chunk_rows

    def _of_classes(self, rows: NDArray[np.float64], t: NDArray[np.int64], loss: OfClasses) -> Scores:
        whole, first = self.model.kept == "whole", self.model.column
        kept = self.model.outputs if whole else 1
        logs, predicted = loss.from_logs(rows[:, first : first + kept]), rows[:, first + kept]
        losses = loss.of_logs(logs, t) if whole else np.ascontiguousarray(-logs[:, 0])
        return Scores(losses, t, predicted.astype(np.int64))

    def _of_numbers(self, rows: NDArray[np.float64], chunk: Chunk) -> NDArray[np.float64]:
        first, width = self.model.column, self.model.outputs
        loss: Any = self.loss
        given, t = rows[:, first : first + width], rows[:, first + width : first + 2 * width]
        beside = Chunk(chunk.rows, chunk.values, chunk.offsets, chunk.features, t)
        shares = self.model.saved["kind"] == "probabilities"
        compute = loss.of_probabilities if shares else loss.reference
        found: NDArray[np.float64] = compute(given, number_targets(self._source_name, beside, loss))
        check_sizes(self._source_name, chunk, found, loss)
        return found


def _check_loss(model: SavedModel, name: str, loss: Loss) -> None:
    """Raise UsageError for a loss that cannot be taken of what was kept."""
    if isinstance(loss, Recorded):
        return
    pairs = model.kept == "pairs"
    if model.kept == "value" or (loss.classifies and not isinstance(loss, OfClasses)):
        raise UsageError(f"loss {loss!r}: of saved values, the values themselves were expected.")
    if loss.classifies == pairs:
        fitting = "Squared" if model.saved["kind"] == "predictions" else "BinaryCrossEntropy"
        cure = (
            f"loss=streameval.{fitting}() (--loss)"
            if pairs
            else "predictions= (--predictions), logits= or probabilities= with target= (--label-column with --loss)"
        )
        raise UsageError(
            f"{name}: {'outputs and numbers to compare them with' if pairs else 'true classes'} were saved, which is "
            f"not what loss {loss.name} takes. Expected {cure}."
        )
    if pairs and getattr(loss, "outputs", None) == "logits" and model.saved["kind"] == "predictions":
        raise UsageError(
            f"{name}: predictions, but loss {loss.name} takes logits or probabilities: logits= (--logits), "
            "probabilities= (--probabilities)."
        )
    check = getattr(loss, "check_outputs", None)
    if check is not None:
        check(model.outputs)
    if getattr(loss, "label_smoothing", 0.0) and model.kept != "whole":
        raise UsageError(
            f"{name}: of each row the true class's probability was kept, and label smoothing takes those of all "
            "classes. Open it with open_outputs(..., whole=True)."
        )
