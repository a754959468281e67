"""The error budget of a loss: what the draw, float32 and eps each did to it, measured on the data themselves.

Knows how a model's losses can be computed again. Does not know how the parts are judged: statistics do.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from streameval.elementary import exp, log
from streameval.losses import CrossEntropy
from streameval.losses.loss import Loss
from streameval.scoring import make_scorer
from streameval.scoring.scorer import Budget as Limits
from streameval.scoring.scorer import Scorer
from streameval.statistics.budget import (
    REFERENCE_SHARE,
    Budget,
    Clipping,
    Rounding,
    clipped_mass,
    reference_rows,
    rounding_error,
)
from streameval.storage.source import Source
from streameval.studies.reading import LossReader

MOST_REFERENCES = 100_000  # rows computed again in float64: some seconds of NumPy
REFERENCE_ROWS = 4_096  # computed at once: 26 MB of float64 features for rows of 784
# Below this share of eps, the probability cannot be read off a loss of 53 bits any more.
LOST = 1e-6


def error_budget(
    scorer: Scorer, source: Source, losses: Any, *, sampling: float, seed: int = 0, level: float = 0.95
) -> Budget:
    """Return the budget of a loss whose per-row values are `losses`, (rows,) float64, an array or a mapped file.

    sampling  half-width that the draw of rows leaves; 0 where all rows were read

    Rounding is measured on a random 1 % of the rows, at least 100 and at most 100,000, computed again in
    float64; None where the scorer has no reference. Clipping is measured on all rows, from the losses alone; None for
    a loss that clips nothing.
    """
    return Budget(sampling, _rounding(scorer, source, losses, seed, level), _clipping(scorer, source, losses))


def _rounding(scorer: Scorer, source: Source, losses: Any, seed: int, level: float) -> Rounding | None:
    share = min(REFERENCE_SHARE, MOST_REFERENCES / source.rows)
    rows = reference_rows(source.rows, seed=seed, share=share)
    exact = np.empty(len(rows))
    for start in range(0, len(rows), REFERENCE_ROWS):
        part = slice(start, start + REFERENCE_ROWS)
        references = scorer.reference(source.take(rows[part]))
        if references is None:
            return None
        exact[part] = references
    return rounding_error(np.asarray(losses[rows]), exact, population=source.rows, level=level)


def _clipping(scorer: Scorer, source: Source, losses: Any) -> Clipping | None:
    loss: Loss = scorer.loss
    # Soft and smoothed targets mix the logarithms of several probabilities: those cannot be taken apart again.
    if not isinstance(loss, CrossEntropy) or (loss.eps > 0.0 and (source.soft or loss.label_smoothing)):
        return None
    exact = make_scorer(scorer.model, source, CrossEntropy(eps=0.0), Limits(scorer.threads))
    return clipped_mass(_Unclipped(losses, loss.eps, LossReader(exact, source)), loss.eps)


class _Unclipped:
    """-log(y) from -log(y + eps), piece by piece: y = exp(-loss) - eps.

    Where y is so far below eps that nothing of it is left, the row is computed again with eps = 0.
    """

    def __init__(self, losses: Any, eps: float, read: LossReader) -> None:
        self._losses, self._eps, self._read = losses, eps, read

    def __len__(self) -> int:
        return len(self._losses)

    def __getitem__(self, piece: slice) -> NDArray[np.float64]:
        clipped: NDArray[np.float64] = np.asarray(self._losses[piece], np.float64)
        if self._eps == 0.0:
            return clipped
        chance = exp(-clipped) - self._eps
        lost = chance <= LOST * self._eps
        exact = -log(np.where(lost, 1.0, chance))
        if lost.any():
            exact[lost] = self._read(np.flatnonzero(lost) + (piece.start or 0))
        # Rounding may leave a probability a little over 1.
        return np.asarray(np.maximum(exact, 0.0))
