"""Another scorer's scores with the probabilities of all classes beside them, where it has them.

Knows another scorer. Does not know what is made of the probabilities.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from streameval.losses.loss import Loss
from streameval.scoring.scorer import Scorer, Scores
from streameval.storage.source import Chunk

# Of each class of a row: its probability as it comes, and copies in float64 while some rows are looked at.
CLASS_BYTES, PIECE_BYTES = 8, 8 << 20


class DetailedScorer:
    """Scores as the other does, to the bit, with `Scores.probabilities` where that has a method `detailed`."""

    def __init__(self, scorer: Scorer) -> None:
        self._scorer = scorer
        self._score = getattr(scorer, "detailed", scorer.score)
        self.name, self.model = scorer.name, scorer.model
        self.classes: int | None = scorer.classes
        self.loss: Loss = scorer.loss

    @property
    def threads(self) -> int:
        """See `Scorer`."""
        return self._scorer.threads

    @threads.setter
    def threads(self, threads: int) -> None:
        self._scorer.threads = threads

    def score(self, chunk: Chunk) -> Scores:
        """See `Scorer`."""
        scores: Scores = self._score(chunk)
        return scores

    def reference(self, chunk: Chunk) -> NDArray[np.float64] | None:
        """See `Scorer`."""
        return self._scorer.reference(chunk)

    def footprint(self, chunk_rows: int, threads: int) -> int:
        """See `Scorer`."""
        more = CLASS_BYTES * chunk_rows * (self.classes or 0)
        return (
            self._scorer.footprint(chunk_rows, threads) + more + min(PIECE_BYTES, 6 * more) + 64 * chunk_rows
        )
