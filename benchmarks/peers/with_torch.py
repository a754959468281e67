"""PyTorch: eager under inference_mode, compiled, and as many write it: TensorDataset and DataLoader."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch.nn import functional
from torch.utils.data import DataLoader, TensorDataset

from benchmarks.data import Task
from benchmarks.peers.batches import batches_of
from benchmarks.timing import Ready

TOLERANCE = 1e-5
_ACTIVATIONS: dict[str, Callable[[Any], Any]] = {
    "identity": lambda z: z,
    "sigmoid": torch.sigmoid,
    "relu": torch.relu,
    "tanh": torch.tanh,
}


def whole(task: Task, chunk: int | None) -> Ready:
    """Eager, chunk by chunk."""
    return _chunks(task, chunk, _sum_of_losses(task))


def compiled(task: Task, chunk: int | None) -> Ready:
    """The same through torch.compile."""
    return _chunks(task, chunk, torch.compile(_sum_of_losses(task), dynamic=False))


def loader(task: Task, chunk: int | None) -> Ready:
    """The same, the batches from a DataLoader over a TensorDataset."""
    total = _sum_of_losses(task)
    rows = TensorDataset(torch.from_numpy(task.x), torch.from_numpy(task.t))
    batches = DataLoader(rows, batch_size=chunk)

    def run() -> float:
        with torch.inference_mode():
            return sum(float(total(x, t)) for x, t in batches) / task.rows

    return Ready(run, float(task.exact[0.0].mean()), TOLERANCE)


def minibatches(task: Task, _: int | None) -> Ready:
    """Rows gathered by PyTorch, eager."""
    total = _sum_of_losses(task)
    x, t = torch.from_numpy(task.x), torch.from_numpy(task.t)

    def mean_loss(rows: Any) -> float:
        with torch.inference_mode():
            index = torch.from_numpy(rows)
            return float(total(x[index], t[index])) / len(rows)

    return batches_of(task, mean_loss, 0.0, TOLERANCE)


def _chunks(task: Task, chunk: int | None, total: Callable[[Any, Any], Any]) -> Ready:
    step = min(chunk or task.rows, task.rows)
    x, t = torch.from_numpy(task.x).split(step), torch.from_numpy(task.t).split(step)

    def run() -> float:
        with torch.inference_mode():
            return sum(float(total(a, b)) for a, b in zip(x, t, strict=True)) / task.rows

    return Ready(run, float(task.exact[0.0].mean()), TOLERANCE)


def _sum_of_losses(task: Task) -> Callable[[Any, Any], Any]:
    torch.set_num_threads(task.threads)
    # As nn.Linear keeps them: (outputs, inputs).
    layers = [
        (torch.tensor(weight.T.copy()), torch.tensor(bias), _ACTIVATIONS[name])
        for weight, bias, name in task.layers
    ]
    scaled = task.x.dtype == "uint8"

    def total(x: Any, t: Any) -> Any:
        a = x.to(torch.float32) * task.scale if scaled else x
        for weight, bias, activation in layers:
            a = activation(functional.linear(a, weight, bias))
        return functional.cross_entropy(a, t, reduction="sum")

    return total
