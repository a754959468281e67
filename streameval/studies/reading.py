"""Losses of given rows, in the order asked for: what the statistics read through."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from streameval.errors import DataError
from streameval.evaluation.evaluate import EPS
from streameval.evaluation.rows import CHUNK_ROWS
from streameval.evaluation.scoring import NetworkScorer
from streameval.models.mlp import Mlp
from streameval.storage.source import Source


class LossReader:
    """Calls with row numbers (n,) int64 return their losses (n,) float64 in nats, in the order of the rows.

    Raises DataError for a row whose features are not finite, LabelError for a label outside the classes.
    """

    def __init__(self, model: Mlp, source: Source, *, eps: float = EPS, threads: int | None = None) -> None:
        self.source = source
        self._scorer = NetworkScorer(model, source, eps=eps, threads=threads)

    def __call__(self, rows: NDArray[np.int64]) -> NDArray[np.float64]:
        if len(rows) <= CHUNK_ROWS:
            return self._losses(rows)
        out = np.empty(len(rows))
        # Rows far apart are read in the order they lie in; the results go back to the order asked for.
        order = np.argsort(rows, kind="stable")
        for start in range(0, len(rows), CHUNK_ROWS):
            part = order[start : start + CHUNK_ROWS]
            out[part] = self._losses(rows[part])
        return out

    def _losses(self, rows: NDArray[np.int64]) -> NDArray[np.float64]:
        losses = self._scorer.score(self.source.take(rows)).loss
        # The sum is NaN or infinite if one loss is: one pass instead of two.
        if not np.isfinite(losses.sum()):
            row = int(rows[np.argmin(np.isfinite(losses))])
            raise DataError(
                f"{self.source.name}, row {row}: features or logits are NaN or infinite. Expected finite numbers; "
                "streameval evaluate --allow-nonfinite counts such rows."
            )
        return losses
