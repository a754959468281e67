"""JAX: the forward pass and the sum of the losses as one jitted function, chunks on the device beforehand."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.data import Task
from benchmarks.layers import Average, Conv, Dense, Pool, convert
from benchmarks.peers.batches import batches_of
from benchmarks.timing import Ready

TOLERANCE = 1e-5
# Images as (rows, height, width, channels), kernels as (height, width, inputs, outputs): what XLA is fastest with here.
_LAYOUT = ("NHWC", "HWIO", "NHWC")
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
    layers = convert(task.layers, _on_device)

    @jax.jit
    def total(x: Any, t: Any) -> Any:
        a = x.astype(jnp.float32) * jnp.float32(task.scale) if task.x.dtype == np.uint8 else x
        a = _forward(layers, a if len(task.shape) == 1 else jnp.moveaxis(a.reshape(-1, *task.shape), 1, -1))
        return -jnp.take_along_axis(jax.nn.log_softmax(a), t[:, None], axis=1).sum()

    compiled: Callable[[Any, Any], Any] = total
    return compiled


def _on_device(layer: Dense | Conv) -> Any:
    weight = layer.weight if isinstance(layer, Dense) else layer.weight.transpose(2, 3, 1, 0)
    return layer._replace(weight=jnp.asarray(weight), bias=jnp.asarray(layer.bias))


def _forward(layers: Any, a: Any) -> Any:
    for layer in layers:
        if isinstance(layer, Dense):
            flat = a if a.ndim == 2 else jnp.moveaxis(a, -1, 1).reshape(len(a), -1)
            a = flat @ layer.weight + layer.bias
        elif isinstance(layer, Conv):
            a = _convolved(layer, a)
        elif isinstance(layer, Pool):
            windows = (1, 2, 2, 1), (1, 2, 2, 1), "VALID"
            if layer.kind == "max":
                a = jax.lax.reduce_window(a, -jnp.inf, jax.lax.max, *windows)
            else:
                a = jax.lax.reduce_window(a, 0.0, jax.lax.add, *windows) / 4
        elif isinstance(layer, Average):
            a = a.mean(axis=(1, 2), keepdims=True)
        else:
            a = _forward(layer.body, a) + _forward(layer.shortcut, a)
        a = _ACTIVATIONS[getattr(layer, "activation", "identity")](a)
    return a


def _convolved(layer: Conv, a: Any) -> Any:
    sides = [(layer.padding, layer.padding)] * 2
    stride = (layer.stride, layer.stride)
    return (
        jax.lax.conv_general_dilated(a, layer.weight, stride, sides, dimension_numbers=_LAYOUT) + layer.bias
    )
