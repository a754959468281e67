"""The plain float64 twin of the kernels: the same losses by NumPy, for measuring what float32 does to them.

Knows a network's formulas. Does not know kernels, tiles or speed.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from streameval.defaults import EPS
from streameval.evaluation.scoring import check_fit
from streameval.losses.cross_entropy import CrossEntropy
from streameval.models.mlp import Mlp
from streameval.storage.source import Source

Floats = NDArray[np.float64]

TWIN_CHUNK = 4096  # rows computed at once: 26 MB of float64 features for rows of 784


def twin_losses(model: Mlp, source: Source, rows: NDArray[np.int64], *, eps: float = EPS) -> Floats:
    """Return the losses of these rows, (n,) float64 in nats, in their order, with every step in float64.

        E = -sum_k t_k log(y_k + eps); eps = 0: exact log-softmax, from the logits

    Weights are the float32 ones that the kernels use, features are stored value * scale, unrounded. About
    40 times slower than the kernels, 4,096 rows in memory at a time. Raises the errors of `Source.take`,
    ModelError for a network that does not fit.
    """
    check_fit(model, source)
    loss = CrossEntropy(eps)
    out = np.empty(len(rows))
    for start in range(0, len(rows), TWIN_CHUNK):
        chunk = source.take(rows[start : start + TWIN_CHUNK])
        values: Floats = chunk.x.astype(np.float64) * source.scale
        for layer in model.layers:
            values = layer.reference(values)
        out[start : start + len(chunk)] = loss.reference(values, chunk.t)
    return out
