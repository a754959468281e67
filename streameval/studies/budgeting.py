"""The error budget of a loss: what the draw, float32 and eps each did to it, measured on the data themselves.

Knows how a model's losses can be computed again. Does not know how the parts are judged: statistics do.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from streameval.evaluation.twin import twin_losses
from streameval.models.mlp import Mlp
from streameval.statistics.budget import TWIN_SHARE, Budget, clipped_mass, rounding_error, twin_rows
from streameval.storage.source import Source
from streameval.studies.reading import LossReader

MOST_TWINS = 100_000  # rows computed again in float64: some seconds of NumPy
# Below this share of eps, the probability cannot be read off a loss of 53 bits any more.
LOST = 1e-6


def error_budget(
    model: Mlp,
    source: Source,
    losses: Any,
    *,
    sampling: float,
    eps: float,
    seed: int = 0,
    level: float = 0.95,
    threads: int | None = None,
) -> Budget:
    """Return the budget of a loss whose per-row values are `losses`, (rows,) float64, an array or a mapped file.

    sampling  half-width that the draw of rows leaves; 0 where all rows were read

    Rounding is measured on a random 1 % of the rows, at least 100 and at most 100,000, computed again in
    float64. Clipping is measured on all rows, from the losses alone.
    """
    share = min(TWIN_SHARE, MOST_TWINS / source.rows)
    rows = twin_rows(source.rows, seed=seed, share=share)
    twins = twin_losses(model, source, rows, eps=eps)
    rounding = rounding_error(np.asarray(losses[rows]), twins, population=source.rows, level=level)
    exact = _Unclipped(losses, eps, LossReader(model, source, eps=0.0, threads=threads))
    # Soft targets mix the logarithms of several probabilities: those cannot be taken apart again.
    clipping = None if source.soft and eps > 0.0 else clipped_mass(exact, eps)
    return Budget(sampling, rounding, clipping)


class _Unclipped:
    """-log(y) from -log(y + eps), piece by piece: y = exp(-loss) - eps.

    Where y is so far below eps that nothing of it is left, the row is computed again with eps = 0.
    """

    def __init__(self, losses: Any, eps: float, read: LossReader) -> None:
        self._losses, self._eps, self._read = losses, eps, read

    def __len__(self) -> int:
        return len(self._losses)

    def __getitem__(self, piece: slice) -> NDArray[np.float64]:
        found: NDArray[np.float64] = np.asarray(self._losses[piece], np.float64)
        if self._eps == 0.0:
            return found
        chance = np.exp(-found) - self._eps
        lost = chance <= LOST * self._eps
        exact = -np.log(np.where(lost, 1.0, chance))
        if lost.any():
            exact[lost] = self._read(np.flatnonzero(lost) + (piece.start or 0))
        # Rounding may leave a probability a little over 1.
        return np.asarray(np.maximum(exact, 0.0))
