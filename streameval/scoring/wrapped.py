"""What is the same for a scorer whose scores are looked at, or made into others: who computes, with which threads.

Knows another scorer. Does not know what becomes of its scores.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from streameval.losses.loss import Loss
from streameval.scoring.scorer import Scorer
from streameval.storage.source import Chunk


class WrappedScorer:
    """Another scorer, whose scores a subclass hands on in its own way: `score` and `footprint` are left to it."""

    def __init__(self, scorer: Scorer) -> None:
        self._scorer = scorer
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

    def reference(self, chunk: Chunk) -> NDArray[np.float64] | None:
        """See `Scorer`."""
        return self._scorer.reference(chunk)
