"""NumPy: the article's formula, float32, chunk by chunk."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.data import EPS, Task
from benchmarks.peers.batches import batches_of
from benchmarks.timing import Ready

TOLERANCE = 1e-5
_ACTIVATIONS: dict[str, Callable[[Any], Any]] = {
    "identity": lambda z: z,
    "sigmoid": lambda z: 1.0 / (1.0 + np.exp(-z)),
    "relu": lambda z: np.maximum(z, np.float32(0)),
    "tanh": np.tanh,
}


def whole(task: Task, chunk: int | None) -> Ready:
    """One pass of array operations for each chunk."""
    step = min(chunk or task.rows, task.rows)

    def run() -> float:
        total = 0.0
        for i in range(0, task.rows, step):
            total += float(losses(task, task.x[i : i + step], task.t[i : i + step]).sum(dtype=np.float64))
        return total / task.rows

    return Ready(run, float(task.exact[EPS].mean()), TOLERANCE)


def minibatches(task: Task, _: int | None) -> Ready:
    """Rows gathered by number."""
    return batches_of(task, lambda rows: losses(task, task.x[rows], task.t[rows]).mean(), EPS, TOLERANCE)


def losses(task: Task, x: NDArray[Any], t: NDArray[np.int64]) -> NDArray[np.float32]:
    """-log(y_t + eps) of each row."""
    a = x.astype(np.float32) * np.float32(task.scale) if x.dtype == np.uint8 else x
    for weight, bias, name in task.layers:
        a = _ACTIVATIONS[name](a @ weight + bias)
    e = np.exp(a - a.max(axis=1, keepdims=True))
    y = e[np.arange(len(e)), t] / e.sum(axis=1)
    result: NDArray[np.float32] = -np.log(y + np.float32(EPS))
    return result
