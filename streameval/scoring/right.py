"""Whether rows are predicted right, as a score a row: what a study of the accuracy reads in place of losses.

Knows another scorer. Does not know who computes.
"""

from __future__ import annotations

import numpy as np

from streameval.errors import UsageError
from streameval.losses import Recorded
from streameval.scoring.scorer import Scorer, Scores
from streameval.scoring.wrapped import WrappedScorer
from streameval.storage.source import Chunk

ACCURACY = Recorded("accuracy", score=True, low=0.0, high=1.0)


class RightScorer(WrappedScorer):
    """Scores 1 for a row that another scorer's model predicts right, else 0; NaN where its loss is not finite.

    Raises UsageError for rows that have no classes.
    """

    def __init__(self, scorer: Scorer) -> None:
        if scorer.classes is None:
            raise UsageError("of (--of) accuracy: these rows have no classes. Expected --of loss.")
        super().__init__(scorer)
        self.loss = ACCURACY

    def score(self, chunk: Chunk) -> Scores:
        """See `Scorer`."""
        scores = self._scorer.score(chunk)
        right = np.asarray(scores.target == scores.predicted, np.float64)
        return Scores(np.where(np.isfinite(scores.loss), right, np.nan), scores.target, scores.predicted)

    def reference(self, chunk: Chunk) -> None:
        """See `Scorer`: a share of rows has no rounding."""
        return

    def footprint(self, chunk_rows: int, threads: int) -> int:
        """See `Scorer`."""
        return self._scorer.footprint(chunk_rows, threads) + 16 * chunk_rows
