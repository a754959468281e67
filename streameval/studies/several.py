"""Losses of given rows by several models, each row read once. Knows scorers and sources, no statistics."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from streameval.errors import DataError
from streameval.evaluation.rows import CHUNK_ROWS
from streameval.evaluation.scoring import NetworkScorer
from streameval.models.mlp import Mlp
from streameval.storage.source import Source

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]


class SeveralReader:
    """Calls with row numbers (n,) int64 return losses (models, n) float64 in nats and true classes (n,) int64.

    Rows are read in the order in which they lie in the file, and given back in the order asked for.
    Raises DataError for a row whose features are not finite, LabelError for a label outside the classes.
    """

    def __init__(
        self, models: Sequence[Mlp], source: Source, *, eps: float, threads: int | None = None
    ) -> None:
        self.source = source
        self._scorers = [NetworkScorer(model, source, eps=eps, threads=threads) for model in models]

    def __call__(self, rows: Integers) -> tuple[Floats, Integers]:
        losses, targets = np.empty((len(self._scorers), len(rows))), np.empty(len(rows), np.int64)
        order = np.argsort(rows, kind="stable")
        for start in range(0, len(rows), CHUNK_ROWS):
            part = order[start : start + CHUNK_ROWS]
            losses[:, part], targets[part] = self._scored(rows[part])
        return losses, targets

    def _scored(self, rows: Integers) -> tuple[Floats, Integers]:
        chunk = self.source.take(rows)
        scores = [scorer.score(chunk) for scorer in self._scorers]
        losses = np.array([one.loss for one in scores])
        if not np.isfinite(losses.sum()):
            row = int(rows[np.argmin(np.isfinite(losses).all(axis=0))])
            raise DataError(
                f"{self.source.name}, row {row}: features or logits are NaN or infinite. Expected finite numbers; "
                "streameval evaluate --allow-nonfinite counts such rows."
            )
        return losses, scores[0].target


def in_file_order(read: Callable[[Integers], Floats]) -> Callable[[Integers], Floats]:
    """Return a reader that reads the rows where they lie, one after another, and gives them back as asked for."""

    def sorted_read(rows: Integers) -> Floats:
        order = np.argsort(rows, kind="stable")
        out = np.empty(len(rows))
        out[order] = read(rows[order])
        return out

    return sorted_read
