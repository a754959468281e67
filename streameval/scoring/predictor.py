"""Rows scored with a predictor: its numbers are somebody else's, the loss of a row is computed here by NumPy."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streameval.defaults import NUMBER_LOSSES
from streameval.elementary import exp
from streameval.errors import ModelError, UsageError
from streameval.losses.loss import Loss
from streameval.predictors.predictor import Predictor
from streameval.predictors.probing import AGAIN, check_batches, check_probabilities, given_rows
from streameval.scoring.numbers import check_numbers, check_sizes, number_targets
from streameval.scoring.scorer import Budget, Scores, check_threads
from streameval.storage import targets
from streameval.storage.source import Chunk, Source

# Float64 copies of a row's outputs that a loss holds while it is computed.
COPIES = 8


class PredictorScorer:
    """Scores rows with whatever can be called. See `Scorer`.

    Of every chunk, 8 rows are computed a second time in another batch and order: a model whose outputs of a row depend
    on the others, or come back in another order, is refused.
    """

    name: str

    def __init__(self, model: Predictor, source: Source, loss: Loss, budget: Budget) -> None:
        if not loss.classifies:
            check_numbers(model.title, model.outputs, source, loss)
        elif source.soft and source.classes != model.outputs:
            raise ModelError(
                f"{model.title} has {model.outputs} outputs, but the targets of {source.name} have "
                f"{source.classes}. Choose the model that belongs to this data."
            )
        if loss.classifies and model.returns == "numbers":
            raise ModelError(
                f"{model.title} returns numbers, and {loss.name} takes logits or probabilities of classes. For "
                f"regression: loss {' or '.join(NUMBER_LOSSES)} (loss=streameval.Squared())."
            )
        if loss.classifies and model.outputs < 2:
            raise ModelError(
                f"{model.title}: one number a row came back, and {loss.name} takes one for each class. "
                f"{targets.ONE_OUTPUT}"
            )
        if model.returns == "probabilities" and not hasattr(loss, "of_probabilities"):
            raise UsageError(
                f"loss {loss.name}: it is taken of logits, but {model.title} returns probabilities. Let the "
                "model return what comes before the softmax."
            )
        self.name, self.model, self.loss = model.kind, model, loss
        self.classes = model.outputs if loss.classifies else None
        self.threads = check_threads(budget.threads)
        self._of_probabilities: Callable[..., NDArray[np.float64]] | None = getattr(
            loss, "of_probabilities", None
        )
        self._source_name, self._scale, self._features = source.name, source.scale, source.features

    def score(self, chunk: Chunk) -> Scores:
        """See `Scorer`. Raises ModelError where outputs depend on the batch, DataError for false probabilities."""
        return self._scores(chunk)[0]

    def detailed(self, chunk: Chunk) -> Scores:
        """The same scores, of the same outputs, with their probabilities, float64."""
        scores, out = self._scores(chunk)
        if self.classes is None:
            return scores
        y = out if self.model.returns == "probabilities" else softmax(out)
        return replace(scores, probabilities=y, soft=chunk.t if chunk.t.ndim == 2 else None)

    def _scores(self, chunk: Chunk) -> tuple[Scores, NDArray[np.float64]]:
        if chunk.t.ndim == 1 and self.classes:
            targets.check_chunk(self._source_name, self.classes, chunk)
        t = chunk.t if self.classes else number_targets(self._source_name, chunk, self.loss)
        stored = chunk.x
        out = self._outputs(stored, chunk.rows)
        finite = np.isfinite(out).all(axis=1)
        if stored.dtype.kind == "f":
            # A saturated network would hide them.
            finite &= np.isfinite(stored).all(axis=1)
        loss = np.full(len(chunk), np.nan)
        with np.errstate(divide="ignore"):
            loss[finite] = self._losses(out[finite], t[finite])
        if self.classes is None:
            check_sizes(self._source_name, chunk, loss, self.loss)
            return Scores(loss, None, None), out
        target = np.argmax(chunk.t, axis=1) if chunk.t.ndim == 2 else chunk.t
        return Scores(loss, target, np.argmax(out, axis=1)), out

    def reference(self, chunk: Chunk) -> None:
        """See `Scorer`: whoever computes the outputs is not known to be able to do it in float64."""
        return

    def footprint(self, chunk_rows: int, threads: int) -> int:
        """See `Scorer`: rows and outputs; what the model itself holds is not known."""
        return chunk_rows * (self.model.outputs * 8 * COPIES + 2 * 4 * self._features)

    def _outputs(self, stored: NDArray[Any], rows: Any) -> NDArray[np.float64]:
        """Outputs (n, k) of the stored rows (n, features); `rows` are their numbers."""
        if len(stored) == 0:
            return np.empty((0, self.model.outputs))
        out = self.model.call(given_rows(self.model, stored, self._scale))
        if out.shape[1] != self.model.outputs:
            raise ModelError(
                f"{self.model.title}: {out.shape[1]} numbers a row came back, {self.model.outputs} before."
            )
        picked = np.unique(np.linspace(0, len(stored) - 1, AGAIN).astype(np.int64))
        numbers = np.asarray(rows)[picked]
        # From the stored rows again: the model may have written into those it was given.
        x = given_rows(self.model, stored[picked], self._scale)
        check_batches(self.model, x, out[picked], numbers, self._source_name)
        if self.model.returns == "probabilities" and self.classes is not None:
            check_probabilities(out, rows, self._source_name)
        return out

    def _losses(self, out: NDArray[np.float64], t: NDArray[np.float64]) -> NDArray[np.float64]:
        if self.model.returns == "probabilities" and self._of_probabilities is not None:
            return self._of_probabilities(out, t)
        return self.loss.reference(out, t)


def softmax(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    """exp(z) / sum exp(z) of each row (n, k); NaN where a logit is not finite."""
    with np.errstate(invalid="ignore"):
        y = exp(logits - logits.max(axis=1, keepdims=True, initial=-np.inf))
        return np.asarray(y / y.sum(axis=1, keepdims=True))
