"""The kernels called without a file, a source or a model: packed weights, arrays in, arrays out."""

from __future__ import annotations

from typing import Any, NamedTuple

import naive
import numpy as np

from streameval.kernels import running
from streameval.kernels.packing import pack
from streameval.layers import Dense
from streameval.losses import CrossEntropy

GUARD = 64


class Result(NamedTuple):
    loss: np.ndarray
    predicted: np.ndarray
    probabilities: np.ndarray

    def bits(self) -> tuple[bytes, bytes, bytes]:
        return self.loss.tobytes(), self.predicted.tobytes(), self.probabilities.tobytes()

    def at(self, rows: Any) -> Result:
        return Result(self.loss[rows], self.predicted[rows], self.probabilities[rows])


def guarded(n: int, dtype: type) -> tuple[np.ndarray, np.ndarray]:
    """n numbers, and all of the memory around them: GUARD numbers before and after, marked."""
    whole = np.full(n + 2 * GUARD, 77, dtype)
    return whole[GUARD : GUARD + n], whole


def run(
    layers: list[Any],
    x: np.ndarray,
    t: np.ndarray,
    *,
    eps: float = 1e-7,
    loss: Any = None,
    rows: np.ndarray | None = None,
    chunk: int | None = None,
    threads: int = 1,
    scale: float = 1.0,
    shape: tuple[int, ...] | None = None,
) -> Result:
    """Score `rows` of x (default: all, in order), `chunk` at a time, by `loss` (default: cross-entropy with `eps`).

    Layers are those of `naive`, or of the package. Checks that nothing around the outputs is touched.
    """
    given = [Dense(*layer) if isinstance(layer, naive.Layer) else layer for layer in layers]
    packed = pack(given, dtype=x.dtype, scale=scale, shape=shape)
    loss = loss or CrossEntropy(eps)
    forward = running.Forward(packed, running.Scratch.of(packed, threads), loss)
    rows = np.arange(len(x)) if rows is None else np.asarray(rows, np.int64)
    n, classes = len(rows), packed.outputs
    losses, all_losses = guarded(n, np.float64)
    predicted, all_predicted = guarded(n, np.int64)
    probabilities, all_probabilities = guarded(n * classes, np.float32)
    probabilities = probabilities.reshape(n, classes)
    values = np.ascontiguousarray(x).reshape(-1)
    size = chunk or max(n, 1)
    for start in range(0, n, size):
        part = slice(start, min(start + size, n))
        chosen = t[rows[part]]
        targets = chosen.astype(np.float64 if t.ndim == 2 else np.int64)
        forward(values, rows[part] * x.shape[1], targets, losses[part], predicted[part], probabilities[part])
    for whole in (all_losses, all_predicted, all_probabilities):
        assert (whole[:GUARD] == 77).all()
        assert (whole[len(whole) - GUARD :] == 77).all()
    return Result(losses, predicted, probabilities)
