"""Another scorer's scores with the probabilities of all classes beside them, where it has them.

Knows another scorer. Does not know what is made of the probabilities.
"""

from __future__ import annotations

from streameval.scoring.scorer import Scorer, Scores
from streameval.scoring.wrapped import WrappedScorer
from streameval.storage.source import Chunk

# Of each class of a row: its probability as it comes, and copies in float64 while some rows are looked at.
CLASS_BYTES, PIECE_BYTES = 8, 8 << 20


class DetailedScorer(WrappedScorer):
    """Scores as the other does, to the bit, with `Scores.probabilities` where that has a method `detailed`."""

    def __init__(self, scorer: Scorer) -> None:
        super().__init__(scorer)
        self._score = getattr(scorer, "detailed", scorer.score)

    def score(self, chunk: Chunk) -> Scores:
        """See `Scorer`."""
        scores: Scores = self._score(chunk)
        return scores

    def footprint(self, chunk_rows: int, threads: int) -> int:
        """See `Scorer`."""
        more = CLASS_BYTES * chunk_rows * (self.classes or 0)
        return (
            self._scorer.footprint(chunk_rows, threads) + more + min(PIECE_BYTES, 6 * more) + 64 * chunk_rows
        )
