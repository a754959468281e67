"""JAX: the forward pass and the sum of the losses as one jitted function, chunks on the device beforehand."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.data import Task
from benchmarks.peers.batches import batches_of
from benchmarks.timing import Ready

TOLERANCE = 1e-5
_ACTIVATIONS: dict[str, Callable[[Any], Any]] = {
    "identity": lambda z: z,
    "sigmoid": jax.nn.sigmoid,
    "relu": jax.nn.relu,
    "tanh": jnp.tanh,
}


def whole(task: Task, chunk: int | None) -> Ready:
    """One call for each chunk; the sums are added when all calls are on their way."""
    total = _sum_of_losses(task)
    step = min(chunk or task.rows, task.rows)
    labels = task.t.astype(np.int32)
    parts = [
        (jax.device_put(task.x[i : i + step]), jax.device_put(labels[i : i + step]))
        for i in range(0, task.rows, step)
    ]

    def run() -> float:
        sums = [total(x, t) for x, t in parts]
        return sum(float(one) for one in sums) / task.rows

    return Ready(run, float(task.exact[0.0].mean()), TOLERANCE)


def minibatches(task: Task, _: int | None) -> Ready:
    """Rows gathered by NumPy, one call for each batch."""
    total = _sum_of_losses(task)
    labels = task.t.astype(np.int32)
    return batches_of(task, lambda rows: float(total(task.x[rows], labels[rows])) / len(rows), 0.0, TOLERANCE)


def _sum_of_losses(task: Task) -> Callable[[Any, Any], Any]:
    layers = [(jnp.asarray(weight), jnp.asarray(bias), name) for weight, bias, name in task.layers]

    @jax.jit
    def total(x: Any, t: Any) -> Any:
        a = x.astype(jnp.float32) * jnp.float32(task.scale) if task.x.dtype == np.uint8 else x
        for weight, bias, name in layers:
            a = _ACTIVATIONS[name](a @ weight + bias)
        return -jnp.take_along_axis(jax.nn.log_softmax(a), t[:, None], axis=1).sum()

    compiled: Callable[[Any, Any], Any] = total
    return compiled
